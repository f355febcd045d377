"""The messages between a chat panel in the kernel and its views in the browser.

A view is one display of the panel. A view sends requests of the form `{"kind": …, "view": its id,
"id": the request's id, …}`. The kernel answers each request with one message that has the `view`
and the `id` of the request. The kind of the message is `snapshot` for the request `get_snapshot`,
and `response` for any other request. If a request fails, the kernel sends a `response` with the
field `error`. The kinds of requests and their fields:

    get_snapshot                        get the state and the newest exchanges
    get_earlier     key                 get the exchanges before the exchange `key`
    ask             text, key, agent, uploads   `key`: the exchange to replace, or null
    retry           key, agent          ask the question of the exchange `key` again
    stop                                stop the streaming answer
    rate            key, liked, comment rate the answer of the exchange `key`
    get_source      key                 get the Markdown of an answer
    export                              get the conversation as Markdown
    choose_agent    agent               ask this agent from now on
    list_agents                         load the list of the service's agents
    switch_session  name                display a session; null: a new session
    upload          upload, name, size, offset   store the bytes in the message's buffer
    discard_upload  upload              delete an uploaded file

An exchange is a question with its answer; its `key` identifies the exchange. The kernel also sends
updates to all views. The field `revision` is the number of the update. The kinds of updates:

    state      state                    session, agents, the key of the streaming answer, …
    exchange   exchange, after, removed a new exchange; `after`: the key of the previous exchange
    patch      key, changes, meta       changes of an answer's tree, and other changed fields
    reload                              the list of exchanges has changed: request a snapshot
    heartbeat                           the number of the last update

Updates can get lost, because a Jupyter server drops messages that come too fast. A view that finds
a gap in the revision numbers requests a snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Event, RLock
from typing import Any

Send = Callable[[dict[str, Any], list[bytes]], object]


class Channel:
    """Sends messages from the kernel to all views of one chat panel.

    A view is a display of the panel in the browser. Each message is JSON in a binary buffer,
    because Jupyter processes ordinary messages more slowly.

    Args:
        send: the function that sends a widget message; its arguments are the content and the
            buffers.

    Attributes:
        closed: the event that is set when the panel is closed.
        lock: the lock to hold while changing the panel's state and sending the change.
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

        The docstring of this module lists the kinds of updates and their fields.
        """
        with self.lock:
            self.revision += 1
            self._write({"kind": kind, "revision": self.revision, **fields})

    def respond(self, request: dict[str, Any], kind: str = "response", **fields: Any) -> None:
        """Send the response to one request of a view.

        A response of the kind `snapshot` also contains the number of the last update.
        """
        with self.lock:
            if kind == "snapshot":
                fields["revision"] = self.revision
            view, identity = request.get("view"), request.get("id")
            self._write({"kind": kind, "view": view, "id": identity, **fields})

    def for_conversation(self) -> MuteableChannel:
        """Return a new channel for one of the panel's conversations.

        The new channel is muted: it discards updates until the panel displays the conversation.
        """
        return MuteableChannel(self._send, self)

    def heartbeat(self) -> None:
        """Send the number of the last update to all views.

        A view that has missed this update then requests a snapshot.
        """
        with self.lock:  # so that the number never arrives before its update
            self._write({"kind": "heartbeat", "revision": self.revision})

    def _write(self, message: dict[str, Any]) -> None:
        packed = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        self._send({}, [packed.encode("utf-8", "replace")])


class MuteableChannel(Channel):
    """Sends the updates of one conversation to the views of a chat panel.

    Attributes:
        muted: whether updates are discarded, because the panel displays another conversation.
    """

    def __init__(self, send: Send, panel_channel: Channel) -> None:
        super().__init__(send)
        self.closed, self.lock = panel_channel.closed, panel_channel.lock
        self.muted = True
        self._panel_channel = panel_channel

    def broadcast(self, kind: str, **fields: Any) -> None:
        """Send a numbered update to all views; discard the update if the channel is muted."""
        with self.lock:
            if not self.muted:
                self._panel_channel.broadcast(kind, **fields)

    def heartbeat(self) -> None:
        """Send the number of the panel's last update to all views, even if the channel is muted."""
        self._panel_channel.heartbeat()
