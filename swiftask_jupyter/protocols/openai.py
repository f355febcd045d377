"""The `openai` dialect: `POST /v1/chat/completions`, Swiftask's OpenAI-compatible API.

According to its documentation, the API takes a Bearer token and the agent's slug as `model`. It
streams server-sent events that end with `data: [DONE]`. It answers with status 401 for an invalid
key and with status 400 for an unknown slug.

Other clients of the service report three deviations: a usage event with `choices: []`, token counts
of 0 next to a total that is not 0, and status 400 for unknown fields of the request. So only fields
that are known to be accepted are sent.

For speed, the chunks of a stream are decoded into typed msgspec structs. A chunk that does not fit
the types is decoded a second time without type checks.
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
    """The dialect for OpenAI-compatible APIs; `base_url` must end in `/v1`.

    Args:
        base_url: the URL that the routes are appended to.
        token: the API key.
        asks_usage: whether to request the token counts of a streamed answer (`stream_options`).
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
        """Return the POST request for a prompt; request a stream if `prompt.stream` is true."""
        messages = [{"role": each.role, "content": each.text} for each in prompt.history]
        messages.append({"role": "user", "content": prompt.text})
        body: dict[str, Any] = {
            "model": prompt.agent,
            "messages": messages,
            "stream": prompt.stream,
        }
        if self._asks_usage and prompt.stream:  # without a stream, usage is always reported
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
        """Return a variant of this dialect that does not send `stream_options`, or `None`.

        The variant is returned if the service rejected the field `stream_options` with status 400.
        """
        names_the_field = any(word in str(error) for word in ("stream_options", "include_usage"))
        if error.status == 400 and names_the_field and self._asks_usage:
            return OpenAI(self.base_url, self.token, asks_usage=False)
        return None

    def decoder(self, head: ResponseHead) -> Decoder:
        """Return a decoder for a stream or for a JSON object, depending on the content type."""
        if head.media_type == "text/event-stream":
            return CompletionStreamDecoder(self, head)
        return CompletionDecoder(self, head)


# gc=False excludes these structs from garbage collection: they are short-lived and have no cycles.
class CompletionMessage(msgspec.Struct, gc=False):
    """The text of an answer or, in a stream, the next piece of the text."""

    content: str | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the alternative answers in a response; the dialect reads only the first."""

    delta: CompletionMessage | None = None
    message: CompletionMessage | None = None
    finish_reason: str | None = None


class TokenUsage(msgspec.Struct, gc=False):
    """The token counts in a response, as the service reports them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class CompletionChunk(msgspec.Struct, gc=False):
    """One JSON object of a response: a chunk of a stream, or a whole answer.

    Only the fields that the dialect reads are declared.
    """

    choices: list[Choice] | None = None
    usage: TokenUsage | None = None
    error: Any = None
    id: str | None = None
    model: str | None = None


_decode_chunk = msgspec.json.Decoder(CompletionChunk).decode


