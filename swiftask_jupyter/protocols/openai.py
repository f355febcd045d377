"""The `openai` dialect: `POST /v1/chat/completions`, Swiftask's OpenAI-compatible service.

Documented: a Bearer token, the agent's slug as `model`, streaming by server-sent events that end
with `data: [DONE]`, 401 for a bad key, 400 for an unknown slug. Measured by others on the live
service: a usage event with `choices: []`, token counts of 0 next to a total that is not 0, and 400
for body fields it does not know. So only fields with evidence are sent.

A stream is decoded with typed msgspec structs, which is fast; chunks that do not fit them are
decoded again, leniently.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from swiftask_jupyter.answers.turn import Delta, Event, Finish, Raw, Usage, UsageSource
from swiftask_jupyter.errors import ServiceError, StreamError
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import Decoder, JSONBodyDecoder, Protocol, plausible_usage
from swiftask_jupyter.protocols.errors import embedded_error
from swiftask_jupyter.protocols.http import (
    LineSplitter,
    Request,
    ResponseHead,
    truncated_stream,
    unreadable_data,
)
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.sanitize import join_surrogates


class OpenAI(Protocol):
    """The OpenAI-compatible dialect; `base_url` ends in `/v1`.

    Args:
        base_url: the service's address.
        token: the API key.
        asks_usage: whether a streamed request asks for the usage event.
    """

    name = "openai"
    base_path = "/v1"
    streams = True
    takes_history = True
    owns_conversation = False
    takes_system = True

    def __init__(self, base_url: str, token: Secret, *, asks_usage: bool = True) -> None:
        super().__init__(base_url, token)
        self._asks_usage = asks_usage

    def request(self, prompt: Prompt) -> Request:
        """Return the chat completion request, streamed unless the prompt forbids it."""
        messages = [{"role": each.role, "content": each.text} for each in prompt.history]
        messages.append({"role": "user", "content": prompt.text})
        body: dict[str, Any] = {
            "model": prompt.agent,
            "messages": messages,
            "stream": prompt.stream,
        }
        if self._asks_usage and prompt.stream:  # an unstreamed answer reports usage anyway
            body["stream_options"] = {"include_usage": True}
        return Request(
            "POST",
            f"{self.base_url}/chat/completions",
            {
                **self.authorization(),
                "Content-Type": "application/json",
                "Accept": "text/event-stream" if prompt.stream else "application/json",
            },
            msgspec.json.encode({**body, **prompt.options}),
        )

    def fallback(self, error: ServiceError) -> Protocol | None:
        """Return a variant that does not ask for usage, if a 400 rejected that field."""
        names_the_field = any(word in str(error) for word in ("stream_options", "include_usage"))
        if error.status == 400 and names_the_field and self._asks_usage:
            return OpenAI(self.base_url, self.token, asks_usage=False)
        return None

    def decoder(self, head: ResponseHead) -> Decoder:
        """Return a decoder for a stream, or for JSON if the service did not stream."""
        if head.media_type == "text/event-stream":
            return StreamDecoder(self, head)
        return CompletionDecoder(self, head)


# gc=False: these structs live briefly and hold no cycles, so the garbage collector skips them.
class Message(msgspec.Struct, gc=False):
    """A message, or a piece of one in a stream."""

    content: str | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the alternative answers; we request one."""

    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None


class TokenUsage(msgspec.Struct, gc=False):
    """The token counts as the service reports them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Chunk(msgspec.Struct, gc=False):
    """The fields we read of a stream's chunk, or of a whole completion."""

    choices: list[Choice] | None = None
    usage: TokenUsage | None = None
    error: Any = None
    id: str | None = None
    model: str | None = None


_decode_chunk = msgspec.json.Decoder(Chunk).decode


