"""The record of one turn: a question, its answer, and how both came about.

`Turn` is the one list of a turn's fields. The `Column` of a field says what it means and how it
is stored and shown: the tables of the ledger, the usage frame and the record in a notebook
derive from it (`ledger.schema`). A new field is one line here, and one migration.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from swiftask_jupyter.answers.column import Column
from swiftask_jupyter.answers.events import Usage
from swiftask_jupyter.support.structs import Struct, field

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
    """Return the files that a response lists beside its text; each has its `url`."""
    listed = raw.get("files")
    return [
        each
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict) and isinstance(each.get("url"), str)
    ]


def is_empty(text: str, raw: dict[str, Any]) -> bool:
    """Return whether an answer has no file, and no text but blanks and quotes."""
    return not (text.strip(BLANKS) or listed_files(raw))
