"""`Turn`: a question with its answer; `Reply`: a turn in progress; and the events of an answer.

Each field of a `Turn` is annotated with a `ColumnSpec`. A `ColumnSpec` says what the field means,
and how the field is stored and displayed. `ledger.schema` derives the columns of the ledger (the
database of all turns), the usage frame and the notebook record from these annotations. A new field
needs one entry in this module and one migration.
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

# The dtypes of the kinds in a frame, in order: datetime64[us, UTC], category, string, Int64,
# Float64 and boolean. All values but a `moment` may be missing. A frame has no `json` columns.
Kind = Literal["moment", "category", "text", "whole", "real", "flag", "json"]


class ColumnSpec(Struct, frozen=True):
    """The meaning of one field of a turn, and where the field's value is stored and displayed.

    Attributes:
        meaning: what the value says, and where it comes from.
        unit: the unit of measure; empty if the value is not a quantity.
        name: the name of the column in the ledger (the database of all turns), the usage frame and
            the record in a notebook; default: the name of the field.
        kind: the kind of value, which determines the dtype; default: derived from the field's type.
        table: the table of the ledger: `turns`, or `texts` for long values.
        written: when the ledger stores the value: `begin` (before the request is sent), `end`
            (after the answer) or `both`.
        null: the value that the ledger stores as NULL, in addition to `None`.
        in_frame: whether the usage frame has the column.
        in_record: whether the record in a notebook has the value.
        record_name: the name in the record; default: the name of the column.
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
    """An event: the next piece of the answer's text."""

    text: str


class Usage(Struct, frozen=True):
    """The tokens and credits of an answer, as the service reported them.

    If the service did not report a value, the value is `None`, not 0. Like `Delta`, a
    `Usage` can be an event of an answer.

    Attributes:
        input_tokens: the tokens of the request.
        output_tokens: the tokens of the answer.
        total_tokens: `input_tokens` plus `output_tokens`, if both are reported.
        reported_total: the total as the service reported it. In Swiftask's `/v1` API, the total
            was found to count platform units instead of tokens.
        credits: the unchanged field `totalBotUsage` of Swiftask's response. The unit is not
            documented.
        source: where the service reported the usage: `api` (in a JSON response), `stream` (in an
            event of a streamed response) or `none`.
    """

    input_tokens: Annotated[
        int | None, ColumnSpec("of the request, as the service reports them", "tokens")
    ] = None
    output_tokens: Annotated[
        int | None, ColumnSpec("of the answer, as the service reports them", "tokens")
    ] = None
    total_tokens: Annotated[
        int | None, ColumnSpec("their sum, where both are reported", "tokens")
    ] = None
    reported_total: Annotated[
        int | None, ColumnSpec("a total as the service gave it, not interpreted", "undocumented")
    ] = None
    credits: Annotated[
        float | None,
        ColumnSpec(
            "totalBotUsage as the service gave it: of the call, or of the session so far",
            "undocumented",
        ),
    ] = None
    source: Annotated[
        UsageSource,
        ColumnSpec("api: in a JSON answer; stream: in a usage event; none", name="usage_source"),
    ] = "none"


class Finish(Struct, frozen=True):
    """An event: the reason why the answer ended, in the service's words, such as `stop`."""

    reason: str


class ConversationId(Struct, frozen=True):
    """An event: the id that the service gives to the conversation of the answer."""

    identity: int | str


class Raw(Struct, frozen=True):
    """An event: additional fields of the response, such as ids and metadata."""

    fields: dict[str, Any]


Event = Delta | Usage | Finish | ConversationId | Raw


def has_text(events: Iterable[Event]) -> bool:
    """Return whether any of the events is a piece of the answer's text."""
    return any(isinstance(event, Delta) for event in events)


Status = Literal["running", "ok", "error", "interrupted", "lost", "refused"]

# The output type under which a notebook holds the record of a turn.
TURN_MIME_TYPE = "application/vnd.swiftask.turn+json"

# Some services surround an empty answer with these characters.
BLANKS = "\"' \n"


