"""Calls the chat widget's API for ratings and stored conversations, and downloads files.

The service's documentation gives only examples of this API and does not specify the responses.
So the JSON of a response is returned unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from swiftask_jupyter.errors import ConfigurationError, ServiceError, StreamError
from swiftask_jupyter.protocols.errors import embedded_error, error_message, has_embedded_error
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.protocols.widget import NEGATIVE, POSITIVE, Widget
from swiftask_jupyter.settings.connection import Connection
from swiftask_jupyter.support.io_thread import IOThread
from swiftask_jupyter.transport.client import Transport

MAX_FILE_BYTES = 200 * 1024 * 1024
EXPIRED = "such an address may expire; ask for the file again"


class WidgetAPI:
    """Calls the widget API's routes for ratings, stored conversations and the widget's appearance.

    The client token in the settings selects the agent. Every method returns the JSON of the
    response.

    Raises:
        ConnectionFailed: no response arrived.
        ServiceError: the service responded with an error.
        StreamError: the response is not JSON.
    """

    def __init__(
        self, thread: IOThread, transport: Transport, connection: Callable[[], Connection]
    ) -> None:
        self._thread = thread
        self._transport = transport
        self._connection = connection

    def config(self) -> Any:
        """Return the appearance of the agent's chat widget: colours, avatar and so on."""
        return self._call(lambda widget: widget.config())

    def feedback(self, session_id: int | str, *, good: bool, comment: str = "") -> Any:
        """Rate a whole conversation as good or bad, with a comment.

        `session_id` is the service's id of the conversation.
        """
        rating = POSITIVE if good else NEGATIVE
        return self._call(lambda widget: widget.feedback(rating, comment, session_id))

    def like(self, message_id: int | str) -> Any:
        """Rate one message as good."""
        return self._call(lambda widget: widget.like(message_id, POSITIVE))

    def dislike(self, message_id: int | str) -> Any:
        """Rate one message as bad."""
        return self._call(lambda widget: widget.like(message_id, NEGATIVE))

    def conversation(self, session_id: int | str) -> Any:
        """Return the messages of a conversation that the service stores."""
        return self._call(lambda widget: widget.conversation(session_id))

    def delete_conversation(self, session_id: int | str) -> Any:
        """Delete a conversation from the service; the local ledger keeps it."""
        return self._call(lambda widget: widget.delete(session_id))

    def _call(self, build_request: Callable[[Widget], Request]) -> Any:
        """Send one request and return the JSON of the response; `None` for an empty body."""
        connection = self._connection()
        widget = Widget(connection.root(Widget.base_path), connection.token)
        head, body = self._thread.run(self._transport.fetch(build_request(widget)))
        if head.status >= 300:
            raise widget.error(head, body, "")
        try:
            parsed = json.loads(body) if body.strip() else None
        except (ValueError, RecursionError):
            raise StreamError("the answer is not JSON") from None
        if has_embedded_error(parsed):
            raise embedded_error(widget.token, head, body)
        return parsed


async def download(transport: Transport, url: str) -> bytes:
    """Return the content of the file at a URL, up to 200 MiB.

    No token is sent, because the host may be unknown.

    Raises:
        ConfigurationError: the URL is not http or https.
        ConnectionFailed: no response arrived.
        ServiceError: the server responded with an error, for example because the URL has expired.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:  # such as an unclosed IPv6 address
        scheme = ""
    if scheme not in {"http", "https"}:
        raise ConfigurationError("only an http(s) address can be downloaded")
    head, body = await transport.fetch(Request("GET", url, {}), limit=MAX_FILE_BYTES)
    if head.status >= 300:
        reason = error_message(body) or "without a word"
        raise ServiceError(f"{head.status}: {reason}", status=head.status, advice=EXPIRED)
    return body
