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
from swiftask_jupyter.protocols.base import (
    STREAM_TYPES,
    Decoder,
    JSONBodyDecoder,
    Protocol,
    SniffingDecoder,
    merged_usage,
    plausible_usage,
)
from swiftask_jupyter.protocols.errors import embedded_error, has_embedded_error, no_stream
from swiftask_jupyter.protocols.http import (
    LineSplitter,
    Request,
    ResponseHead,
    is_sign_of_life,
    truncated_stream,
    unreadable_data,
)
from swiftask_jupyter.protocols.openai_shapes import (
    NO_REASON,
    Choice,
    Chunk,
    Message,
    TokenUsage,
    ToolCalls,
    counted,
    decode_chunk,
    decode_leniently,
    is_incomplete,
    lenient_chunk,
    message_text,
    parsed,
)
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.sanitize import SurrogateJoiner

MAX_STRANGE_BYTES = 64 * 1024  # of lines that are no fields of an event
MAX_PARTIAL_BYTES = 1024 * 1024  # of one JSON object over several lines
_FIELDS = frozenset((b"", b"id", b"retry", b"data"))  # a comment has no name before its colon


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
        """Return a decoder for a stream or for a JSON object.

        Without the content type of a stream, the first bytes of the body decide.
        """
        if head.media_type in STREAM_TYPES:
            return StreamDecoder(self, head)
        return SniffingDecoder(StreamDecoder(self, head), CompletionDecoder(self, head))