class Turn(Struct, kw_only=True):
    """One question to an agent and its answer, with all recorded data.

    Each field is annotated with a `ColumnSpec`, which says what the field means.
    """

    id: Annotated[
        str, ColumnSpec("our id of the call; sorts by time", name="turn", written="begin")
    ] = ""
    at: Annotated[
        float, ColumnSpec("when the request left; our clock", "UTC", kind="moment", written="begin")
    ] = 0.0
    notebook: Annotated[
        str | None,
        ColumnSpec("path of the notebook, where the front end names one", kind="category",
                   written="begin", in_record=False),
    ] = None  # fmt: skip
    session: Annotated[
        str, ColumnSpec("our id of the conversation", kind="category", written="begin")
    ] = ""
    number: Annotated[
        int, ColumnSpec("its number in its session, from 1", written="begin", null=0)
    ] = 0
    cell: Annotated[
        str | None,
        ColumnSpec("id of the cell that asked, where the front end names it", kind="category",
                   written="begin"),
    ] = None  # fmt: skip
    # The slot of a question asked in a cell is the id of the cell. Any other question of a
    # conversation has a slot of its own. Single questions, comparisons and batch rows have no slot.
    slot: Annotated[
        str | None,
        ColumnSpec("the place in the conversation that it fills", kind="category", written="begin"),
    ] = None
    run: Annotated[
        str | None,
        ColumnSpec("the execution of the cell; one may ask several times", written="begin",
                   in_frame=False, in_record=False),
    ] = None  # fmt: skip
    surface: Annotated[
        str,
        ColumnSpec("who asked: cell, panel, python, batch or import", kind="category",
                   written="begin"),
    ] = "python"  # fmt: skip
    # `None` if the question was sent without history: then no earlier turn can make the turn stale.
    history_digest: Annotated[
        str | None,
        ColumnSpec("digest of the turns before it when it was asked", name="after", written="begin",
                   in_frame=False, in_record=False),
    ] = None  # fmt: skip
    agent: Annotated[str, ColumnSpec("slug of the agent", kind="category", written="begin")] = ""
    host: Annotated[
        str | None,
        ColumnSpec("address of the service, without https://", kind="category", written="begin"),
    ] = None
    connection: Annotated[
        str | None,
        ColumnSpec("name of the configured connection", kind="category", written="begin"),
    ] = None
    sandbox: Annotated[bool, ColumnSpec("asked of the sandbox: no real usage", written="begin")] = (
        False
    )
    dialect: Annotated[str, ColumnSpec("the protocol spoken", kind="category", written="both")] = ""
    status: Annotated[
        Status,
        ColumnSpec("ok, error, interrupted, running; lost: its process died; refused: never sent",
                   written="both"),
    ] = "running"  # fmt: skip
    finish_reason: Annotated[
        str | None, ColumnSpec("why the answer ends, as the service says", kind="category")
    ] = None
    attempts: Annotated[int, ColumnSpec("how many requests it took", "requests")] = 0
    seconds: Annotated[float, ColumnSpec("from the request to the end; our clock", "s")] = 0.0
    first_token_seconds: Annotated[
        float | None, ColumnSpec("from the request to the first text; our clock", "s")
    ] = None
    usage: Usage = field(default_factory=Usage)
    cached: Annotated[bool, ColumnSpec("an earlier answer shown again: nothing was sent")] = False
    request_digest: Annotated[
        str,
        ColumnSpec("digest of the whole request, by which answers are kept", name="key",
                   record_name="request_sha256"),
    ] = ""  # fmt: skip
    content_digest: Annotated[
        str,
        ColumnSpec("digest of prompt and answer", name="said", in_frame=False,
                   record_name="content_digest"),
    ] = ""  # fmt: skip
    conversation: Annotated[
        int | str | None,
        ColumnSpec("the service's id of the conversation", kind="text", in_frame=False,
                   in_record=False),
    ] = None  # fmt: skip
    error: Annotated[
        str | None,
        ColumnSpec("the one line of a failure, secrets masked", table="texts", written="both"),
    ] = None
    prompt: Annotated[
        str,
        ColumnSpec("what was asked", table="texts", written="begin", null=None,
                   in_frame=False, in_record=False),
    ] = ""  # fmt: skip
    answer: Annotated[
        str, ColumnSpec("what came back", table="texts", null=None, in_frame=False, in_record=False)
    ] = ""
    raw: Annotated[
        dict[str, Any],
        ColumnSpec("fields of the response beyond the common ones", kind="json", table="texts",
                   in_frame=False, in_record=False),
    ] = field(default_factory=dict)  # fmt: skip
    # Whether the turns before it have changed since it was asked; see `conversation.rules`.
    stale: bool = False

    @property
    def has_texts(self) -> bool:
        """Whether the ledger holds the prompt and the answer of this turn."""
        return bool(self.content_digest)

    @property
    def text(self) -> str:
        """The text of the answer."""
        return self.answer

    @property
    def text_or_files(self) -> str:
        """The text of the answer; if the text is blank, the URLs of the answer's files.

        Each URL is on a separate line. Later requests contain the value as part of the history.
        """
        if self.text.strip():
            return self.text
        return "\n".join(each["url"] for each in listed_files(self.raw))


