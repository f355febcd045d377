"""What the ledger knows of conversations and earlier batch rows, and the marks on turns."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from statistics import median

from swiftask_jupyter.answers.turn import Turn, new_id
from swiftask_jupyter.errors import StoreUnreachable
from swiftask_jupyter.ledger import schema
from swiftask_jupyter.ledger.schema import IS_CALL, IS_REPLAYABLE, storable
from swiftask_jupyter.ledger.store import MAX_PARAMETERS, Store
from swiftask_jupyter.support.structs import Struct

RECENT = 50

# No answer from before the cache was cleared.
_SINCE_CLEARED = "turns.at > coalesce((SELECT max(marks.at) FROM marks WHERE kind = 'cleared'), 0)"
_BOTH_TABLES = "turns JOIN texts ON texts.turn = turns.turn"


class SessionSegment(Struct, frozen=True):
    """A session whose turns count up to a moment: those of one that was copied, until then.

    Attributes:
        session: its id.
        until: seconds since the epoch.
    """

    session: str
    until: float


class Mark(Struct, frozen=True):
    """What was done to a turn or to a session, later.

    Attributes:
        at: when, in seconds since the epoch.
        kind: `undone`, `forgotten`, `picked` or `reset`; others do not change a conversation.
        turn: the id of the turn; `None` for a whole session.
        value: for `picked`, the slot that the turn fills.
    """

    at: float
    kind: str
    turn: str | None = None
    value: str | None = None


class EarlierRows:
    """Finds earlier batch rows by the digest of their request."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def known(self, digests: Sequence[str]) -> dict[str, Turn]:
        """Return the newest answer to each request, else its newest failure, by digest.

        Where several users share the ledger, only their own rows count.

        Raises:
            StoreError: the ledger can't be read.
        """
        found: dict[str, Turn] = {}
        wanted = schema.selection("turns", "texts")
        with self._store.read() as table:
            for start in range(0, len(digests), MAX_PARAMETERS):
                some = digests[start : start + MAX_PARAMETERS]
                marks = ", ".join("?" * len(some))
                rows = table.execute(
                    f"SELECT {wanted.sql} FROM {_BOTH_TABLES}"  # noqa: S608 - our own columns
                    f" WHERE key IN ({marks}) AND surface = 'batch' AND status IN ('ok', 'error')"
                    f" AND {self._store.own_turns} ORDER BY at, turns.turn",
                    some,
                )
                for row in rows:
                    turn = wanted.turn(row)
                    known = found.get(turn.request_digest)
                    if turn.status == "ok" or known is None or known.status != "ok":
                        found[turn.request_digest] = turn
        return found

    def usual_credits(self, agent: str) -> tuple[float, int] | None:
        """Return the median credits of the agent's last calls, and how many those were.

        `None` if no call reported credits.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            rows = table.execute(
                "SELECT credits FROM turns WHERE agent = ? AND status = 'ok'"  # noqa: S608 - our own words
                f" AND credits IS NOT NULL AND {IS_CALL} ORDER BY at DESC LIMIT ?",
                (storable(agent), RECENT),
            ).fetchall()
        return (median(spent for (spent,) in rows), len(rows)) if rows else None


class History:
    """Reads conversations out of the table of turns, and marks turns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def segments(self, session: str) -> list[SessionSegment]:
        """Return the session, and those that it was copied from with the time of each copy."""
        segments = [SessionSegment(storable(session), math.inf)]
        with self._store.read() as table:
            while True:
                row = table.execute(
                    "SELECT parent, at FROM sessions WHERE session = ? AND parent IS NOT NULL"
                    " ORDER BY at LIMIT 1",
                    (segments[-1].session,),
                ).fetchone()
                if row is None or row[0] in {each.session for each in segments}:
                    return segments
                segments.append(SessionSegment(row[0], min(row[1], segments[-1].until)))

    def turns(self, segments: Sequence[SessionSegment]) -> tuple[list[Turn], list[Turn]]:
        """Return the answered turns of a session, and all that were sent; oldest first.

        Texts are left out; `with_texts` adds them. A copied session leaves the service's
        conversations to the original, which may still use them.

        Raises:
            StoreError: the ledger can't be read.
        """
        answered, sent = [], []
        wanted = schema.selection("turns")
        with self._store.read() as table:
            for segment in segments:
                rows = table.execute(
                    f"SELECT {wanted.sql} FROM turns"  # noqa: S608 - our own columns
                    " WHERE session = ? AND at <= ? AND status <> 'refused'",
                    (segment.session, segment.until),
                )
                for row in rows:
                    turn = wanted.turn(row)
                    if segment is not segments[0]:
                        turn.conversation = None
                    sent.append(turn)
                    if turn.status == "ok":
                        answered.append(turn)
        for turns in (answered, sent):
            turns.sort(key=lambda turn: (turn.at, turn.id))
        return answered, sent

    def with_texts(self, turns: Sequence[Turn]) -> list[Turn]:
        """Fill in prompt, answer, error and further fields of these turns, and return them.

        Raises:
            StoreError: the ledger can't be read.
        """
        by_id = {turn.id: turn for turn in turns}
        ids, wanted = list(by_id), schema.selection("texts")
        if not ids:
            return []
        with self._store.read() as table:
            for start in range(0, len(ids), MAX_PARAMETERS):
                some = ids[start : start + MAX_PARAMETERS]
                marks = ", ".join("?" * len(some))
                for identity, *texts in table.execute(
                    f"SELECT turn, {wanted.sql} FROM texts WHERE turn IN ({marks})",  # noqa: S608 - our own columns
                    some,
                ):
                    wanted.fill(by_id[identity], texts)
        return list(turns)

    def marks(self, segments: Sequence[SessionSegment]) -> list[Mark]:
        """Return the marks on a session and its turns, oldest first.

        Raises:
            StoreError: the ledger can't be read.
        """
        marks: list[Mark] = []
        with self._store.read() as table:
            for segment in segments:
                rows = table.execute(
                    "SELECT at, kind, turn, value FROM marks WHERE session = ? AND at <= ?",
                    (segment.session, segment.until),
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
        """Note that something was done to a turn, or to a session; not before `earliest`.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            rows.execute(
                "INSERT INTO marks (mark, at, kind, session, turn, value)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    new_id(), max(time.time(), earliest), kind, storable(session), turn,
                    storable(value),
                ),
            )  # fmt: skip

    def replay(self, digest: str) -> Turn | None:
        """Return the user's newest answer to the request of this digest, if it may be replayed.

        `None` also while the ledger's server is away.
        """
        wanted = schema.selection("turns", "texts")
        try:
            with self._store.read() as table:
                row = table.execute(
                    f"SELECT {wanted.sql} FROM {_BOTH_TABLES}"  # noqa: S608 - our own columns
                    f" WHERE key = ? AND {_SINCE_CLEARED} AND {IS_REPLAYABLE}"
                    f" AND said IS NOT NULL AND {self._store.own_turns}"
                    " ORDER BY turns.at DESC, turns.turn DESC LIMIT 1",
                    (digest,),
                ).fetchone()
        except StoreUnreachable:
            return None
        return wanted.turn(row) if row else None

    def replays(self) -> tuple[int, int]:
        """Return how many of the user's answers may be replayed, and how often any was.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            replayable, replayed = table.execute(
                f"SELECT count(DISTINCT CASE WHEN {_SINCE_CLEARED} AND {IS_REPLAYABLE}"  # noqa: S608 - our own words
                f" THEN key END), count(CASE WHEN cached = 1 THEN 1 END) FROM {_BOTH_TABLES}"
                f" WHERE {self._store.own_turns}"
            ).fetchone()
        return replayable, replayed

    def purge(self, turns: Sequence[str]) -> int:
        """Erase the texts of turns and of their cached repeats; return how many turns that were.

        In a shared ledger, only the user's own turns are erased.

        Args:
            turns: the ids of the turns.

        Raises:
            StoreError: the ledger can't be written.
        """
        own_turns = self._store.own_turns
        with self._store.write() as rows:
            every = set(turns)
            for turn in turns:
                found = rows.execute(
                    "SELECT turn FROM turns WHERE key = (SELECT key FROM turns WHERE turn = ?)"  # noqa: S608 - our own words
                    f" AND {own_turns}",
                    (turn,),
                )
                every |= {row[0] for row in found}
            for turn in sorted(every):
                rows.execute(
                    "UPDATE texts SET prompt = NULL, answer = NULL, error = NULL, raw = NULL"  # noqa: S608 - as above
                    " WHERE turn = ? AND EXISTS (SELECT 1 FROM turns"
                    f" WHERE turns.turn = texts.turn AND {own_turns})",
                    (turn,),
                )
                rows.execute(
                    "UPDATE marks SET value = NULL WHERE turn = ? AND kind = 'comment'"  # noqa: S608 - as above
                    " AND EXISTS (SELECT 1 FROM turns"
                    f" WHERE turns.turn = marks.turn AND {own_turns})",
                    (turn,),
                )
                rows.execute(
                    f"UPDATE turns SET key = NULL, said = NULL WHERE turn = ? AND {own_turns}",  # noqa: S608 - as above
                    (turn,),
                )
        self._store.checkpoint()
        return len(every)

    def add_imported(self, turns: Sequence[Turn]) -> None:
        """Write turns that were exported elsewhere; they are history, and no calls.

        Raises:
            StoreError: the ledger can't be written.
        """
        row, texts = schema.insert("turns", "owner"), schema.insert("texts")
        with self._store.write() as rows:
            for turn in turns:
                rows.execute(row.sql, (*row.values(turn), ""))
                rows.execute(texts.sql, texts.values(turn))
                rows.execute(
                    "UPDATE turns SET said = ?, usage_source = 'none' WHERE turn = ?",
                    (turn.content_digest, turn.id),
                )
                rows.execute(
                    "UPDATE texts SET answer = ? WHERE turn = ?", (storable(turn.answer), turn.id)
                )
