"""Usage without invented numbers: what a service reports is checked before it is believed.

What a dialect is: bytes out of a prompt, events out of bytes, errors out of a refusal.

A `Protocol` holds an address and a token and performs no I/O. `transport` carries what `request`
returns, hands the head of the response to `decoder` (or `error`), and every network read to
`Decoder.feed`. So everything here can be tested byte by byte, without a server.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping
from typing import Any, ClassVar

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Event, Usage, UsageSource
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.errors import (
    CREDENTIAL,
    LONGEST_MESSAGE,
    Head,
    carries_error,
    failure,
    in_band,
    message_of,
)
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.structs import Redacted


def counted(  # noqa: D417 - the rest are as in Usage
    sent: Any,
    made: Any,
    total: Any,
    *,
    source: UsageSource,
    answered: bool,
    credits: Any = None,  # noqa: A002 - the platform's word
) -> Usage:
    """Return the usage without the zeros that can't be true, and without what is no number.

    No request has 0 tokens, and no answer with text has; the live `/v1` reports both.

    Args:
        answered: whether the answer had text.
    """
    sent, made, total = _count(sent) or None, _count(made), _count(total) or None
    if made == 0 and (answered or sent is None):
        made = None
    known = sent is not None and made is not None
    spent = credits if _is_number(credits) else None
    return Usage(
        input_tokens=sent,
        output_tokens=made,
        total_tokens=(sent or 0) + (made or 0) if known else None,
        reported_total=total,
        credits=spent,
        source=source if (sent, made, total, spent) != (None,) * 4 else "none",
    )


def _count(value: Any) -> int | None:
    """Return a token count as a service wrote it, or `None` if it is none."""
    return int(value) if _is_number(value) and value >= 0 else None


def _is_number(value: Any) -> bool:
    """Tell a number that a ledger can hold from what only looks like one: `True`, 10 to the 400."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) < 2**53


# Fields of a request that only the native dialect takes.
ONLY_NATIVE = frozenset(("files", "documentAnalysisMode", "extraConfig"))
LONGEST_BODY = 16 * 1024 * 1024


class Request(Redacted, frozen=True):
    """One HTTP request. Its headers or its URL hold the token, so they are not shown."""

    redacted_fields = frozenset(("url", "headers", "content"))

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes = b""
    label: str = ""


class Decoder(ABC):
    """Reads one response, however it is cut.

    Attributes:
        over: whether it has said that nothing more will come.
    """

    over = False

    @abstractmethod
    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events that these bytes complete.

        What was read before an error is yielded before it is raised.

        Raises:
            StreamError: what came makes no sense, or is too long to be an answer.
            ServiceError: the response carries an error.
        """

    @abstractmethod
    def finish(self) -> Iterator[Event]:
        """Yield the last events; called once, when the response has ended.

        Raises:
            StreamError: the response ended too early.
        """


class BodyDecoder(Decoder):
    """Reads an answer that is one JSON object."""

    def __init__(self, protocol: Protocol, head: Head) -> None:
        self._protocol = protocol
        self._head = head
        self._body = bytearray()

    @abstractmethod
    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield what the object holds."""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Keep the bytes; the events come at the end."""
        self._body += data
        if len(self._body) > LONGEST_BODY:
            raise errors.StreamError(f"a body of over {LONGEST_BODY >> 20} MB is not an answer")
        yield from ()

    def finish(self) -> Iterator[Event]:
        """Yield the events of the whole body."""
        body = bytes(self._body)
        try:
            value = json.loads(body.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            kind = self.masked(self._head.media_type) or "of no type"
            raise errors.StreamError(
                f"the answer is not a JSON object but {kind}",
                advice="check SWIFTASK_BASE_URL and the proxy",
            )
        if carries_error(value):
            raise in_band(self._protocol.token, self._head, body)
        yield from self.events(value)

    def masked(self, text: str) -> str:
        """Return words of the service as an error may show them."""
        return self._protocol.token.mask(text)[:LONGEST_MESSAGE]


class Protocol(ABC):
    """One dialect, spoken to one address with one token.

    Attributes:
        name: what `--dialect` calls it.
        family: the path that its routes begin with, such as `/v1`.
        streams: whether text arrives while it is made.
        takes_history: whether earlier messages are sent with each request.
        owns_conversation: whether the service keeps the history, so that it can't be rewound.
        takes_alias: whether a request names a new conversation by a name of ours.
        takes_files: whether attachments can be sent.
        credential: what to do where the service does not take the token.
        takes_system: whether a system message can be sent.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    streams: ClassVar[bool]
    takes_history: ClassVar[bool]
    owns_conversation: ClassVar[bool]
    takes_alias: ClassVar[bool] = False
    takes_files: ClassVar[bool] = False
    credential: ClassVar[str] = CREDENTIAL
    takes_system: ClassVar[bool] = False

    def __init__(self, root: str, token: Secret) -> None:
        self.root = root
        self.token = token

    def prepare(self, prompt: Prompt) -> Generator[Request, tuple[Head, bytes], Prompt]:
        """Yield the requests that come before the question, and return the prompt to ask.

        Each is sent the head and the body of its response. Most dialects need none.
        """
        yield from ()
        return prompt

    @abstractmethod
    def request(self, prompt: Prompt) -> Request:
        """Return the request that asks the prompt."""

    def written(self, prompt: Prompt) -> Request:
        """Return what `request` does.

        Raises:
            PromptError: it can't be: an option is no JSON, a character only half one.
        """
        try:
            return self.request(prompt)
        except (TypeError, ValueError, RecursionError) as wrong:
            raise errors.PromptError(f"the request can't be written ({wrong})") from None

    @abstractmethod
    def decoder(self, head: Head) -> Decoder:
        """Return a reader for a response whose status is below 300."""

    def error(self, head: Head, body: bytes, agent: str) -> errors.ServiceError:
        """Return the error that a response of status 300 or above stands for."""
        return failure(head, message_of(body, self.token), agent, self.credential)

    def remark(self, prompt: Prompt) -> str:  # noqa: ARG002 - most have none
        """Return what the user should know of this request's answer, or nothing."""
        return ""

    def alternative(self, error: errors.ServiceError) -> Protocol | None:  # noqa: ARG002 - most have none
        """Return what to try instead, once, where the dialect's documents disagree; else `None`.

        Asked only when a request was refused before anything of an answer came.
        """
        return None

    def authorization(self) -> dict[str, str]:
        """Return the header that carries the token."""
        return {"Authorization": f"Bearer {self.token.reveal()}"}
