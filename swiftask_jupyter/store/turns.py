"""Turns: begun when the request leaves, completed once when it ends, then never touched."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from swiftask_jupyter.replies import Reply
from swiftask_jupyter.store.database import Database
from swiftask_jupyter.store.owner import alive, me

# What `usage` returns, in its order.
COLUMNS = (
    "turn", "at", "notebook", "session", "agent", "dialect", "status",
    "input_tokens", "output_tokens", "total_tokens", "reported_total", "credits", "usage_source",
    "seconds", "first_token_seconds", "attempts", "finish_reason", "error",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where a turn stands: its notebook (`None` outside of one) and its session there."""

    notebook: str | None
    session: str


def new_id() -> str:
    """Return a new turn's id: 32 hex digits that sort by time."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class Turns:
    """The table of all turns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, reply: Reply, place: Place, prompt: str) -> None:
        """Write the row of a request that is about to leave, and number it in its session."""
        with self._database.write() as rows:
            (count,) = rows.execute(
                "SELECT count(*) FROM turns"
                " WHERE session = ? AND notebook IS ? AND status <> 'refused'",
                (place.session, place.notebook),
            ).fetchone()
            reply.number = count + 1
            _insert(rows, reply, place, prompt)

    def complete(self, reply: Reply) -> None:
        """Write how the turn ended. A turn that has ended is not written again."""
        usage = reply.usage
        with self._database.write() as rows:
            changed = rows.execute(
                "UPDATE turns SET status = ?, dialect = ?, finish_reason = ?, seconds = ?,"
                " first_token_seconds = ?, input_tokens = ?, output_tokens = ?, total_tokens = ?,"
                " reported_total = ?, credits = ?, usage_source = ?, attempts = ?"
                " WHERE turn = ? AND status = 'running'",
                (
                    reply.status, reply.dialect or None,
                    _storable(reply.finish_reason or "") or None, reply.seconds,
                    reply.first_token_seconds, usage.input_tokens, usage.output_tokens,
                    usage.total_tokens, usage.reported_total, usage.credits, usage.source,
                    reply.attempts, reply.turn,
                ),
            ).rowcount  # fmt: skip
            if changed:
                rows.execute(
                    "UPDATE texts SET answer = ?, error = ? WHERE turn = ?",
                    (_storable(reply.text), _storable(reply.error or "") or None, reply.turn),
                )

    def refuse(self, reply: Reply, place: Place, prompt: str) -> None:
        """Write the row of a prompt that was not sent."""
        with self._database.write() as rows:
            _insert(rows, reply, place, prompt)

    def rows(self) -> list[tuple[Any, ...]]:
        """Return all turns, oldest first, in the order of `COLUMNS`; begun and dead is lost."""
        columns = ", ".join(COLUMNS).replace("turn,", "turns.turn,", 1)
        with self._database.read() as table:
            rows = table.execute(
                f"SELECT {columns}, owner FROM turns LEFT JOIN texts USING (turn)"  # noqa: S608 - our own columns
                " ORDER BY at, turn"
            ).fetchall()
        status = COLUMNS.index("status")
        living: dict[str, bool] = {}
        return [
            row[:-1] if row[status] != "running" or _lives(row[-1], living)
            else (*row[:status], "lost", *row[status + 1 : -1])
            for row in rows
        ]  # fmt: skip

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _lives(owner: str, known: dict[str, bool]) -> bool:
    if owner not in known:
        known[owner] = alive(owner)
    return known[owner]


def _insert(rows: Any, reply: Reply, place: Place, prompt: str) -> None:
    rows.execute(
        "INSERT INTO turns (turn, at, notebook, session, agent, dialect, owner, status)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            reply.turn, reply.at, place.notebook, place.session, reply.agent or None,
            reply.dialect or None, me(), reply.status,
        ),
    )  # fmt: skip
    rows.execute(
        "INSERT INTO texts (turn, prompt, error) VALUES (?, ?, ?)",
        (reply.turn, _storable(prompt), _storable(reply.error or "") or None),
    )


def _storable(text: str) -> str:
    """Return the text without lone surrogates, which no database takes."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
