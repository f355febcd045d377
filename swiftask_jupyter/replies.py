"""What comes back: the events of an answer, and the reply they add up to.

A cell, a panel, a batch and the ledger all read one `Reply` while it grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

# Some image agents leave `files` empty and put the picture into the text.
_PICTURE = r"!\[([^\]\n]*)\]\((https?://[^\s)]+)\)"

Source = Literal["api", "stream", "none"]
Status = Literal["running", "ok", "error", "interrupted", "lost", "refused"]


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost, as the service reported it; `None` is "not reported", never 0.

    Attributes:
        input_tokens: tokens of the request.
        output_tokens: tokens of the answer.
        total_tokens: their sum, where both are known.
        reported_total: the total as the service gave it. On Swiftask's `/v1` it was measured to
            come without usable parts, and to be platform units rather than tokens.
        credits: what the service calls usage beside tokens, raw: its unit is undocumented.
        source: `api` (in a JSON answer), `stream` (in a stream's usage event) or `none`.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    reported_total: int | None = None
    credits: float | None = None
    source: Source = "none"


@dataclass(frozen=True, slots=True)
class Finish:
    """The service said why the answer ends: `stop`, `length`, …"""

    reason: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The service named the conversation that this answer belongs to."""

    identity: int | str


@dataclass(frozen=True, slots=True)
class Raw:
    """Fields of the answer that no other event carries (ids, model, metadata)."""

    fields: dict[str, Any]


Event = Delta | Usage | Finish | Conversation | Raw


@dataclass(slots=True)
class Reply:
    """An answer as it grows: the sum of its events.

    Attributes:
        agent: the slug asked.
        turn: the id of its row in the ledger; empty until the request leaves.
        number: which turn of its session it is, from 1.
        session: the conversation it belongs to.
        dialect: the protocol it travelled by.
        streams: whether that protocol sends text while it is made.
        digest: the SHA-256 of the request.
        at: when the request left, in seconds since the epoch.
        status: `running` until it ends.
        seconds: from the request to the end.
        first_token_seconds: from the request to the first piece of text; `None` if none came.
        error: the one line of a failure.
        attempts: how many requests asked it.
        doing: what is being done before the answer can come, in words for the user.
        conversation: the service's id of the conversation, where it gave one.
        shown_in: the execution count of the cell that shows it, where one does.
    """

    agent: str
    turn: str = ""
    number: int = 0
    session: str = ""
    dialect: str = ""
    streams: bool = True
    digest: str = ""
    at: float = 0.0
    status: Status = "running"
    usage: Usage = field(default_factory=Usage)
    finish_reason: str | None = None
    seconds: float = 0.0
    first_token_seconds: float | None = None
    error: str | None = None
    raw: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0
    doing: str = ""
    conversation: int | str | None = None
    shown_in: int | None = None
    _parts: list[str] = field(default_factory=list)

    def apply(self, events: Iterable[Event]) -> None:
        """Add what has just arrived."""
        append = self._parts.append
        for event in events:
            if type(event) is Delta:  # nearly all are, and matching takes four times as long
                append(event.text)
                continue
            match event:
                case Usage():
                    self.usage = event
                case Finish(reason):
                    self.finish_reason = reason
                case Conversation(identity):
                    self.conversation = identity
                case Raw(fields):
                    self.raw.update(fields)

    @property
    def suspect(self) -> bool:
        """Whether this may be a failure dressed as a success.

        Measured on the live `/v1`: an apology with usage 0, 0 and a total of 1, and answers that
        are empty or nothing but quotes. The words are not looked at.
        """
        tokens = self.usage.input_tokens, self.usage.output_tokens, self.usage.reported_total
        uncounted = self.usage.source == "stream" and tokens == (None, None, 1)
        return self.status == "ok" and (uncounted or not (self.files or self.text.strip("\"' \n")))

    @property
    def files(self) -> tuple[dict[str, Any], ...]:
        """The files that the agent made: listed, or shown as pictures in its text."""
        listed = self.raw.get("files")
        found = {
            each["url"]: each
            for each in (listed if isinstance(listed, list) else ())
            if isinstance(each, dict) and isinstance(each.get("url"), str)
        }
        if self.dialect in {"native", "widget"}:
            for name, url in re.findall(_PICTURE, self.text):
                found.setdefault(url, {"url": url, "name": name})
        return tuple(found.values())

    @property
    def text(self) -> str:
        """All the text so far; may be read while another thread applies events."""
        return "".join(self._parts)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Answer:
    """A finished answer.

    Attributes:
        text: the answer as it came.
        agent: the slug asked.
        turn: the id of its row in `usage()`.
        usage: what it cost, as reported.
        seconds: from the request to the end.
        raw: what the reply carried beyond the common fields.
    """

    text: str
    agent: str
    turn: str
    usage: Usage
    seconds: float
    raw: dict[str, Any]
    reply: Reply

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        shown = self.text if len(self.text) <= 60 else self.text[:59] + "…"
        return f"<Answer of {self.agent}: {shown!r}>"

    def __len__(self) -> int:
        return len(self.text)

    def __format__(self, spec: str) -> str:
        return format(self.text, spec)

    @property
    def status(self) -> Status:
        """How it ended: `ok`, or `interrupted` with what had come by then."""
        return self.reply.status

    @property
    def files(self) -> tuple[dict[str, Any], ...]:
        """The files that the agent made: each with a `url`, and what else it says of them."""
        return self.reply.files

    @property
    def sources(self) -> tuple[Any, ...]:
        """What the agent says its answer rests on, as it came: the shape is undocumented."""
        named = self.raw.get("sourceMetadatas")
        return tuple(named) if isinstance(named, list) else ()


def answer(reply: Reply) -> Answer:
    """Return the finished reply as a value."""
    return Answer(
        text=reply.text,
        agent=reply.agent,
        turn=reply.turn,
        usage=reply.usage,
        seconds=reply.seconds,
        raw=reply.raw,
        reply=reply,
    )