def new_id() -> str:
    """Return an id for a new turn: 32 hex digits. A later id sorts after an earlier id."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def content_digest(prompt: str, answer: str) -> str:
    """Return a hash of a prompt and its answer, as 16 hex digits."""
    written = json.dumps([prompt, answer], ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def history_digest(turns: Iterable[Turn]) -> str:
    """Return a hash of the prompts and answers of these turns, as 16 hex digits.

    The hash shows whether the turns before a question have changed since the question was asked.
    """
    return hashlib.sha256("\n".join(each.content_digest for each in turns).encode()).hexdigest()[
        :16
    ]


def listed_files(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files in the field `files` of a response; leave out files without a `url`.

    Args:
        raw: the fields of the response.
    """
    listed = raw.get("files")
    return [
        each
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict) and isinstance(each.get("url"), str)
    ]


def is_empty(text: str, raw: dict[str, Any]) -> bool:
    """Return whether an answer has no files, and no text except quotes, spaces and line ends.

    Args:
        text: the text of the answer.
        raw: the fields of the response, which may list files.
    """
    return not (text.strip(BLANKS) or listed_files(raw))


# Some image agents leave `files` empty and write a Markdown picture into the text.
_PICTURE = r"!\[([^\]\n]*)\]\((https?://[^\s)]+)\)"


class Reply(Turn, kw_only=True):
    """A turn whose answer may still grow. Cell, panel, batch and ledger share this object.

    Attributes:
        streams: whether the protocol sends an answer in pieces, while the agent writes it.
        progress: a message for the user while no text has arrived; empty if there is none.
        shown_in: the execution count of the cell that shows the answer; `None` for no cell.
        format: the format in which the answer is shown: `md`, `text`, `json` or `code`.
        recorded: whether the ledger has the end of this turn, texts included.
        withheld: the number of earlier turns that are not sent, because they stay with other
            services.
        remarks: additional remarks for the footer.
    """

    streams: bool = True
    progress: str = ""
    shown_in: int | None = None
    format: str = "md"
    recorded: bool = True
    withheld: int = 0
    remarks: list[str] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, turn: Turn) -> Reply:
        """Return a reply with the fields of a turn that has ended."""
        fields = {name: getattr(turn, name) for name in Turn.__struct_fields__}
        return cls(**fields, _parts=[turn.answer])

    def apply(self, events: Iterable[Event]) -> None:
        """Update the reply with new events of the service's response."""
        append = self._parts.append
        for event in events:
            if type(event) is Delta:  # most events are; `match` would take four times as long
                append(event.text)
                continue
            match event:
                case Usage():
                    self.usage = event
                case Finish(reason):
                    self.finish_reason = reason
                case ConversationId(identity):
                    self.conversation = identity
                case Raw(fields):
                    self.raw.update(fields)

    @property
    def files(self) -> tuple[dict[str, Any], ...]:
        """The files that the agent made: files listed in the response, and pictures in the text.

        Some of Swiftask's agents write a picture into the text, and do not list the picture. So the
        text is searched only if the answer came by one of Swiftask's own protocols.
        """
        found = {each["url"]: each for each in listed_files(self.raw)}
        if self.dialect in {"native", "widget"}:
            for name, url in re.findall(_PICTURE, self.text):
                found.setdefault(url, {"url": url, "name": name})
        return tuple(found.values())

    def text_parts(self, start: int) -> list[str]:
        """Return the pieces of the answer's text, without the first `start` pieces.

        The method may be called while another thread adds events.
        """
        return self._parts[start:]

    @property
    def text(self) -> str:
        """The text of the answer received so far.

        The property may be read while another thread adds events.
        """
        return "".join(self._parts)
