"""`POST /chat/{slug}`: the agent platform whose API lives under `/v1/api`.

Documented: Bearer token, `message`, `stream`, `conversationId`; one JSON envelope, or server-sent
events without a blank line between them that end with `data: [DONE]`. The server keeps the
conversation. Its id is documented in the JSON answer alone, so that a first turn is not streamed;
should a stream name it all the same, it is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from swiftask_jupyter.answers.turn import Conversation, Delta, Event, Raw
from swiftask_jupyter.errors import StreamError
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import BodyDecoder, Decoder, Protocol, Request, counted
from swiftask_jupyter.protocols.errors import Head, in_band
from swiftask_jupyter.protocols.sse import Lines, cut, nonsense, payload

IDENTITY = "user_identifier"


class Chat(Protocol):
    """The `/chat/{slug}` dialect; `root` is the address that ends in `/v1/api`."""

    name = "chat"
    family = "/v1/api"
    streams = True
    takes_history = False
    owns_conversation = True

    def request(self, prompt: Prompt) -> Request:
        """Return the request: streamed once the conversation's id is known."""
        options = dict(prompt.options)
        headers = {**self.authorization(), "Content-Type": "application/json"}
        if (identity := options.pop(IDENTITY, None)) is not None:
            headers["x-user-identifier"] = str(identity)
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
            f"{self.root}/chat/{quote(prompt.agent, safe='')}",
            headers,
            msgspec.json.encode(body),
        )

    def remark(self, prompt: Prompt) -> str:
        """Say why a first answer comes all at once."""
        first = prompt.stream and prompt.conversation is None
        return "chat streams from a conversation's second turn on" if first else ""

    def decoder(self, head: Head) -> Decoder:
        """Return a reader for the stream or for the JSON envelope."""
        if head.media_type == "text/event-stream":
            return ChunkDecoder(self, head)
        return EnvelopeDecoder(self, head)


class EnvelopeDecoder(BodyDecoder):
    """Reads `{"data": {"response", "conversationId", "metadata"}, "error": null}`."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield what the envelope holds."""
        data = body.get("data")
        if not isinstance(data, dict) or not isinstance(data.get("response", ""), str):
            raise StreamError("the answer holds no data", advice="check the connection's base_url")
        text = data.pop("response", "")
        yield from _named(data, self._head)
        if text:
            yield Delta(text)
        metadata = data.get("metadata")
        if isinstance(metadata, dict):  # one number: neither sent nor made
            yield counted(None, None, metadata.get("tokens"), source="api", answered=bool(text))
        yield Raw({**data, "limits": _limits(self._head)})


class ChunkDecoder(Decoder):
    """Reads `data: {"chunk": "…"}` lines."""

    def __init__(self, protocol: Protocol, head: Head) -> None:
        self._protocol = protocol
        self._head = head
        self._lines = Lines()
        self._began = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events of the lines that these bytes complete."""
        if not self._began:
            self._began = True
            yield from _named({}, self._head)
            yield Raw({"limits": _limits(self._head)})
        yield from self._read(self._lines.feed(data))

    def _read(self, lines: list[bytes]) -> Iterator[Event]:
        for line in lines:
            said = (payload(line) or b"").strip()
            if not said or self.over:
                continue
            if said == b"[DONE]":
                self.over = True
                continue
            try:
                chunk = msgspec.json.decode(said)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                chunk = None
            if not isinstance(chunk, dict):
                raise nonsense(said, self._protocol.token)
            if chunk.get("error"):
                raise in_band(self._protocol.token, self._head, said)
            text = chunk.get("chunk")
            if isinstance(text, str) and text:
                yield Delta(text)
            yield from _named(chunk, None)

    def finish(self) -> Iterator[Event]:
        """Yield the events of a last line without an end; without `[DONE]` it was cut."""
        yield from self._read(self._lines.finish())
        if not self.over:
            raise cut()


def _named(fields: dict[str, Any], head: Head | None) -> Iterator[Event]:
    """Yield the conversation's id, wherever it stands: the header is undocumented."""
    named = fields.get("conversationId") or (head and head.headers.get("x-conversation-id"))
    if isinstance(named, str) and named:
        yield Conversation(named)


def _limits(head: Head) -> dict[str, str]:
    """Return the rate limit's headers."""
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    return {name: head.headers[name] for name in names if name in head.headers}
