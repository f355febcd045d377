"""Requests beside asking: the widget's routes, documented by examples alone, and downloads.

Bodies of the widget's answers are not documented: they are returned as they come.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from swiftask_jupyter.errors import ConfigurationError, ServiceError, StreamError
from swiftask_jupyter.protocols.base import Request
from swiftask_jupyter.protocols.errors import carries_error, in_band, message_of
from swiftask_jupyter.protocols.widget import NEGATIVE, POSITIVE, Widget
from swiftask_jupyter.settings.connection import Connection
from swiftask_jupyter.support.io_thread import IOThread
from swiftask_jupyter.transport.client import Transport

LONGEST_FILE = 200 * 1024 * 1024
EXPIRED = "such an address may expire; ask for the file again"


class WidgetRoutes:
    """Feedback, conversations and appearance of the agent whose client token is used."""

    def __init__(
        self, thread: IOThread, transport: Transport, connection: Callable[[], Connection]
    ) -> None:
        self._thread = thread
        self._transport = transport
        self._connection = connection

    def config(self) -> Any:
        """Return the widget's appearance: colours, avatar and the like."""
        return self._call(lambda widget: widget.config())

    def feedback(self, session_id: int | str, *, good: bool, comment: str = "") -> Any:
        """Say how a whole conversation was."""
        word = POSITIVE if good else NEGATIVE
        return self._call(lambda widget: widget.feedback(word, comment, session_id))

    def like(self, message_id: int | str) -> Any:
        """Say that one message was good."""
        return self._call(lambda widget: widget.like(message_id, POSITIVE))

    def dislike(self, message_id: int | str) -> Any:
        """Say that one message was not good."""
        return self._call(lambda widget: widget.like(message_id, NEGATIVE))

    def conversation(self, session_id: int | str) -> Any:
        """Return what was said in a session."""
        return self._call(lambda widget: widget.conversation(session_id))

    def delete_conversation(self, session_id: int | str) -> Any:
        """Delete what was said in a session, at the service."""
        return self._call(lambda widget: widget.delete(session_id))

    def _call(self, write: Callable[[Widget], Request]) -> Any:
        """Send one request and return its JSON.

        Raises:
            ConnectionFailed: no answer came.
            ServiceError: the service answered with an error.
        """
        connection = self._connection()
        widget = Widget(connection.root(Widget.family), connection.token)
        head, body = self._thread.run(self._transport.fetch(write(widget)))
        if head.status >= 300:
            raise widget.error(head, body, "")
        try:
            said = json.loads(body) if body.strip() else None
        except (ValueError, RecursionError):
            raise StreamError("the answer is not JSON") from None
        if carries_error(said):
            raise in_band(widget.token, head, body)
        return said


async def download(transport: Transport, url: str) -> bytes:
    """Return what a URL holds; it may be anybody's, so no token goes along.

    Raises:
        ConfigurationError: it is no http(s) address.
        ServiceError: it can't be had.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:  # half an IPv6 address
        scheme = ""
    if scheme not in {"http", "https"}:
        raise ConfigurationError("only an http(s) address can be downloaded")
    head, body = await transport.fetch(Request("GET", url, {}), limit=LONGEST_FILE)
    if head.status >= 300:
        said = message_of(body) or "without a word"
        raise ServiceError(f"{head.status}: {said}", status=head.status, advice=EXPIRED)
    return body
