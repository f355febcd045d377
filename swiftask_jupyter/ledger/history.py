"""What the ledger knows of earlier rows: answers that need not be asked for again.

What the ledger knows of a conversation: its turns, and what was done to them later.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from swiftask_jupyter.answers.reply import BLANKS, Delta, Provenance, Reply, Usage
from swiftask_jupyter.conversation.rules import Exchange, Mark
from swiftask_jupyter.errors import StoreUnreachable
from swiftask_jupyter.ledger.store import MAX_PARAMETERS, Store
from swiftask_jupyter.ledger.turns import new_id, storable
from swiftask_jupyter.support.structs import Struct

RECENT = 50


class EarlierRows:
    """Finds the turns of rows by what was asked."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def known(self, keys: Sequence[str]) -> dict[str, Reply]:
        """Return how requests with these digests ended: the newest answer, else the newest error.

        Where several users share the ledger, only their own count.

        Raises:
            StoreError: the ledger can't be read.
        """
        found: dict[str, Reply] = {}
        with self._store.read() as table:
            for start in range(0, len(keys), MAX_PARAMETERS):
                some = keys[start : start + MAX_PARAMETERS]
                marks = ", ".join("?" * len(some))
                rows = table.execute(
                    "SELECT key, turns.turn, agent, status, answer, error, raw, seconds, attempts,"  # noqa: S608 - question marks
                    " input_tokens, output_tokens, total_tokens, reported_total, credits,"
                    " usage_source FROM turns JOIN texts ON texts.turn = turns.turn"
                    f" WHERE key IN ({marks}) AND surface = 'batch' AND status IN ('ok', 'error')"
                    f" AND {self._store.own_turns}"
                    " ORDER BY at, turns.turn",
                    some,
                )
                for key, *row in rows:
                    if row[2] == "ok" or key not in found or found[key].status != "ok":
                        found[key] = _reply(row)
        return found

    def usual_credits(self, agent: str) -> tuple[float, int] | None:
        """Return the median cost of the agent's last calls that told theirs, and their number.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            rows = table.execute(
                "SELECT credits FROM turns WHERE agent = ? AND status = 'ok'"
                " AND credits IS NOT NULL AND coalesce(cached, 0) = 0 ORDER BY at DESC LIMIT ?",
                (storable(agent), RECENT),
            ).fetchall()
        return (median(spent for (spent,) in rows), len(rows)) if rows else None


def _reply(row: Sequence[Any]) -> Reply:
    turn, agent, status, answer, error, raw, seconds, attempts, *usage = row
    reply = Reply(
        agent or "", turn=turn, status=status, error=error, usage=Usage(*usage),
        seconds=seconds or 0.0, attempts=attempts or 0, raw=json.loads(raw) if raw else {},
    )  # fmt: skip
    reply.apply([Delta(str(answer))] if answer else ())
    return reply


_COLUMNS = (
    "turn, at, number, slot, cell, run, surface, agent, dialect, conversation, after, said,"
    " seconds, input_tokens, output_tokens, total_tokens, reported_total, credits, usage_source,"
    " session, key, finish_reason, first_token_seconds, attempts, cached, status"
)

# What may be shown again: no failure, and none in disguise (see `Reply.suspect`). Its parameters
# are what a blank answer is made of, and how a list of files begins in our own JSON.
_REPLAYABLE = (
    "status = 'ok' AND turns.at >"
    " coalesce((SELECT max(marks.at) FROM marks WHERE kind = 'cleared'), 0)"
    " AND (trim(answer, ?) <> '' OR raw LIKE ?)"
    " AND NOT (usage_source = 'stream' AND reported_total = 1"
    " AND input_tokens IS NULL AND output_tokens IS NULL)"
)
_HOLDING = (BLANKS, '%"files": [{%')


class SessionSegment(Struct, frozen=True):
    """A session and, for one that was taken over, the moment up to which it counts."""

    session: str
    until: float


class Replay(Struct, frozen=True):
    """An earlier answer to the same question."""

    text: str
    finish_reason: str | None
    raw: dict[str, Any]


class History:
    """Reads conversations out of the table of turns, and marks turns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def turns(self, lines: Sequence[SessionSegment]) -> tuple[list[Exchange], list[Exchange]]:
        """Return the answered turns of a session, and all that were sent; oldest first.

        Texts are left out; `with_texts` brings them. The service's conversations of a session that
        was taken over are left to it: it may still go on there.
        """
        answered, sent = [], []
        with self._store.read() as table:
            for line in lines:
                for row in table.execute(
                    f"SELECT {_COLUMNS} FROM turns"  # noqa: S608 - our own columns
                    " WHERE session = ? AND at <= ? AND status <> 'refused'",
                    (line.session, line.until),
                ):
                    exchange = _exchange(row)
                    if line is not lines[0]:
                        exchange.conversation = None
                    sent.append(exchange)
                    if row[-1] == "ok":
                        answered.append(exchange)
        for rows in (answered, sent):
            rows.sort(key=lambda each: (each.at, each.turn))
        return answered, sent

    def with_texts(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        """Return the same turns with what was asked and answered."""
        texts: dict[str, tuple[str | None, str | None, str | None]] = {}
        wanted = [each.turn for each in exchanges]
        if wanted:
            with self._store.read() as table:
                for start in range(0, len(wanted), MAX_PARAMETERS):
                    some = wanted[start : start + MAX_PARAMETERS]
                    marks = ", ".join("?" * len(some))
                    for turn, *text in table.execute(
                        f"SELECT turn, prompt, answer, raw FROM texts WHERE turn IN ({marks})",  # noqa: S608 - question marks
                        some,
                    ):
                        texts[turn] = tuple(text)
        for each in exchanges:
            prompt, answer, raw = texts.get(each.turn, (None, None, None))
            each.prompt, each.answer = prompt or "", answer or ""
            if raw:
                each.raw = _read(raw)
        return list(exchanges)

    def marks(self, lines: Sequence[SessionSegment]) -> list[Mark]:
        """Return what was done to a session's turns, oldest first."""
        marks: list[Mark] = []
        with self._store.read() as table:
            for line in lines:
                rows = table.execute(
                    "SELECT at, kind, turn, value FROM marks WHERE session = ? AND at <= ?",
                    (line.session, line.until),
                )
                marks += [Mark(*row) for row in rows]
        return sorted(marks, key=lambda mark: mark.at)

    def mark(
        self,
        kind: str,
        session: str | None,
        turn: str | None = None,
        value: str | None = None,
        *,
        earliest: float = 0.0,
    ) -> None:
        """Note that something was done to a turn, or to a session; not before `earliest`."""
        with self._store.write() as rows:
            rows.execute(
                "INSERT INTO marks (mark, at, kind, session, turn, value)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    new_id(), max(time.time(), earliest), kind, storable(session), turn,
                    storable(value),
                ),
            )  # fmt: skip

    def replay(self, key: str) -> Replay | None:
        """Return the user's newest answer to a request with this digest, if it may be shown."""
        try:
            with self._store.read() as table:
                row = table.execute(
                    f"SELECT answer, finish_reason, raw FROM turns"  # noqa: S608 - our own words
                    f" JOIN texts ON texts.turn = turns.turn WHERE key = ? AND {_REPLAYABLE}"
                    f" AND said IS NOT NULL AND {self._store.own_turns}"
                    " ORDER BY turns.at DESC, turns.turn DESC LIMIT 1",
                    (key, *_HOLDING),
                ).fetchone()
        except StoreUnreachable:
            return None
        return Replay(row[0] or "", row[1], _read(row[2])) if row else None

    def replays(self) -> tuple[int, int]:
        """Return how many of the user's answers may be shown again, and how many have been."""
        with self._store.read() as table:
            return tuple(
                table.execute(
                    f"SELECT count(DISTINCT CASE WHEN {_REPLAYABLE} THEN key END),"  # noqa: S608 - our own words
                    " count(CASE WHEN cached = 1 THEN 1 END) FROM turns"
                    " JOIN texts ON texts.turn = turns.turn"
                    f" WHERE {self._store.own_turns}",
                    _HOLDING,
                ).fetchone()
            )

    def purge(self, turns: Sequence[str]) -> int:
        """Erase the texts of turns, and of those that repeat them; return how many they were.

        Where several users share the ledger, another's turns are left alone.
        """
        mine = self._store.own_turns
        with self._store.write() as rows:
            every = set(turns)
            for turn in turns:
                found = rows.execute(
                    "SELECT turn FROM turns WHERE key = (SELECT key FROM turns WHERE turn = ?)"  # noqa: S608 - our own words
                    f" AND {mine}",
                    (turn,),
                )
                every |= {row[0] for row in found}
            for turn in sorted(every):
                rows.execute(
                    "UPDATE texts SET prompt = NULL, answer = NULL, error = NULL, raw = NULL"  # noqa: S608 - as above
                    " WHERE turn = ? AND EXISTS (SELECT 1 FROM turns"
                    f" WHERE turns.turn = texts.turn AND {mine})",
                    (turn,),
                )
                rows.execute(
                    "UPDATE marks SET value = NULL WHERE turn = ? AND kind = 'comment'"  # noqa: S608 - as above
                    f" AND EXISTS (SELECT 1 FROM turns WHERE turns.turn = marks.turn AND {mine})",
                    (turn,),
                )
                rows.execute(
                    f"UPDATE turns SET key = NULL, said = NULL WHERE turn = ? AND {mine}",  # noqa: S608 - as above
                    (turn,),
                )
        self._store.checkpoint()
        return len(every)

    def take_in(self, session: str, notebook: str | None, exchanges: Sequence[Exchange]) -> None:
        """Write turns that were exported elsewhere; they are history, and not calls."""
        with self._store.write() as rows:
            for each in exchanges:
                rows.execute(
                    "INSERT INTO turns (turn, at, notebook, session, agent, dialect, owner, status,"
                    " number, slot, surface, said, usage_source)"
                    " VALUES (?, ?, ?, ?, ?, ?, '', 'ok', ?, ?, 'import', ?, 'none')",
                    (
                        each.turn, each.at, storable(notebook), session, storable(each.agent),
                        each.dialect, each.number, each.slot, each.said,
                    ),
                )  # fmt: skip
                rows.execute(
                    "INSERT INTO texts (turn, prompt, answer) VALUES (?, ?, ?)",
                    (each.turn, storable(each.prompt), storable(each.answer)),
                )


def _exchange(row: Sequence[Any]) -> Exchange:
    (
        turn, at, number, slot, cell, run, surface, agent, dialect, conversation, after, said,
        seconds, sent, made, total, reported, spent, source, session, key, finish, first, attempts,
        cached, _,
    ) = row  # fmt: skip
    return Exchange(
        turn, at, number or 0, slot, cell, run, surface or "", agent or "", dialect or "",
        conversation, after, said or "", seconds=seconds or 0.0,
        usage=Usage(sent, made, total, reported, spent, source or "none"),
        provenance=Provenance(session or "", key or "", finish, first, attempts or 0, bool(cached)),
    )  # fmt: skip


def _read(raw: str | None) -> dict[str, Any]:
    value = json.loads(raw) if raw else {}
    return value if isinstance(value, dict) else {}
