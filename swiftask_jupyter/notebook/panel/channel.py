"""The messages between the chat panel (in the kernel) and its views (displays in the browser).

A view sends requests: `{"kind": …, "view": its id, "id": the request's id, …}`. For each request,
this view gets one message with the same `view` and `id`: a `response`, or a `snapshot` for
`get_snapshot`. If the request failed, the message is a `response` with the field `error`. The kinds
of requests and their fields:

    get_snapshot                        the state and the newest exchanges
    get_earlier     key                 the exchanges before the exchange with that key
    ask             text, key, agent, uploads   `key`: the exchange to ask again, or null
    retry           key, agent          ask the question of that exchange again
    stop                                stop the answer in flight
    rate            key, liked, comment
    get_source      key                 the answer's Markdown
    export                              the conversation as Markdown
    choose_agent    agent
    list_agents                         load the list of the service's agents
    switch_session  name                null: a new session
    upload          upload, name, size, offset, and the bytes as a buffer
    discard_upload  upload

An exchange is a question with its answer, identified by its `key`. The kernel sends updates to all
views, numbered by their field `revision`:

    state      state                    session, agents, the key of the answer in flight, …
    exchange   exchange, after, removed a new exchange; `after`: the key of the exchange before it
    patch      key, changes, meta       changes of an answer's tree, and other changed fields
    reload                              the list of exchanges has changed: request a snapshot
    heartbeat                           the number of the last update

Updates can get lost, because a Jupyter server drops messages that come too fast. A view that finds
a gap in the numbers requests a snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Event, RLock
from typing import Any

Send = Callable[[dict[str, Any], list[bytes]], object]


class Channel:
    """Sends messages from the kernel to all views (browser displays) of one chat panel.

    Each message is sent as JSON in a binary buffer. Jupyter would process every item of a message
    that is sent as ordinary content, which takes time.

    Args:
        send: sends a widget message, given its content and its buffers.

    Attributes:
        closed: the event that is set when the panel is closed.
        lock: hold it while you change the panel's state and send the change, so that no other
            message is sent between these two steps.
        revision: the number of the last update.
        last_ended: the key of the exchange (question and answer) whose answer ended last.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.closed = Event()
        self.lock = RLock()
        self.revision = 0
        self.last_ended = ""

    def broadcast(self, kind: str, **fields: Any) -> None:
        """Send a numbered update to all views.

        `kind` and `fields` are described at the top of this module.
        """
        with self.lock:
            self.revision += 1
            self._write({"kind": kind, "revision": self.revision, **fields})

    def respond(self, request: dict[str, Any], kind: str = "response", **fields: Any) -> None:
        """Send the response to one request of a view.

        A `snapshot` also holds the number of the last update, from which the view continues to
        count.
        """
        with self.lock:
            if kind == "snapshot":
                fields["revision"] = self.revision
            view, identity = request.get("view"), request.get("id")
            self._write({"kind": kind, "view": view, "id": identity, **fields})

    def for_conversation(self) -> ConversationChannel:
        """Return a new channel for one of the panel's conversations.

        The new channel is muted: it sends no updates until its conversation is displayed.
        """
        return ConversationChannel(self._send, self)

    def heartbeat(self) -> None:
        """Send the number of the last update to all views.

        A view that missed updates notices this by the number.
        """
        with self.lock:  # so that the number never arrives before its update
            self._write({"kind": "heartbeat", "revision": self.revision})

    def _write(self, message: dict[str, Any]) -> None:
        packed = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        self._send({}, [packed.encode("utf-8", "replace")])


class ConversationChannel(Channel):
    """Sends the updates of one conversation to the views, but only while it is displayed.

    Attributes:
        muted: whether updates are discarded, because the panel displays another conversation.
    """

    def __init__(self, send: Send, panel_channel: Channel) -> None:
        super().__init__(send)
        self.closed, self.lock = panel_channel.closed, panel_channel.lock
        self.muted = True
        self._panel_channel = panel_channel

    def broadcast(self, kind: str, **fields: Any) -> None:
        """Send a numbered update to all views, or discard it if the channel is muted."""
        with self.lock:
            if not self.muted:
                self._panel_channel.broadcast(kind, **fields)

    def heartbeat(self) -> None:
        """Send the number of the panel's last update to all views, even if the channel is muted."""
        self._panel_channel.heartbeat()
