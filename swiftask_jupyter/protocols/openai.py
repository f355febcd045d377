"""The shapes of OpenAI's answers, read fast where they are plain and patiently where not.

`POST /v1/chat/completions`: Swiftask as an OpenAI-compatible service.

Documented: Bearer token, `model` is the agent's slug, streaming by server-sent events that end
with `data: [DONE]`, 401 for a bad key, 400 for an unknown slug. Measured by others on the live
service: a usage-only event with `choices: []`, token parts that are 0 beside a total that is
not, and 400 for body keys it doesn't know. So only keys with evidence are sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from swiftask_jupyter.answers.turn import Delta, Event, Finish, Raw, Usage, UsageSource
from swiftask_jupyter.errors import ServiceError, StreamError
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import BodyDecoder, Decoder, Protocol, Request, counted
from swiftask_jupyter.protocols.errors import Head, in_band
from swiftask_jupyter.protocols.sse import Lines, cut, nonsense
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.sanitize import join_surrogates


# Trees that live for a moment: the garbage collector need not look at them.
class Message(msgspec.Struct, gc=False):
    """What was said, or a piece of it."""

    content: str | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the answers; one is asked for."""

    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None


class TokenUsage(msgspec.Struct, gc=False):
    """The tokens, as the service counts them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Chunk(msgspec.Struct, gc=False):
    """A piece of a stream, or a whole completion: the fields that are read."""

    choices: list[Choice] | None = None
    usage: TokenUsage | None = None
    error: Any = None
    id: str | None = None
    model: str | None = None


def lenient(data: bytes) -> Chunk | None:
    """Return the chunk of JSON that the fast reader does not take; `None` if it is no object.

    It refuses a lone surrogate, which a service that cuts UTF-16 sends when it cuts an emoji in
    two, and fields of another type than documented, which matter to nobody.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return chunk_of(value) if isinstance(value, dict) else None


def chunk_of(value: dict[str, Any]) -> Chunk:
    """Return what can be read of an object; what has another shape is not there."""
    choices = value.get("choices")
    usage = value.get("usage")
    return Chunk(
        choices=[_choice(each) for each in choices if isinstance(each, dict)]
        if isinstance(choices, list)
        else None,
        usage=TokenUsage(*(usage.get(name) for name in TokenUsage.__struct_fields__))
        if isinstance(usage, dict)
        else None,
        error=value.get("error"),
        id=_text(value.get("id")),
        model=_text(value.get("model")),
    )


