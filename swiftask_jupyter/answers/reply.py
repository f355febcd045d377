"""What comes back: the events of an answer, and the reply they add up to.

A cell, a panel, a batch and the ledger all read one `Reply` while it grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from swiftask_jupyter.support.structs import Struct, field

# Some image agents leave `files` empty and put the picture into the text.
_PICTURE = r"!\[([^\]\n]*)\]\((https?://[^\s)]+)\)"

# What some services wrap an answer of nothing in.
BLANKS = "\"' \n"

# The kind of output under which a notebook keeps what a turn was and cost.
TURN = "application/vnd.swiftask.turn+json"

Source = Literal["api", "stream", "none"]
Status = Literal["running", "ok", "error", "interrupted", "lost", "refused"]


class Delta(Struct, frozen=True):
    """A piece of the answer's text."""

    text: str


class Usage(Struct, frozen=True):
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


class Finish(Struct, frozen=True):
    """The service said why the answer ends: `stop`, `length`, …"""

    reason: str


class Conversation(Struct, frozen=True):
    """The service named the conversation that this answer belongs to."""

    identity: int | str


class Raw(Struct, frozen=True):
    """Fields of the answer that no other event carries (ids, model, metadata)."""

    fields: dict[str, Any]


Event = Delta | Usage | Finish | Conversation | Raw


def has_text(events: Iterable[Event]) -> bool:
    """Tell whether any text is among what has just arrived."""
    return any(isinstance(event, Delta) for event in events)


class Standing(Struct, frozen=True):
    """Where a turn stands in its conversation.

    Attributes:
        slot: the place it fills: a cell's id, or an id of its own; `None` outside of the
            conversation (a question of its own, one of several agents compared, a row).
        cell: the id of the cell that asked, where the front end tells it.
        run: the execution of that cell; one execution may ask several times.
        surface: who asked: `cell`, `panel`, `python` or `batch`.
        after: a digest of all that stood before it when it was asked; `None` if it was sent
            without, so that nothing before it can make it stale.
    """

    slot: str | None = None
    cell: str | None = None
    run: str | None = None
    surface: str = "python"
    after: str | None = None


class Provenance(Struct, frozen=True):
    """How an answer came about, apart from what was said; the fields are those of `Reply`."""

    session: str = ""
    digest: str = ""
    finish_reason: str | None = None
    first_token_seconds: float | None = None
    attempts: int = 0
    cached: bool = False


class Reply(Struct):
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
        form: how it is shown: `md`, `text`, `json` or `code`.
        standing: where it stands in its conversation.
        cached: whether it is an earlier answer, shown again without asking.
        recorded: whether the ledger could be told how it ended.
        remarks: what else the user should know, for the footer.
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
    form: str = "md"
    standing: Standing = Standing()
    cached: bool = False
    recorded: bool = True
    remarks: list[str] = field(default_factory=list)
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
        return self.status == "ok" and (uncounted or is_nothing(self.text, self.raw))

    @property
    def files(self) -> tuple[dict[str, Any], ...]:
        """The files that the agent made: listed, or shown as pictures in its text."""
        found = {each["url"]: each for each in listed_files(self.raw)}
        if self.dialect in {"native", "widget"}:
            for name, url in re.findall(_PICTURE, self.text):
                found.setdefault(url, {"url": url, "name": name})
        return tuple(found.values())

    def pieces(self, start: int) -> list[str]:
        """The pieces of text from this one on; may be called while another thread applies."""
        return self._parts[start:]

    @property
    def text(self) -> str:
        """All the text so far; may be read while another thread applies events."""
        return "".join(self._parts)


def listed_files(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files that an answer lists beside its text; each has its `url`."""
    listed = raw.get("files")
    return [
        each
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict) and isinstance(each.get("url"), str)
    ]


def is_nothing(text: str, raw: dict[str, Any]) -> bool:
    """Whether an answer says nothing: it has no file, and no text but blanks and quotes."""
    return not (text.strip(BLANKS) or listed_files(raw))
