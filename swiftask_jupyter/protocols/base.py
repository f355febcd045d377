"""Base classes of the dialects: `Protocol` creates requests, `Decoder` decodes responses.

A `Protocol` holds a base URL and a token. For each prompt, `Transport.stream`

1. sends the requests that the generator `Protocol.prepare` yields, and sends the responses back
   into the generator;
2. sends the request that `Protocol.build_request` returns;
3. if the status is below 300, calls `Protocol.decoder` with the response's head; otherwise, raises
   the error that `Protocol.error` returns;
4. passes the bytes of each network read to `Decoder.feed`, and calls `Decoder.finish` at the end.

Both classes perform no I/O, so a dialect can be tested without a server. The docstring of the
package `protocols` shows how to write a dialect.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from typing import Any, ClassVar

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Event, Usage, UsageSource
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.errors import (
    AUTH_ADVICE,
    MAX_MESSAGE_CHARS,
    PAGE_ADVICE,
    embedded_error,
    error_for_status,
    error_message,
    has_embedded_error,
    is_page,
    page_title,
)
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.secrets import Secret

# Request fields that only one dialect accepts. They are listed here because a list in each
# dialect's module would require importing all these modules to choose a dialect.
NATIVE_ONLY_FIELDS = frozenset(("files", "documentAnalysisMode", "extraConfig"))
OPENAI_ONLY_FIELDS = frozenset(("stateless",))
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_SNIFFED_BYTES = 64 * 1024  # of blanks before the first character of a body
# A whole JSON object is recognized while it arrives up to this length; see `Decoder.complete`.
MAX_CHECKED_BYTES = 1024 * 1024
STREAM_TYPES = frozenset(("text/event-stream", "application/x-ndjson", "application/jsonl"))
_STREAM_STARTS = (b"data:", b"event:", b"error:", b"retry:", b"id:", b":")


class Protocol(ABC):
    """A client-side implementation of a service's HTTP API, for one base URL and one token.

    Subclasses are called dialects, after the option `--dialect` that selects one of them.

    Args:
        base_url: the URL that the routes are appended to; it ends in `base_path`.
        token: the API key or client token.

    Attributes:
        name: the value of `--dialect` that selects this dialect.
        base_path: the path with which all routes begin, such as `/v1`; may be empty.
        streams: whether the service can send an answer in pieces while the agent is writing.
        takes_history: whether each request contains the earlier messages of the conversation.
        owns_conversation: whether the service stores the conversation. Then the client cannot
            change or remove earlier messages.
        takes_alias: whether the client can choose the id of a new conversation.
        takes_files: whether attachments can be sent.
        takes_system: whether a system message can be sent.
        auth_advice: what the user can do if the service rejects the token; appended to the error
            message.
    """

    name: ClassVar[str]
    base_path: ClassVar[str]
    streams: ClassVar[bool]
    takes_history: ClassVar[bool]
    owns_conversation: ClassVar[bool]
    takes_alias: ClassVar[bool] = False
    takes_files: ClassVar[bool] = False
    takes_system: ClassVar[bool] = False
    auth_advice: ClassVar[str] = AUTH_ADVICE

    def __init__(self, base_url: str, token: Secret) -> None:
        self.base_url = base_url
        self.token = token

    def prepare(self, prompt: Prompt) -> Generator[Request, tuple[ResponseHead, bytes], Prompt]:
        """Yield the requests to send before the prompt, such as file uploads; return the prompt.

        For each yielded request, the caller sends the response's head and body into the generator.
        The returned prompt may contain data from the responses, such as the URLs of uploaded files.
        This implementation yields no requests and returns the prompt unchanged.
        """
        yield from ()
        return prompt

    @abstractmethod
    def request(self, prompt: Prompt) -> Request:
        """Return the HTTP request that sends a prompt to its agent.

        Raises:
            TypeError: an option cannot be encoded.
            ValueError: an option or a text cannot be encoded.
        """

    def build_request(self, prompt: Prompt) -> Request:
        """Return the HTTP request for a prompt; raise `PromptError` if encoding the prompt fails.

        Raises:
            PromptError: an option cannot be converted to JSON, or a text contains a lone surrogate.
        """
        try:
            return self.request(prompt)
        except (TypeError, ValueError, RecursionError) as error:
            raise errors.PromptError(f"the request can't be written ({error})") from None

    @abstractmethod
    def decoder(self, head: ResponseHead) -> Decoder:
        """Return a new decoder for the body of a response whose status is below 300."""

    def error(self, head: ResponseHead, body: bytes, agent: str) -> errors.ServiceError:
        """Return the exception for a response whose status is 300 or above.

        Args:
            head: the response's status and headers.
            body: the response's body; may be incomplete.
            agent: the slug of the agent in the request; empty for a request without an agent.
        """
        message = error_message(body, self.token)
        advice = PAGE_ADVICE if is_page(body) else self.auth_advice
        return error_for_status(head, message, agent, advice, body)

    def remark(self, prompt: Prompt) -> str:  # noqa: ARG002 - for subclasses
        """Return a note about the prompt's request, to show below the answer; empty for no note."""
        return ""

    def fallback(self, error: errors.ServiceError) -> Protocol | None:  # noqa: ARG002 - for subclasses
        """Return a variant of this dialect by which to send the prompt again, or `None`.

        A variant differs in a detail of the request, such as the route. `None` means that no
        variant is left to try. The base class has no variants and always returns `None`.

        The method is called after an error response, unless a part of the answer has arrived.
        """
        return None

    def authorization(self) -> dict[str, str]:
        """Return the `Authorization` header with the token, as a dictionary."""
        return {"Authorization": f"Bearer {self.token.reveal()}"}


