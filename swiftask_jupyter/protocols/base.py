"""The contract of a dialect: `Protocol` writes requests, `Decoder` turns bytes into events.

A `Protocol` holds a base URL and a token, and performs no I/O. For each prompt the transport

1. sends the requests that `Protocol.prepare` yields, and returns their responses to it;
2. sends what `Protocol.build_request` returns;
3. passes the response's head to `Protocol.decoder` (status below 300), or head and body to
   `Protocol.error` (300 and above);
4. passes the bytes of every network read to `Decoder.feed`, and calls `Decoder.finish` at the end.

So a dialect can be tested byte by byte, without a server. The docstring of `protocols` shows how
to write one.
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
    embedded_error,
    error_for_status,
    error_message,
    has_embedded_error,
)
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.secrets import Secret

# Request fields that only one dialect accepts. They are listed here, and not in the dialects'
# own modules, so that choosing a dialect does not import them all.
NATIVE_ONLY_FIELDS = frozenset(("files", "documentAnalysisMode", "extraConfig"))
OPENAI_ONLY_FIELDS = frozenset(("stateless",))
MAX_BODY_BYTES = 16 * 1024 * 1024


class Protocol(ABC):
    """One dialect, for one service and one token.

    Args:
        base_url: the service's address, ending in `base_path`.
        token: the API key or client token.

    Attributes:
        name: the value of `--dialect` that selects it.
        base_path: the path that all its routes begin with, such as `/v1`; may be empty.
        streams: whether text arrives while it is generated.
        takes_history: whether each request carries the earlier messages.
        owns_conversation: whether the service stores the conversation, so that we cannot rewind it.
        takes_alias: whether a new conversation can be named by an id that we choose.
        takes_files: whether attachments can be sent.
        takes_system: whether a system message can be sent.
        auth_advice: what to do when the service rejects the token; ends the error's line.
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
        """Yield the requests that must precede the question, and return the prompt to ask.

        The generator receives the head and the body of each response. File uploads work this
        way; most dialects need no such request.
        """
        yield from ()
        return prompt

    @abstractmethod
    def request(self, prompt: Prompt) -> Request:
        """Return the request that asks the prompt.

        A `TypeError` or `ValueError` raised here means that the prompt cannot be encoded.
        """

    def build_request(self, prompt: Prompt) -> Request:
        """Return `request(prompt)`, and report what cannot be encoded as a `PromptError`.

        Raises:
            PromptError: an option has no JSON form, or the text holds half a surrogate pair.
        """
        try:
            return self.request(prompt)
        except (TypeError, ValueError, RecursionError) as error:
            raise errors.PromptError(f"the request can't be written ({error})") from None

    @abstractmethod
    def decoder(self, head: ResponseHead) -> Decoder:
        """Return a decoder for a response whose status is below 300."""

    def error(self, head: ResponseHead, body: bytes, agent: str) -> errors.ServiceError:
        """Return the error for a response whose status is 300 or above.

        Args:
            head: the response's status and headers.
            body: the response's body; may be cut short.
            agent: the slug that was asked; empty if the request named no agent.
        """
        return error_for_status(head, error_message(body, self.token), agent, self.auth_advice)

    def remark(self, prompt: Prompt) -> str:  # noqa: ARG002 - for subclasses
        """Return a note for the answer's footer, or an empty string."""
        return ""

    def fallback(self, error: errors.ServiceError) -> Protocol | None:  # noqa: ARG002 - for subclasses
        """Return another variant of this dialect to try once, or `None` to give up.

        Dialects use it where the documents of the service contradict each other. Called only if
        the request was refused before any part of an answer arrived.
        """
        return None

    def authorization(self) -> dict[str, str]:
        """Return the header that carries the token."""
        return {"Authorization": f"Bearer {self.token.reveal()}"}


class Decoder(ABC):
    """Decodes one response; the result does not depend on how the bytes are split into reads.

    Attributes:
        done: whether the response has announced its end; the transport then stops reading.
    """

    done = False

    @abstractmethod
    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events that these bytes complete.

        Events that precede an error are yielded before it is raised.

        Raises:
            StreamError: the bytes cannot be decoded, or are too many for an answer.
            ServiceError: the response reports an error.
        """

    @abstractmethod
    def finish(self) -> Iterator[Event]:
        """Yield the last events; called once, after the whole response has been fed.

        Raises:
            StreamError: the response ended too early, or cannot be decoded.
            ServiceError: the response reports an error.
        """


class JSONBodyDecoder(Decoder):
    """Decodes an answer that is one JSON object; subclasses turn the object into events.

    Args:
        protocol: the dialect, whose token is masked in errors.
        head: the response's status and headers.
    """

    def __init__(self, protocol: Protocol, head: ResponseHead) -> None:
        self._protocol = protocol
        self._head = head
        self._body = bytearray()

    @abstractmethod
    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield the events of the decoded object."""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Collect the bytes; yield nothing before the end."""
        self._body += data
        if len(self._body) > MAX_BODY_BYTES:
            raise errors.StreamError(f"the answer's body is over {MAX_BODY_BYTES >> 20} MB")
        yield from ()

    def finish(self) -> Iterator[Event]:
        """Decode the whole body and yield its events."""
        body = bytes(self._body)
        try:
            value = json.loads(body.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            kind = self.mask(self._head.media_type) or "of no type"
            raise errors.StreamError(
                f"the answer is not a JSON object but {kind}",
                advice="check SWIFTASK_BASE_URL and the proxy",
            )
        if has_embedded_error(value):
            raise embedded_error(self._protocol.token, self._head, body)
        yield from self.events(value)

    def mask(self, text: str) -> str:
        """Mask the token in a text of the service, and shorten the text for an error message."""
        return self._protocol.token.mask(text)[:MAX_MESSAGE_CHARS]


def plausible_usage(
    input_tokens: Any,
    output_tokens: Any,
    reported_total: Any,
    *,
    source: UsageSource,
    has_text: bool,
    credits: Any = None,  # noqa: A002 - the platform's word
) -> Usage:
    """Return the usage that a service reported, without implausible zeros and non-numbers.

    A request never has 0 tokens, nor does an answer with text; the live `/v1` reports 0 for each.

    Args:
        input_tokens: the request's tokens, as the service gave them.
        output_tokens: the answer's tokens, as the service gave them.
        reported_total: the total, as the service gave it.
        source: where the counts were found.
        has_text: whether the answer has text.
        credits: the platform's own measure of usage, in no documented unit.
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


def _token_count(value: Any) -> int | None:
    """Return a reported token count as an integer; `None` if it is negative or no number."""
    return int(value) if _is_storable_number(value) and value >= 0 else None


def _is_storable_number(value: Any) -> bool:
    """Tell whether a value is a number that the ledger can store: not `True`, not 10 ** 400."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < 2**53
