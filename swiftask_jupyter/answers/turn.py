"""The record of one turn, the events of its answer, and the reply that grows.

`Turn` is the one list of a turn's fields. The `Column` of a field says what it means and how it
is stored and shown: the tables of the ledger, the usage frame and the record in a notebook
derive from it (`ledger.schema`). A new field is one line here, and one migration. Events are what
a protocol reads out of a response; a `Reply` is a turn to which they are added.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from swiftask_jupyter.support.structs import Struct, field

# The dtype in a frame: datetime64[us, UTC], category, string, Int64, Float64 and boolean.
# All but a moment may be missing. `json` stands in no frame.
Kind = Literal["moment", "category", "text", "whole", "real", "flag", "json"]


class Column(Struct, frozen=True):
    """What an annotated field means, and where its values go.

    Attributes:
        meaning: what the value says, and who said it.
        unit: the unit of measure; empty if the value is no quantity.
        name: the column's name in ledger, frame and record; default: the field's.
        kind: the dtype; default: the one that fits the annotated type.
        table: `turns`, or `texts` for what counting calls need not read.
        written: `begin` (before the request leaves), `end` or `both`.
        null: the field's value that the ledger stores as NULL, besides `None`.
        in_frame: whether the usage frame has it.
        in_record: whether the record in a notebook has it.
        record_name: its name in that record; default: the column's.
    """

    meaning: str
    unit: str = ""
    name: str = ""
    kind: Kind | None = None
    table: Literal["turns", "texts"] = "turns"
    written: Literal["begin", "end", "both"] = "end"
    null: object = ""
    in_frame: bool = True
    in_record: bool = True
    record_name: str = ""


UsageSource = Literal["api", "stream", "none"]


class Delta(Struct, frozen=True):
    """A piece of the answer's text."""

    text: str


class Usage(Struct, frozen=True):
    """What an answer cost, as the service reported it; `None` is "not reported", never 0.

    Attributes:
        input_tokens: tokens of the request.
        output_tokens: tokens of the answer.
        total_tokens: their sum, where both are known.
        reported_total: the total as the service gave it. Measured on Swiftask's `/v1`: it comes
            without its two parts, and counts platform units rather than tokens.
        credits: `totalBotUsage` of Swiftask, unchanged: its unit is undocumented.
        source: `api` (in a JSON answer), `stream` (in a stream's usage event) or `none`.
    """

    input_tokens: Annotated[
        int | None, Column("of the request, as the service reports them", "tokens")
    ] = None
    output_tokens: Annotated[
        int | None, Column("of the answer, as the service reports them", "tokens")
    ] = None
    total_tokens: Annotated[int | None, Column("their sum, where both are reported", "tokens")] = (
        None
    )
    reported_total: Annotated[
        int | None, Column("a total as the service gave it, not interpreted", "undocumented")
    ] = None
    credits: Annotated[
        float | None,
        Column(
            "totalBotUsage as the service gave it: of the call, or of the session so far",
            "undocumented",
        ),
    ] = None
    source: Annotated[
        UsageSource,
        Column("api: in a JSON answer; stream: in a usage event; none", name="usage_source"),
    ] = "none"


class Finish(Struct, frozen=True):
    """Why the answer ends, in the service's word: `stop`, `length`, …"""

    reason: str


class Conversation(Struct, frozen=True):
    """The service's id of the conversation that this answer belongs to."""

    identity: int | str


class Raw(Struct, frozen=True):
    """Fields of the response that no other event carries (ids, model, metadata)."""

    fields: dict[str, Any]


Event = Delta | Usage | Finish | Conversation | Raw


def has_text(events: Iterable[Event]) -> bool:
    """Return whether any event carries text."""
    return any(isinstance(event, Delta) for event in events)


Status = Literal["running", "ok", "error", "interrupted", "lost", "refused"]

# The output type under which a notebook holds the record of a turn.
TURN_MIME_TYPE = "application/vnd.swiftask.turn+json"

# Some services wrap an empty answer in these.
BLANKS = "\"' \n"