class Decoder(ABC):
    """Converts the body of one response into events, while the bytes of the body arrive.

    The bytes may be passed to `feed` in pieces of any size. The pieces affect only how the text is
    split into `Delta` events.

    Attributes:
        done: whether an end marker, such as `[DONE]`, has been read; the transport then passes no
            more bytes.
        complete: whether the answer is whole even if nothing follows, such as after a finish
            reason. The transport then waits only a short time for more bytes.
        progress: how many parts without an event have arrived, such as pieces of the agent's
            reasoning. Comments that keep a connection open are no parts.
    """

    done = False
    complete = False
    progress = 0

    @abstractmethod
    def feed(self, data: bytes) -> Iterator[Event]:
        """Decode the next bytes, and yield the events that are now complete.

        If the bytes contain an error, the events before the error are yielded first.

        Raises:
            StreamError: the bytes cannot be decoded, or the body is too large.
            ServiceError: the body contains an error message of the service.
        """

    @abstractmethod
    def finish(self) -> Iterator[Event]:
        """Yield the remaining events; called once, after the last call of `feed`.

        Raises:
            StreamError: the response ended too early, or cannot be decoded.
            ServiceError: the body contains an error message of the service.
        """


class JSONBodyDecoder(Decoder):
    """Decodes an answer that is one JSON object; subclasses convert the object into events.

    Args:
        protocol: the dialect of the request. Error messages mask the dialect's token.
        head: the response's status and headers.
    """

    def __init__(self, protocol: Protocol, head: ResponseHead) -> None:
        self._protocol = protocol
        self._head = head
        self._body = bytearray()

    @abstractmethod
    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Convert the decoded JSON object into events, and yield them."""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Store the bytes for `finish`; yield no events.

        Raises:
            StreamError: the body is longer than `MAX_BODY_BYTES`.
        """
        self._body += data
        self.progress += not data.isspace()
        if data.rstrip()[-1:] == b"}" and len(self._body) <= MAX_CHECKED_BYTES:
            self.complete = self._is_whole()
        if len(self._body) > MAX_BODY_BYTES:
            raise errors.StreamError(f"the answer's body is over {MAX_BODY_BYTES >> 20} MB")
        yield from ()

    def finish(self) -> Iterator[Event]:
        """Decode the whole body and yield its events.

        Raises:
            StreamError: the body is not a JSON object, or the object contains no answer.
            ServiceError: the object contains an error message of the service.
        """
        body = bytes(self._body)
        try:
            value = json.loads(body.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            kind = self.mask(self._head.media_type) or "of no type"
            if is_page(body) and (title := page_title(body.decode("utf-8", "replace"))):
                kind += f", {self.mask(title)!r}"
            raise errors.StreamError(
                f"the answer is not a JSON object but {kind}",
                advice="check SWIFTASK_BASE_URL and the proxy",
            )
        if has_embedded_error(value):
            raise embedded_error(self._protocol.token, self._head, body)
        yield from self.events(value)

    def _is_whole(self) -> bool:
        """Return whether the bytes so far are a JSON object that is not empty."""
        try:
            value = json.loads(self._body)
        except (ValueError, RecursionError):
            return False
        return isinstance(value, dict) and bool(value)

    def mask(self, text: str) -> str:
        """Return the text with the token masked, shortened to `MAX_MESSAGE_CHARS` characters."""
        return self._protocol.token.mask(text)[:MAX_MESSAGE_CHARS]


class SniffingDecoder(Decoder):
    """Decodes a body that is a stream or a JSON object, depending on its first bytes.

    Used if the content type does not announce a stream: services and gateways lose or change it.

    Args:
        stream: decodes the body if it begins with a field of an event, such as `data:`.
        whole: decodes any other body.
    """

    def __init__(self, stream: Decoder, whole: Decoder) -> None:
        self._stream = stream
        self._whole = whole
        self._chosen: Decoder | None = None
        self._start = b""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Choose a decoder as soon as the first bytes suffice, and pass the bytes to it."""
        if self._chosen is None:
            data = self._start = self._start + data
            start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
            undecided = any(each.startswith(start[: len(each)]) and len(start) < len(each)
                            for each in _STREAM_STARTS)  # fmt: skip
            if undecided and len(data) < MAX_SNIFFED_BYTES:
                return
            self._chosen = self._stream if start.startswith(_STREAM_STARTS) else self._whole
        yield from self._chosen.feed(data)
        self._update()

    def finish(self) -> Iterator[Event]:
        """Yield the remaining events of the chosen decoder."""
        if self._chosen is None:
            self._chosen = self._whole
            yield from self._chosen.feed(self._start)
        yield from self._chosen.finish()

    def _update(self) -> None:
        assert self._chosen is not None
        self.done, self.complete = self._chosen.done, self._chosen.complete
        self.progress = self._chosen.progress


def plausible_usage(
    input_tokens: Any,
    output_tokens: Any,
    reported_total: Any,
    *,
    source: UsageSource,
    has_text: bool,
    credits: Any = None,  # noqa: A002 - the platform's word
) -> Usage:
    """Create a `Usage` from the values in a response, with `None` for each implausible value.

    These values are implausible:

    - a value that is not a number;
    - a negative token count;
    - an input count of 0, and a total of 0;
    - an output count of 0 if the answer has text, or if the input count is implausible.

    Swiftask's `/v1` reports implausible zeros.

    Args:
        input_tokens: the value reported for the tokens of the request.
        output_tokens: the value reported for the tokens of the answer.
        reported_total: the value reported for the total.
        source: the place of the values in the response; stored as `none` if no value is plausible.
        has_text: whether the answer has text.
        credits: the value of Swiftask's `totalBotUsage`, whose unit is not documented.
    """
    input_tokens = _token_count(input_tokens) or None
    output_tokens = _token_count(output_tokens)
    reported_total = _token_count(reported_total) or None
    if output_tokens == 0 and (has_text or input_tokens is None):
        output_tokens = None
    both_known = input_tokens is not None and output_tokens is not None
    credits = credits if _is_storable_number(credits) else None  # noqa: A001 - as above
    reported = (input_tokens, output_tokens, reported_total, credits)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens if both_known else None,
        reported_total=reported_total,
        credits=credits,
        source=source if any(each is not None for each in reported) else "none",
    )


def merged_usage(before: Usage, after: Usage) -> Usage:
    """Return the usage of a stream after a further report: a known number is not lost.

    A service may report the counts in parts, or report nothing or zeros at the end.
    """

    def known(name: str) -> Any:
        old, new = getattr(before, name), getattr(after, name)
        return old if new is None or (new == 0 and old is not None) else new

    derived = {"total_tokens", "source"}
    merged = {name: known(name) for name in Usage.__struct_fields__ if name not in derived}
    sent, generated = merged["input_tokens"], merged["output_tokens"]
    total = None if sent is None or generated is None else sent + generated
    source = before.source if after.source == "none" else after.source
    return Usage(**merged, total_tokens=total, source=source)


def _token_count(value: Any) -> int | None:
    """Return a reported token count as an integer; `None` for a negative or non-numeric value."""
    return int(value) if _is_storable_number(value) and value >= 0 else None


def _is_storable_number(value: Any) -> bool:
    """Return whether a value is a number that the database can store exactly.

    The absolute value must be below 2 ** 53. `True` and `False` do not count as numbers.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < 2**53