class StreamDecoder(Decoder):
    """Decodes a stream of chunks, one in each `data:` line."""

    def __init__(self, protocol: OpenAI, head: ResponseHead) -> None:
        self._protocol = protocol
        self._head = head
        self._lines = LineSplitter()
        self._surrogates = SurrogateJoiner()
        self._has_text = False
        self._identified = False  # the id and the model have been yielded
        self._finished = False  # a finish reason has been yielded

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events of the lines that these bytes complete."""
        return self._decode_lines(self._lines.feed(data))

    def finish(self) -> Iterator[Event]:
        """Yield the events of a last line without a line ending.

        A stream that named a finish reason may lack `[DONE]`; any other was truncated.
        """
        yield from self._decode_lines(self._lines.finish())
        if rest := self._surrogates.finish():
            yield Delta(rest)
        if not (self.done or self._finished):
            raise truncated_stream()

    def _decode_lines(self, lines: list[bytes]) -> Iterator[Event]:
        # A long answer passes here some ten thousand times: the common case comes first.
        surrogates = self._surrogates
        for line in lines:
            if self.done or line[:5] != b"data:":
                continue
            data = line[5:]
            try:
                chunk = _decode_chunk(data)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                unusual = self._decode_unusual(data)
                if unusual is None:
                    continue
                chunk = unusual
                surrogates.active = True
            if chunk.choices:  # one answer was requested: it is the first choice
                choice = chunk.choices[0]
                if choice.delta is not None and (text := choice.delta.content):
                    self._has_text = True
                    if not surrogates.active or (text := surrogates.join(text)):
                        yield Delta(text)
                if choice.finish_reason is not None:
                    self._finished = True
                    yield Finish(choice.finish_reason)
            if not self._identified or chunk.usage is not None or chunk.error is not None:
                yield from self._rare_events(chunk, data)

    def _rare_events(self, chunk: Chunk, data: bytes) -> Iterator[Event]:
        """Yield the events that few chunks cause: usage, id and model; raise an error in it."""
        if chunk.error:
            raise embedded_error(self._protocol.token, self._head, data)
        if chunk.usage is not None:
            yield _usage(chunk.usage, "stream", has_text=self._has_text)
        if not self._identified and (chunk.id or chunk.model):
            self._identified = True
            yield Raw({"id": chunk.id, "model": chunk.model})

    def _decode_unusual(self, data: bytes) -> Chunk | None:
        """Decode a `data:` value that the fast decoder rejected; `None` for `[DONE]` or no value.

        Raises:
            StreamError: the value is not a JSON object.
        """
        value = data.strip()
        if value == b"[DONE]":
            self.done = True
            return None
        if not value:
            return None
        if (chunk := _decode_leniently(value)) is not None:
            return chunk
        raise unreadable_data(value, self._protocol.token)


class CompletionDecoder(JSONBodyDecoder):
    """Decodes the JSON body of a service that did not stream."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield the events of the completion's first choice."""
        chunk = _lenient_chunk(body)
        if not chunk.choices:
            raise StreamError("the answer holds no choices", advice="check SWIFTASK_BASE_URL")
        choice = chunk.choices[0]
        text = (choice.message and choice.message.content) or ""
        yield Raw({"id": chunk.id, "model": chunk.model})
        if text:
            yield Delta(text)
        if choice.finish_reason is not None:
            yield Finish(choice.finish_reason)
        if chunk.usage is not None:
            yield _usage(chunk.usage, "api", has_text=bool(text))


class SurrogateJoiner:
    r"""Joins surrogate pairs that were split over two chunks, such as `\ud83d` and `\ude00`.

    A service that cuts UTF-16 text splits an emoji this way. The first half waits for the next
    chunk. The fast decoder rejects lone surrogates, so only a leniently decoded chunk, or the
    chunk after it, needs joining.

    Attributes:
        active: whether the next text must pass through `join`.
    """

    __slots__ = ("_half", "active")

    def __init__(self) -> None:
        self._half = ""
        self.active = False

    def join(self, text: str) -> str:
        """Return the text with its pairs joined, and keep back a first half at its end."""
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        self.active = bool(self._half)
        return join_surrogates(text[: len(text) - len(self._half)])

    def finish(self) -> str:
        """Return a replacement character for a half whose other half never came, else nothing."""
        half, self._half = self._half, ""
        return join_surrogates(half)


def _decode_leniently(data: bytes) -> Chunk | None:
    """Decode a chunk that the fast decoder rejects; return `None` if it is not a JSON object.

    The fast decoder rejects lone surrogates, and fields whose type is not the documented one,
    even if nothing depends on them.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return _lenient_chunk(value) if isinstance(value, dict) else None


def _lenient_chunk(value: dict[str, Any]) -> Chunk:
    """Return the chunk in a decoded object; a field of an unexpected type counts as missing."""
    choices = value.get("choices")
    usage = value.get("usage")
    return Chunk(
        choices=[_lenient_choice(each) for each in choices if isinstance(each, dict)]
        if isinstance(choices, list)
        else None,
        usage=TokenUsage(*(usage.get(name) for name in TokenUsage.__struct_fields__))
        if isinstance(usage, dict)
        else None,
        error=value.get("error"),
        id=_text_or_none(value.get("id")),
        model=_text_or_none(value.get("model")),
    )


def _lenient_choice(value: dict[str, Any]) -> Choice:
    def message(key: str) -> Message | None:
        each = value.get(key)
        return Message(_text_or_none(each.get("content"))) if isinstance(each, dict) else None

    finish_reason = _text_or_none(value.get("finish_reason"))
    return Choice(message("delta"), message("message"), finish_reason)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _usage(usage: TokenUsage, source: UsageSource, *, has_text: bool) -> Usage:
    """Return the usage that a chunk or a completion reports."""
    return plausible_usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        source=source,
        has_text=has_text,
    )
