"""Turns: begun when the request leaves, completed once when it ends, then never touched."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

from swiftask_jupyter.answers.reply import Reply
from swiftask_jupyter.ledger.owner import this_process
from swiftask_jupyter.ledger.store import Store, StoreConnection
from swiftask_jupyter.support.structs import Struct

LONGEST_RAW = 64 * 1024


class Place(Struct, frozen=True):
    """Where a turn stands: its notebook (`None` outside of one) and its session there."""

    notebook: str | None
    session: str


# A turn to write: its reply, where it stands, and what was asked.
Row: TypeAlias = tuple[Reply, Place, str]


def new_id() -> str:
    """Return a new turn's id: 32 hex digits that sort by time."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class Turns:
    """The table of all turns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, reply: Reply, place: Place, prompt: str, least: int = 0) -> None:
        """Write the row of a request that is about to leave, and number it in its session.

        Args:
            reply: what will come back.
            place: the notebook and the session.
            prompt: what is asked.
            least: the highest number that the session has taken over from another.
        """
        with self._store.write() as rows:
            (highest,) = rows.execute(
                "SELECT max(number) FROM turns WHERE session = ?", (storable(place.session),)
            ).fetchone()
            reply.number = max(highest or 0, least) + 1
            _insert(rows, reply, place, prompt)

    def complete(self, reply: Reply, prompt: str = "") -> None:
        """Write how the turn ended. A turn that has ended is not written again."""
        with self._store.write() as rows:
            _complete(rows, reply, prompt)

    def group(self, begun: Iterable[Row], ended: Iterable[Row]) -> None:
        """Begin and complete many turns in one transaction, which costs a fourth of many.

        Their numbers are the caller's affair.
        """
        with self._store.write() as rows:
            for reply, place, prompt in begun:
                _insert(rows, reply, place, prompt)
            for reply, _, prompt in ended:
                _complete(rows, reply, prompt)

    def refuse(self, reply: Reply, place: Place, prompt: str) -> None:
        """Write the row of a prompt that was not sent."""
        with self._store.write() as rows:
            _insert(rows, reply, place, prompt)

    def costs(self, agent: str, most: int = 5) -> list[tuple[Any, ...]]:
        """Return what the agent's last calls cost, newest first: tokens, credits, seconds.

        A repeated answer and an imported one were no calls.
        """
        with self._store.read() as table:
            return list(
                table.execute(
                    "SELECT input_tokens, output_tokens, reported_total, credits, seconds"
                    " FROM turns WHERE agent = ? AND status = 'ok' AND coalesce(cached, 0) = 0"
                    " AND coalesce(surface, '') <> 'import' ORDER BY at DESC LIMIT ?",
                    (storable(agent), most),
                )
            )


def _insert(rows: StoreConnection, reply: Reply, place: Place, prompt: str) -> None:
    standing = reply.standing
    rows.execute(
        "INSERT INTO turns (turn, at, notebook, session, agent, dialect, owner, status,"
        " number, slot, cell, run, surface, after)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            reply.turn, reply.at, storable(place.notebook), storable(place.session),
            storable(reply.agent) or None, reply.dialect or None, this_process(), reply.status,
            reply.number or None, standing.slot, standing.cell, standing.run, standing.surface,
            standing.after,
        ),
    )  # fmt: skip
    rows.execute(
        "INSERT INTO texts (turn, prompt, error) VALUES (?, ?, ?)",
        (reply.turn, storable(prompt), storable(reply.error or "") or None),
    )


def _complete(rows: StoreConnection, reply: Reply, prompt: str) -> None:
    usage = reply.usage
    changed = rows.execute(
        "UPDATE turns SET status = ?, dialect = ?, finish_reason = ?, seconds = ?,"
        " first_token_seconds = ?, input_tokens = ?, output_tokens = ?, total_tokens = ?,"
        " reported_total = ?, credits = ?, usage_source = ?, attempts = ?, said = ?,"
        " conversation = ?, key = ?, cached = ?"
        " WHERE turn = ? AND status = 'running'",
        (
            reply.status, reply.dialect or None,
            storable(reply.finish_reason or "") or None, reply.seconds,
            reply.first_token_seconds, usage.input_tokens, usage.output_tokens,
            usage.total_tokens, usage.reported_total, usage.credits, usage.source,
            reply.attempts, said(prompt, reply.text),
            None if reply.conversation is None else storable(str(reply.conversation)),
            reply.digest or None, int(reply.cached), reply.turn,
        ),
    ).rowcount  # fmt: skip
    if changed:
        rows.execute(
            "UPDATE texts SET answer = ?, error = ?, raw = ? WHERE turn = ?",
            (
                storable(reply.text), storable(reply.error or "") or None,
                _written(reply.raw), reply.turn,
            ),
        )  # fmt: skip


def said(prompt: str, answer: str) -> str:
    """Return a digest of a question and its answer: equal ones have said the same."""
    written = json.dumps([prompt, answer], ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def _written(raw: dict[str, Any]) -> str | None:
    """Return what an answer carried beside its text as JSON; without, where it can't be kept."""
    try:
        written = json.dumps(raw, ensure_ascii=True) if raw else ""
    except (TypeError, ValueError, RecursionError):
        return None
    return written if written and len(written) <= LONGEST_RAW else None


Text = TypeVar("Text", str, str | None)


def storable(text: Text) -> Text:
    """Return the text without lone surrogates, which no database takes."""
    return text and text.encode("utf-8", "replace").decode()
