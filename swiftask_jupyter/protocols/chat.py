"""The `chat` dialect: `POST /chat/{slug}`, for an agent platform whose API is under `/v1/api`.

According to its documentation, the API takes a Bearer token and the fields `message`, `stream` and
`conversationId`. The answer is one JSON object, or a stream of server-sent events. The stream ends
with `data: [DONE]` and has no blank lines between events.

The service stores the conversation. The documentation describes the conversation's id only for the
JSON answer. So the first answer of a conversation is requested as JSON, not as a stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from swiftask_jupyter.answers.turn import ConversationId, Delta, Event, Raw
from swiftask_jupyter.errors import StreamError
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import (
    STREAM_TYPES,
    Decoder,
    JSONBodyDecoder,
    Protocol,
    SniffingDecoder,
    plausible_usage,
)
from swiftask_jupyter.protocols.errors import embedded_error, has_embedded_error
from swiftask_jupyter.protocols.http import (
    LineSplitter,
    Request,
    ResponseHead,
    data_field,
    is_sign_of_life,
    truncated_stream,
    unreadable_data,
)

USER_OPTION = "user_identifier"  # the option that names the end user, sent as a header


class Chat(Protocol):
    """The dialect for the route `/chat/{slug}`; `base_url` must end in `/v1/api`."""

    name = "chat"
    base_path = "/v1/api"
    streams = True
    takes_history = False
    owns_conversation = True

    def request(self, prompt: Prompt) -> Request:
        """Return the POST request for a prompt.

        The answer is streamed only if the prompt allows streaming and has a conversation id. The
        first answer of a conversation is requested as JSON, because only JSON is known to contain
        the id.
        """
        options = dict(prompt.options)
        headers = {**self.authorization(), "Content-Type": "application/json"}
        if (user := options.pop(USER_OPTION, None)) is not None:
            headers["x-user-identifier"] = str(user)
        body = {
            "message": prompt.text,
            "stream": prompt.stream and prompt.conversation is not None,
            "conversationId": prompt.conversation,
            **options,
        }
        if prompt.conversation is None:
            del body["conversationId"]
        return Request(
            "POST",
            f"{self.base_url}/chat/{quote(prompt.agent, safe='')}",
            headers,
            msgspec.json.encode(body),
        )

    def remark(self, prompt: Prompt) -> str:
        """Return a note for the first prompt of a conversation if the prompt allows streaming.

        The note says that the first answer is not streamed. For any other prompt, return an empty
        string.
        """
        first = prompt.stream and prompt.conversation is None
        return "chat streams from a conversation's second turn on" if first else ""

    def decoder(self, head: ResponseHead) -> Decoder:
        """Return a decoder for a stream or for a JSON object.

        Without the content type of a stream, the first bytes of the body decide.
        """
        if head.media_type in STREAM_TYPES:
            return ChatStreamDecoder(self, head)
        return SniffingDecoder(ChatStreamDecoder(self, head), ChatBodyDecoder(self, head))


class ChatBodyDecoder(JSONBodyDecoder):
    """Decodes an answer that is one JSON object, not a stream.

    The object has the form `{"data": {"response", "conversationId", "metadata"}, "error": null}`.
    """

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield the conversation's id, the text, the usage and the remaining fields as events.

        Raises:
            StreamError: `data` is not an object, or its `response` is not a string.
        """
        data = body.get("data")
        if not isinstance(data, dict) or not isinstance(data.get("response", ""), str):
            raise StreamError("the answer holds no data", advice="check the connection's base_url")
        text = data.pop("response", "")
        yield from _conversation_events(data, self._head)
        if text:
            yield Delta(text)
        metadata = data.get("metadata")
        if isinstance(metadata, dict):  # its only token count is the total
            yield plausible_usage(
                None, None, metadata.get("tokens"), source="api", has_text=bool(text)
            )
        yield Raw({**data, "limits": _rate_limit_headers(self._head)})


class ChatStreamDecoder(Decoder):
    """Decodes a stream whose lines have the form `data: {"chunk": "…"}`."""

    def __init__(self, protocol: Protocol, head: ResponseHead) -> None:
        self._protocol = protocol
        self._head = head
        self._lines = LineSplitter()
        self._started = False
        self._failing = False  # the next data is that of `event: error`

    def feed(self, data: bytes) -> Iterator[Event]:
        """Decode the next bytes, and yield the events of the lines that are now complete.

        Raises:
            StreamError: a line is too long or is not a JSON object.
            ServiceError: a line contains an error message of the service.
        """
        if not self._started:
            self._started = True
            yield from _conversation_events({}, self._head)
            yield Raw({"limits": _rate_limit_headers(self._head)})
        yield from self._decode_lines(self._lines.feed(data))

    def finish(self) -> Iterator[Event]:
        """Yield the events of the last line if that line has no line ending.

        Raises:
            StreamError: the stream ended without `[DONE]`, or the last line cannot be decoded.
            ServiceError: the last line contains an error message of the service.
        """
        yield from self._decode_lines(self._lines.finish())
        if not self.done:
            raise truncated_stream()

    def _decode_lines(self, lines: list[bytes]) -> Iterator[Event]:
        for line in lines:
            if line[:6] == b"event:":
                self._failing = line[6:].strip().lower() == b"error"
            is_error = line[:6] == b"error:"
            data = (line[6:] if is_error else data_field(line) or b"").strip()
            if not data or self.done or is_sign_of_life(data):
                continue
            if is_error or self._failing:
                raise embedded_error(self._protocol.token, self._head, data)
            if data == b"[DONE]":
                self.done = True
                continue
            try:
                chunk = msgspec.json.decode(data)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                chunk = None
            if not isinstance(chunk, dict):
                raise unreadable_data(data, self._protocol.token)
            if has_embedded_error(chunk):
                raise embedded_error(self._protocol.token, self._head, data)
            text = chunk.get("chunk")
            if isinstance(text, str) and text:
                yield Delta(text)
            yield from _conversation_events(chunk, None)


def _conversation_events(fields: dict[str, Any], head: ResponseHead | None) -> Iterator[Event]:
    """Yield the conversation's id as an event; yield nothing if the response contains no id.

    Args:
        fields: the fields of the answer. They are searched first.
        head: the response's head. The undocumented header `x-conversation-id` is searched next.
            `None` means that only the fields are searched.
    """
    conversation = fields.get("conversationId")
    conversation = conversation or (head and head.headers.get("x-conversation-id"))
    if isinstance(conversation, str) and conversation:
        yield ConversationId(conversation)


def _rate_limit_headers(head: ResponseHead) -> dict[str, str]:
    """Return a dict that maps the names of the response's rate limit headers to their values."""
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    return {name: head.headers[name] for name in names if name in head.headers}