class StreamDecoder(Decoder):
    """Decodes a stream in which each `data:` line contains one chunk, a JSON object.

    The decoder also accepts lines that some services send by mistake: a chunk without `data:`, a
    chunk over several lines, a comment after `data:`, and errors as `error:` or `event: error`.
    """

    def __init__(self, protocol: OpenAI, head: ResponseHead) -> None:
        self._protocol = protocol
        self._head = head
        self._lines = LineSplitter()
        self._surrogates = SurrogateJoiner()
        self._tools: ToolCalls | None = None
        self._usage = Usage()
        self._has_text = False
        self._identified = False  # the id and the model have been yielded
        self._index: int | None = None  # of the choice that is the answer
        self._failing = False  # the next data is that of `event: error`
        self._failed = False  # the finish reason is `error`
        self._partial = b""  # the beginning of a JSON object whose end is on a later line
        self._strange = b""  # lines that are no fields of an event

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
            ServiceError: the last line contains an error message of the service, or the finish
                reason is `error`.
        """
        try:
            yield from self._decode_lines(self._lines.finish())
        except StreamError:
            if not self.complete:  # a line that was cut after the end of the answer is no loss
                raise
        if rest := self._surrogates.finish():
            yield Delta(rest)
        if self._tools and (calls := self._tools.listed()):
            yield Raw({"tool_calls": calls})
        if self._failed:
            raise ServiceError(
                "the agent's answer ended with an error, and the service does not say which",
                status=self._head.status,
            )
        if not (self.done or self.complete):
            if self._partial:
                raise unreadable_data(self._partial, self._protocol.token)
            if self._strange and not self._identified:
                raise no_stream(self._strange, self._protocol.token)
            raise truncated_stream()

    def _decode_lines(self, lines: list[bytes]) -> Iterator[Event]:
        # This loop runs about ten thousand times for a long answer, so the common case comes first.
        surrogates = self._surrogates
        for line in lines:
            if self.done or not line or (chunk := self._chunk(line)) is None:
                continue
            if chunk.choices:
                choice = chunk.choices[0]
                if choice.index != self._index:
                    choice = self._chosen(chunk.choices)
                if text := (choice.delta and choice.delta.content) or self._other_text(choice):
                    self._has_text = True
                    if not surrogates.active or (text := surrogates.join(text)):
                        yield Delta(text)
                if choice.finish_reason or choice.error:
                    yield from self._ending(chunk, choice)
            if not self._identified or chunk.usage or chunk.error or chunk.x_groq:
                yield from self._rare_events(chunk)

    def _chunk(self, line: bytes) -> Chunk | None:
        """Decode a line that is not empty; return `None` if the line has no chunk.

        Raises:
            StreamError: the value of the line cannot be decoded.
            ServiceError: the line contains an error message of the service, but no chunk.
        """
        data: bytes | None = line[5:]
        if self._partial or self._failing or line[:5] != b"data:":
            data = self._unusual_line(line)
        if data is None:
            return None
        try:
            chunk = decode_chunk(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            unusual = self._decode_unusual(data)
            if unusual is None:
                return None
            chunk = unusual
            self._surrogates.active = True
        if not chunk.choices and chunk.usage is None and has_embedded_error(body := parsed(data)):
            chunk.error = body
        return chunk

    def _ending(self, chunk: Chunk, choice: Choice) -> Iterator[Event]:
        """Yield the finish reason of a choice. Its error and usage become those of the chunk."""
        chunk.error = chunk.error or choice.error
        if choice.finish_reason and choice.finish_reason.lower() not in NO_REASON:
            self.complete = True
            self._failed = choice.finish_reason == "error"
            chunk.usage = chunk.usage or choice.usage
            yield Finish(choice.finish_reason)

    def _rare_events(self, chunk: Chunk) -> Iterator[Event]:
        """Yield an event with the usage of a chunk, and an event with the id and the model.

        A chunk without usage gives no usage event. The id and the model are yielded only once for
        the stream, as a `Raw` event.

        Raises:
            ServiceError: the chunk contains an error message of the service.
        """
        if chunk.error:
            raise self._error(json.dumps(chunk.error).encode())
        usage = counted(chunk) if chunk.x_groq else chunk.usage
        if usage is not None:
            later = _usage(usage, "stream", has_text=self._has_text)
            self._usage = merged_usage(self._usage, later)
            yield self._usage
        if not self._identified and (chunk.id or chunk.model):
            self._identified = True
            yield Raw({"id": chunk.id, "model": chunk.model})

    def _error(self, body: bytes) -> ServiceError:
        return embedded_error(self._protocol.token, self._head, body)

    def _chosen(self, choices: list[Choice]) -> Choice:
        """Return the choice that is the answer: of several ones, the first that ever arrived.

        If this piece of the stream is of other choices only, an empty choice is returned.
        """
        if self._index is None:
            self._index = choices[0].index
        own = (each for each in choices if each.index is None or each.index == self._index)
        return next(own, Choice())

    def _other_text(self, choice: Choice) -> str:
        """Return the text of a choice whose delta has no content, and note what else it has."""
        message = choice.delta or (None if self._has_text else choice.message)
        if message is None:
            return choice.text or ""
        if message.tool_calls or message.function_call:
            self._tools = self._tools or ToolCalls()
            self._tools.add(message)
            self.progress += 1
        elif message.reasoning_content or message.reasoning:
            self.progress += 1
        return message.content or message.refusal or ""

    def _unusual_line(self, line: bytes) -> bytes | None:
        """Return the JSON of a line without `data:`, or of several lines; `None` if there is none.

        Raises:
            ServiceError: the line is an error, `error: {…}`, or follows `event: error`.
            StreamError: the line does not continue the lines before it.
        """
        field, _, value = line.partition(b":")
        if field == b"error" or (field == b"data" and self._failing):
            raise self._error(value)
        if field == b"data":
            return self._continued(value)
        if field == b"event":
            self._failing = value.strip().lower() == b"error"
        elif self._partial:
            return self._continued(line)
        elif line[:1] == b"{":
            return line
        elif field not in _FIELDS and len(self._strange) < MAX_STRANGE_BYTES:
            self._strange += line + b"\n"
        return None

    def _continued(self, data: bytes) -> bytes | None:
        """Return the data of a line with that of the lines before it; `None` if it has no end yet.

        Raises:
            StreamError: the data do not continue the lines before it.
        """
        joined = self._partial + b"\n" + data
        self._partial, earlier = b"", self._partial
        if decode_leniently(joined) is not None:
            return joined
        if not is_incomplete(joined) or decode_leniently(data) or len(joined) > MAX_PARTIAL_BYTES:
            raise unreadable_data(earlier, self._protocol.token)
        self._partial = joined
        return None

    def _decode_unusual(self, data: bytes) -> Chunk | None:
        """Decode the value of a `data:` line that does not fit the typed msgspec structs.

        Return `None` for the end marker `[DONE]`, for an empty value, for a comment, and for the
        beginning of an object. The end marker also sets `done`.

        Raises:
            ServiceError: the value is a text that begins with the word error.
            StreamError: the value is none of these and not a JSON object.
        """
        value = data.strip()
        if value.upper().strip(b'"') in {b"[DONE]", b"DONE"}:
            self.done = True
            return None
        if not value or is_sign_of_life(value):
            return None
        if (chunk := decode_leniently(value)) is not None:
            return chunk
        if is_incomplete(value):
            self._partial = value
            return None
        if value[:6].lower().strip(b"[").startswith(b"error"):
            raise self._error(value)
        raise unreadable_data(value, self._protocol.token)


class CompletionDecoder(JSONBodyDecoder):
    """Decodes an answer that is one JSON object, not a stream."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield the id and the model, the text, the finish reason and the usage as events.

        The text and the finish reason are those of the first choice.

        Raises:
            StreamError: the object has no choices.
            ServiceError: the choice contains an error.
        """
        chunk = lenient_chunk(body)
        if not chunk.choices:
            raise StreamError("the answer holds no choices", advice="check SWIFTASK_BASE_URL")
        choice = min(chunk.choices, key=lambda each: each.index or 0)
        message = choice.message or choice.delta
        text = message_text(message) or choice.text or ""
        yield Raw({"id": chunk.id, "model": chunk.model})
        tools = ToolCalls()
        tools.add(message or Message())
        if calls := tools.listed():
            yield Raw({"tool_calls": calls})
        if text:
            yield Delta(text)
        if choice.finish_reason and choice.finish_reason.lower() not in NO_REASON:
            yield Finish(choice.finish_reason)
        chunk.usage = chunk.usage or choice.usage
        if usage := counted(chunk):
            yield _usage(usage, "api", has_text=bool(text))
        if choice.error or choice.finish_reason == "error":
            error = msgspec.json.encode(choice.error) if choice.error else b""
            raise embedded_error(self._protocol.token, self._head, error)


def _usage(usage: TokenUsage, source: UsageSource, *, has_text: bool) -> Usage:
    """Return the usage event for the token counts in a chunk or in a whole answer.

    Args:
        usage: the token counts.
        source: `stream` for a chunk, `api` for a whole answer.
        has_text: whether the answer has text. If so, an output count of 0 is ignored.
    """
    return plausible_usage(
        usage.input_tokens if usage.prompt_tokens is None else usage.prompt_tokens,
        usage.output_tokens if usage.completion_tokens is None else usage.completion_tokens,
        usage.total_tokens,
        source=source,
        has_text=has_text,
    )