class Turn(Struct, kw_only=True):
    """One question and its answer, as history, cache, panel, transcript and notebook read it.

    Each field's meaning stands in its `Column`.
    """

    id: Annotated[
        str, Column("our id of the call; sorts by time", name="turn", written="begin")
    ] = ""
    at: Annotated[
        float, Column("when the request left; our clock", "UTC", kind="moment", written="begin")
    ] = 0.0
    notebook: Annotated[
        str | None,
        Column("path of the notebook, where the front end names one", kind="category",
               written="begin", in_record=False),
    ] = None  # fmt: skip
    session: Annotated[
        str, Column("our id of the conversation", kind="category", written="begin")
    ] = ""
    number: Annotated[int, Column("its number in its session, from 1", written="begin", null=0)] = 0
    cell: Annotated[
        str | None,
        Column("id of the cell that asked, where the front end names it", kind="category",
               written="begin"),
    ] = None  # fmt: skip
    # A cell's slot is its id; what is asked elsewhere in a conversation has an id of its own.
    # Single questions, comparisons and batch rows fill no slot.
    slot: Annotated[
        str | None,
        Column("the place in the conversation that it fills", kind="category", written="begin"),
    ] = None
    run: Annotated[
        str | None,
        Column("the execution of the cell; one may ask several times", written="begin",
               in_frame=False, in_record=False),
    ] = None  # fmt: skip
    surface: Annotated[
        str,
        Column("who asked: cell, panel, python, batch or import", kind="category",
               written="begin"),
    ] = "python"  # fmt: skip
    # Missing if it was sent without history: then no earlier turn can make it stale.
    history_digest: Annotated[
        str | None,
        Column("digest of the turns before it when it was asked", name="after", written="begin",
               in_frame=False, in_record=False),
    ] = None  # fmt: skip
    agent: Annotated[str, Column("slug of the agent", kind="category", written="begin")] = ""
    dialect: Annotated[str, Column("the protocol spoken", kind="category", written="both")] = ""
    status: Annotated[
        Status,
        Column("ok, error, interrupted, running; lost: its process died; refused: never sent",
               written="both"),
    ] = "running"  # fmt: skip
    finish_reason: Annotated[
        str | None, Column("why the answer ends, as the service says", kind="category")
    ] = None
    attempts: Annotated[int, Column("how many requests it took", "requests")] = 0
    seconds: Annotated[float, Column("from the request to the end; our clock", "s")] = 0.0
    first_token_seconds: Annotated[
        float | None, Column("from the request to the first text; our clock", "s")
    ] = None
    usage: Usage = field(default_factory=Usage)
    cached: Annotated[bool, Column("an earlier answer shown again: nothing was sent")] = False
    request_digest: Annotated[
        str,
        Column("digest of the whole request, by which answers are kept", name="key",
               record_name="request_sha256"),
    ] = ""  # fmt: skip
    content_digest: Annotated[
        str, Column("digest of prompt and answer", name="said", in_frame=False, in_record=False)
    ] = ""
    conversation: Annotated[
        int | str | None,
        Column("the service's id of the conversation", kind="text", in_frame=False,
               in_record=False),
    ] = None  # fmt: skip
    error: Annotated[
        str | None,
        Column("the one line of a failure, secrets masked", table="texts", written="both"),
    ] = None
    prompt: Annotated[
        str,
        Column(
            "what was asked",
            table="texts",
            written="begin",
            null=None,
            in_frame=False,
            in_record=False,
        ),
    ] = ""
    answer: Annotated[
        str, Column("what came back", table="texts", null=None, in_frame=False, in_record=False)
    ] = ""
    raw: Annotated[
        dict[str, Any],
        Column("fields of the response beyond the common ones", kind="json", table="texts",
               in_frame=False, in_record=False),
    ] = field(default_factory=dict)  # fmt: skip
    # Whether other turns precede it now than when it was asked; see `conversation.rules`.
    stale: bool = False

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.answer

    @property
    def text_or_files(self) -> str:
        """The answer as history repeats it: its text, or the URLs of its files if it has none."""
        if self.text.strip():
            return self.text
        return "\n".join(each["url"] for each in listed_files(self.raw))


def new_id() -> str:
    """Return a new turn's id: 32 hex digits that sort by time."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def content_digest(prompt: str, answer: str) -> str:
    """Return the digest of a prompt and its answer, 16 hex digits."""
    written = json.dumps([prompt, answer], ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def history_digest(turns: Iterable[Turn]) -> str:
    """Return the digest of what was asked and answered in these turns, 16 hex digits."""
    return hashlib.sha256("\n".join(each.content_digest for each in turns).encode()).hexdigest()[
        :16
    ]


def listed_files(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files that a response lists apart from its text; each has a `url`."""
    listed = raw.get("files")
    return [
        each
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict) and isinstance(each.get("url"), str)
    ]


def is_empty(text: str, raw: dict[str, Any]) -> bool:
    """Return whether an answer has no file, and no text but blanks and quotes."""
    return not (text.strip(BLANKS) or listed_files(raw))


# Some image agents leave `files` empty and put the picture into the text.
_PICTURE = r"!\[([^\]\n]*)\]\((https?://[^\s)]+)\)"


class Reply(Turn, kw_only=True):
    """A turn while its answer grows; cell, panel, batch and ledger read the same object.

    Attributes:
        streams: whether the dialect sends text while it is made.
        progress: what happens before the answer can come, in words for the user.
        shown_in: the execution count of the cell that shows it, where one does.
        format: how it is shown: `md`, `text`, `json` or `code`.
        recorded: whether its outcome was written to the ledger.
        remarks: what else the footer says.
    """

    streams: bool = True
    progress: str = ""
    shown_in: int | None = None
    format: str = "md"
    recorded: bool = True
    remarks: list[str] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, turn: Turn) -> Reply:
        """Return the reply of a turn that has ended."""
        fields = {name: getattr(turn, name) for name in Turn.__struct_fields__}
        return cls(**fields, _parts=[turn.answer])

    def apply(self, events: Iterable[Event]) -> None:
        """Add the events that have just arrived."""
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
    def files(self) -> tuple[dict[str, Any], ...]:
        """The files that the agent made: listed, or shown as pictures in its text."""
        found = {each["url"]: each for each in listed_files(self.raw)}
        if self.dialect in {"native", "widget"}:
            for name, url in re.findall(_PICTURE, self.text):
                found.setdefault(url, {"url": url, "name": name})
        return tuple(found.values())

    def text_parts(self, start: int) -> list[str]:
        """Return the pieces of text from this one on; safe while another thread applies events."""
        return self._parts[start:]

    @property
    def text(self) -> str:
        """All the text so far; safe while another thread applies events."""
        return "".join(self._parts)