class CompletionStreamDecoder(Decoder):
    """Decodes a stream in which each `data:` line contains one chunk, a JSON object."""

    def __init__(self, protocol: OpenAI, head: ResponseHead) -> None:
        self._protocol = protocol
        self._head = head
        self._lines = LineSplitter()
        self._surrogates = SurrogateJoiner()
        self._has_text = False
        self._identified = False  # the id and the model have been yielded
        self._finished = False  # a finish reason has been yielded

    def feed(self, data: bytes) -> Iterator[Event]:
        """Decode the next bytes, and yield the events of the lines that are now complete.

        Raises:
            StreamError: a line is too long, or its value is not a JSON object.
            ServiceError: a chunk contains an error message of the service.
        """
        return self._decode_lines(self._lines.feed(data))

    def finish(self) -> Iterator[Event]:
        """Yield the events of the last line if that line has no line ending.

        Raises:
            StreamError: the stream contained neither `[DONE]` nor a finish reason, or the last line
                cannot be decoded.
            ServiceError: the last line contains an error message of the service.
        """
        yield from self._decode_lines(self._lines.finish())
        if rest := self._surrogates.finish():
            yield Delta(rest)
        if not (self.done or self._finished):
            raise truncated_stream()

    def _decode_lines(self, lines: list[bytes]) -> Iterator[Event]:
        # This loop runs about ten thousand times for a long answer, so the common case comes first.
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
            if chunk.choices:  # only one answer was requested, so the first choice is the answer
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

    def _rare_events(self, chunk: CompletionChunk, data: bytes) -> Iterator[Event]:
        """Yield the usage of a chunk, and the id and the model of the answer, as events.

        A chunk without usage gives no usage event. The id and the model are yielded only once for
        the stream, as a `Raw` event.

        Args:
            chunk: the decoded chunk.
            data: the JSON text of the chunk, for the exception's message.

        Raises:
            ServiceError: the chunk contains an error message of the service.
        """
        if chunk.error:
            raise embedded_error(self._protocol.token, self._head, data)
        if chunk.usage is not None:
            yield _usage(chunk.usage, "stream", has_text=self._has_text)
        if not self._identified and (chunk.id or chunk.model):
            self._identified = True
            yield Raw({"id": chunk.id, "model": chunk.model})

    def _decode_unusual(self, data: bytes) -> CompletionChunk | None:
        """Decode the value of a `data:` line that does not fit the typed msgspec structs.

        Return `None` for the end marker `[DONE]` and for an empty value. The end marker also sets
        `done`.

        Raises:
            StreamError: the value is not empty, not `[DONE]` and not a JSON object.
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
    """Decodes an answer that is one JSON object, not a stream."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield the id and the model, the text, the finish reason and the usage as events.

        The text and the finish reason are those of the first choice.

        Raises:
            StreamError: the object has no choices.
        """
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

    A service may split an emoji in this way. `join` keeps the first surrogate until the next chunk
    arrives. Most texts need no `join`: the typed msgspec decoder rejects lone surrogates. A text
    needs `join` if its chunk was decoded without type checks, or if a surrogate is kept.

    Attributes:
        active: whether the text of the next chunk must pass through `join`.
    """

    __slots__ = ("_half", "active")

    def __init__(self) -> None:
        self._half = ""
        self.active = False

    def join(self, text: str) -> str:
        """Return `text` with its surrogate pairs joined into characters.

        A surrogate kept by the last call is put before `text`. If `text` ends with the first
        surrogate of a pair, this surrogate is kept for the next call and not returned. Other lone
        surrogates are replaced by U+FFFD. `text` must not be empty.
        """
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        self.active = bool(self._half)
        return join_surrogates(text[: len(text) - len(self._half)])

    def finish(self) -> str:
        """Return U+FFFD if a surrogate is still kept at the end of the stream, else `""`."""
        half, self._half = self._half, ""
        return join_surrogates(half)


def _decode_leniently(data: bytes) -> CompletionChunk | None:
    """Decode a chunk without type checks; return `None` if the chunk is not a JSON object.

    Used for chunks that the typed msgspec decoder rejects, for example because of a lone surrogate
    or of a value with an undocumented type.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return _lenient_chunk(value) if isinstance(value, dict) else None


def _lenient_chunk(value: dict[str, Any]) -> CompletionChunk:
    """Convert a JSON object to a `CompletionChunk`; values of an unexpected type become `None`."""
    choices = value.get("choices")
    usage = value.get("usage")
    return CompletionChunk(
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
    def message(key: str) -> CompletionMessage | None:
        each = value.get(key)
        return (
            CompletionMessage(_text_or_none(each.get("content")))
            if isinstance(each, dict)
            else None
        )

    finish_reason = _text_or_none(value.get("finish_reason"))
    return Choice(message("delta"), message("message"), finish_reason)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _usage(usage: TokenUsage, source: UsageSource, *, has_text: bool) -> Usage:
    """Return the usage event for the token counts in a chunk or in a whole answer.

    Args:
        usage: the token counts.
        source: `stream` for a chunk, `api` for a whole answer.
        has_text: whether the answer has text. If so, an output count of 0 is ignored.
    """
    return plausible_usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        source=source,
        has_text=has_text,
    )
