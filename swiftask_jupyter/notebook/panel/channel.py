"""The messages between the panel (kernel) and its views (browser).

A view sends requests: `{"kind": …, "view": its id, "id": the request's id, …}`. It gets exactly one
`response` (or, for `get_snapshot`, a `snapshot`) with the same `view` and `id`, and `error` if the
request failed:

    get_snapshot                        the state and the newest exchanges
    get_earlier     key                 the exchanges before that one
    ask             text, key, agent, uploads   `key`: the exchange to ask again, or null
    retry           key, agent          ask the same question again
    stop                                stop the answer in flight
    rate            key, liked, comment
    get_source      key                 the answer's Markdown
    export                              the conversation as Markdown
    choose_agent    agent
    list_agents                         load the service's catalogue
    switch_session  name                null: a new session
    upload          upload, name, size, offset, and the bytes as a buffer
    discard_upload  upload

All views get numbered updates (`revision`):

    state      state                    session, agents, the key of the answer in flight, …
    exchange   exchange, after, removed a new exchange; `after`: the key of the one before it
    patch      key, changes, meta       changes of an answer's tree, and of everything else
    reload                              the order has changed: request a snapshot
    heartbeat                           the number of the last update

Updates do get lost (a Jupyter server drops messages that come too fast). A view that finds a gap in
the numbers requests a snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Event, RLock
from typing import Any

Send = Callable[[dict[str, Any], list[bytes]], object]


class Channel:
    """Sends messages to all views of one panel.

    Each message is sent as one JSON buffer and not as the content of the widget message, because
    Jupyter would walk through the items of that content once more.

    Args:
        send: sends a widget message (content, buffers).

    Attributes:
        closed: set when the panel is closed and no view is left.
        lock: hold it while you change the panel's state and send that change, so that no other
            message comes between the two.
        revision: the number of the last update.
        last_ended: the key of the exchange whose answer ended last.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.closed = Event()
        self.lock = RLock()
        self.revision = 0
        self.last_ended = ""

    def broadcast(self, kind: str, **fields: Any) -> None:
        """Send a numbered update to all views."""
        with self.lock:
            self.revision += 1
            self._write({"kind": kind, "revision": self.revision, **fields})

    def respond(self, request: dict[str, Any], kind: str = "response", **fields: Any) -> None:
        """Send a response to the view that made a request."""
        with self.lock:
            if kind == "snapshot":
                fields["revision"] = self.revision
            view, identity = request.get("view"), request.get("id")
            self._write({"kind": kind, "view": view, "id": identity, **fields})

    def for_conversation(self) -> ConversationChannel:
        """Return a channel for one of the panel's conversations; it is muted at first."""
        return ConversationChannel(self._send, self)

    def heartbeat(self) -> None:
        """Send the number of the last update to all views, in case that update was lost."""
        with self.lock:  # so that the number never arrives before its update
            self._write({"kind": "heartbeat", "revision": self.revision})

    def _write(self, message: dict[str, Any]) -> None:
        packed = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        self._send({}, [packed.encode("utf-8", "replace")])


class ConversationChannel(Channel):
    """Sends the updates of one conversation, and drops them while another one is shown.

    Attributes:
        muted: whether updates are dropped.
    """

    def __init__(self, send: Send, panel_channel: Channel) -> None:
        super().__init__(send)
        self.closed, self.lock = panel_channel.closed, panel_channel.lock
        self.muted = True
        self._panel_channel = panel_channel

    def broadcast(self, kind: str, **fields: Any) -> None:
        """Send a numbered update to all views, unless muted."""
        with self.lock:
            if not self.muted:
                self._panel_channel.broadcast(kind, **fields)

    def heartbeat(self) -> None:
        """Send the number of the panel's last update to all views."""
        self._panel_channel.heartbeat()