def _choice(value: dict[str, Any]) -> Choice:
    def said(key: str) -> Message | None:
        each = value.get(key)
        return Message(_text(each.get("content"))) if isinstance(each, dict) else None

    return Choice(said("delta"), said("message"), _text(value.get("finish_reason")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


class Halves:
    """Joins characters that were cut in two: the half at a piece's end waits for the next piece.

    The fast reader refuses halves, so they concern a chunk of the patient one, and the next.

    Attributes:
        expected: whether the next text may hold or complete a half.
    """

    __slots__ = ("_half", "expected")

    def __init__(self) -> None:
        self._half = ""
        self.expected = False

    def join(self, text: str) -> str:
        """Return the text with its halves join_surrogates, but for a half at its end."""
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        self.expected = bool(self._half)
        return join_surrogates(text[: len(text) - len(self._half)])

    def finish(self) -> str:
        """Return the replacement of a half that was never completed."""
        half, self._half = self._half, ""
        return join_surrogates(half)


# Fields of a request that no other dialect takes.
ONLY_HERE = frozenset(("stateless",))


class OpenAI(Protocol):
    """The OpenAI-compatible dialect; `root` is the address that ends in `/v1`."""

    name = "openai"
    family = "/v1"
    streams = True
    takes_history = True
    owns_conversation = False
    takes_system = True

    def __init__(self, root: str, token: Secret, *, asks_usage: bool = True) -> None:
        super().__init__(root, token)
        self._asks_usage = asks_usage

    def request(self, prompt: Prompt) -> Request:
        """Return the request for the prompt: streaming, unless it asks for one piece."""
        asks_usage = self._asks_usage and prompt.stream  # else it is there unasked
        said = [{"role": said.role, "content": said.text} for said in prompt.history]
        body = {
            "model": prompt.agent,
            "messages": [*said, {"role": "user", "content": prompt.text}],
            "stream": prompt.stream,
            **({"stream_options": {"include_usage": True}} if asks_usage else {}),
            **prompt.options,
        }
        return Request(
            "POST",
            f"{self.root}/chat/completions",
            {
                **self.authorization(),
                "Content-Type": "application/json",
                "Accept": "text/event-stream" if prompt.stream else "application/json",
            },
            msgspec.json.encode(body),
        )

    def alternative(self, error: ServiceError) -> Protocol | None:
        """Do without the usage event where a 400 refuses to be asked for it, once."""
        about_it = any(word in str(error) for word in ("stream_options", "include_usage"))
        if error.status == 400 and about_it and self._asks_usage:
            return OpenAI(self.root, self.token, asks_usage=False)
        return None

    def decoder(self, head: Head) -> Decoder:
        """Return a reader for a stream, or for the JSON of a service that did not stream."""
        if head.media_type == "text/event-stream":
            return StreamDecoder(self, head)
        return CompletionDecoder(self, head)


_decode = msgspec.json.Decoder(Chunk).decode


class StreamDecoder(Decoder):
    """Reads the chunks of a stream."""

    def __init__(self, protocol: OpenAI, head: Head) -> None:
        self._protocol = protocol
        self._head = head
        self._lines = Lines()
        self._answered = False
        self._halves = Halves()
        self._named = False
        self._finished = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events of the lines that these bytes complete."""
        return self._read(self._lines.feed(data))

    def _read(self, lines: list[bytes]) -> Iterator[Event]:
        halves = self._halves
        for line in lines:  # some ten thousand times in a long answer: what is rare comes last
            if self.over or line[:5] != b"data:":
                continue
            json = line[5:]
            try:
                chunk = _decode(json)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                rare = self._read_rest(json)
                if rare is None:
                    continue
                chunk = rare
                halves.expected = True
            if chunk.choices:  # one answer was asked for: the first choice is it
                choice = chunk.choices[0]
                if choice.delta is not None and (text := choice.delta.content):
                    self._answered = True
                    if not halves.expected or (text := halves.join(text)):
                        yield Delta(text)
                if choice.finish_reason is not None:
                    self._finished = True
                    yield Finish(choice.finish_reason)
            if not self._named or chunk.usage is not None or chunk.error is not None:
                yield from self._read_more(chunk, json)

    def _read_more(self, chunk: Chunk, json: bytes) -> Iterator[Event]:
        """Yield what few chunks hold."""
        if chunk.error:
            raise in_band(self._protocol.token, self._head, json)
        if chunk.usage is not None:
            yield usage_of(chunk.usage, "stream", answered=self._answered)
        if not self._named and (chunk.id or chunk.model):
            self._named = True
            yield Raw({"id": chunk.id, "model": chunk.model})

    def _read_rest(self, data: bytes) -> Chunk | None:
        """Read a `data:` line that is no plain chunk: the end, nothing, odd fields, or nonsense."""
        said = data.strip()
        if said == b"[DONE]":
            self.over = True
            return None
        if not said:
            return None
        if (chunk := lenient(said)) is not None:
            return chunk
        raise nonsense(said, self._protocol.token)

    def finish(self) -> Iterator[Event]:
        """Yield the events of a last line without an end.

        A stream may lack `[DONE]` if it named a finish reason; else it was cut.
        """
        yield from self._read(self._lines.finish())
        if rest := self._halves.finish():
            yield Delta(rest)
        if not (self.over or self._finished):
            raise cut()


class CompletionDecoder(BodyDecoder):
    """Reads one JSON body, where the service did not stream."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield what the completion holds."""
        chunk = chunk_of(body)
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
            yield usage_of(chunk.usage, "api", answered=bool(text))


def usage_of(usage: TokenUsage, source: UsageSource, *, answered: bool) -> Usage:
    """Return the usage that a chunk or a completion reports."""
    return counted(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        source=source,
        answered=answered,
    )
