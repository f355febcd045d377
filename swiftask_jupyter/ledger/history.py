"""Reads conversations and earlier batch results from the ledger, and records changes to turns.

A change to a finished turn, such as an undo or a rating, does not alter the row of the turn. The
change is stored as a mark, a new row of the table `marks`. Only `History.purge` alters finished
turns: it erases their texts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from swiftask_jupyter.answers.turn import Turn, new_id
from swiftask_jupyter.errors import ConfigurationError, StoreUnreachable
from swiftask_jupyter.ledger import schema
from swiftask_jupyter.ledger.notebook_record import RecordedTurn
from swiftask_jupyter.ledger.schema import IS_CALL, IS_REPLAYABLE, sandbox_condition, storable
from swiftask_jupyter.ledger.store import MAX_PARAMETERS, Store, StoreConnection
from swiftask_jupyter.support.structs import Struct

RECENT = 50

# Kinds of marks. A session has a mark `copied` for each turn that it took over from another
# session, and one without a turn for each session that it came from. The value of a mark `file` is
# the identity of the notebook's file.
COPIED, FILE = "copied", "file"

_BOTH_TABLES = "turns JOIN texts ON texts.turn = turns.turn"


class SessionSegment(Struct, frozen=True):
    """A part of a conversation: the turns of one session up to a point in time.

    If a session is a copy, its conversation has two segments: all turns of the copy, and the turns
    of the original session up to the time of the copy.

    Attributes:
        session: the id of the session.
        until: the latest time of a turn, in seconds since the epoch; infinity: no limit.
    """

    session: str
    until: float


class Mark(Struct, frozen=True):
    """A row of the table `marks`: a change to a turn or to a whole session, such as an undo.

    Attributes:
        at: the time of the change, in seconds since the epoch.
        kind: the kind of the change. Only `undone`, `forgotten`, `picked`, `reset` and `copied`
            change a conversation.
        turn: the id of the turn; `None` if the whole session is changed.
        value: additional data. For `picked`: the slot that the turn fills in the conversation. For
            `copied` without a turn: the id of the original session.
    """

    at: float
    kind: str
    turn: str | None = None
    value: str | None = None


class BatchRowLookup:
    """Finds the results of earlier batches in the ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def known(self, digests: Sequence[str]) -> dict[str, Turn]:
        """Return a dict that maps digests of requests to turns with the results.

        Each turn is the newest answer to the request. If there is no answer, the turn is the newest
        failure. Turns without texts are left out. In a shared ledger, only the user's own turns
        count.

        Args:
            digests: the digests of the requests.

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
                    " AND said IS NOT NULL"
                    f" AND {self._store.own_turns} ORDER BY at, turns.turn",
                    some,
                )
                for row in rows:
                    turn = wanted.turn(row)
                    known = found.get(turn.request_digest)
                    if turn.status == "ok" or known is None or known.status != "ok":
                        found[turn.request_digest] = turn
        return found

    def usual_credits(self, agent: str, *, sandbox: bool = False) -> tuple[float, int] | None:
        """Return the median credits of the agent's last calls, and the number of these calls.

        Only calls that reported credits count. If there is no such call, return `None`.

        Args:
            agent: the slug of the agent.
            sandbox: `True` counts only calls to the sandbox; `False` counts only other calls.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            rows = table.execute(
                "SELECT credits FROM turns WHERE agent = ? AND status = 'ok'"  # noqa: S608 - our own words
                f" AND credits IS NOT NULL AND {IS_CALL}"
                f" AND {sandbox_condition(sandbox=sandbox)} ORDER BY at DESC LIMIT ?",
                (storable(agent), RECENT),
            ).fetchall()
        return (median(spent for (spent,) in rows), len(rows)) if rows else None


class History:
    """Reads conversations from the ledger, and adds marks to turns.

    Args:
        store: the database.
        keeps_texts: returns whether texts may be stored. Comments on answers are texts too.
    """

    def __init__(self, store: Store, keeps_texts: Callable[[], bool] = lambda: True) -> None:
        self._store = store
        self._keeps_texts = keeps_texts

    def segments(self, session: str) -> list[SessionSegment]:
        """Return the segments of the conversation of a session, newest segment first.

        The first segment is the session itself. If the session is a copy, the original session
        follows, up to the time of the copy. If the original is a copy too, the next original
        follows, and so on.

        Raises:
            StoreError: the ledger can't be read.
        """
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
        """Return two lists of turns: the successful turns, and all turns except refused turns.

        Both lists are sorted by time, and contain only turns of the current user. The texts are not
        read. If a turn comes from another session, the field `conversation` is `None`.

        Raises:
            StoreError: the ledger can't be read.
        """
        sent: dict[str, Turn] = {}
        wanted, store = schema.selection("turns"), self._store
        select = f"SELECT {wanted.sql} FROM turns"  # noqa: S608 - our own columns
        own = f"status <> 'refused' AND {store.own_turns}"  # others can name this session too
        said_in_it = f"{select} WHERE session = ? AND at <= ? AND {own}"
        copied = (
            f"{select} JOIN marks ON marks.turn = turns.turn WHERE marks.session = ?"
            f" AND marks.at <= ? AND kind = '{COPIED}' AND {store.own_marks} AND {own}"
        )
        with store.read() as table:
            for segment in segments:
                for statement in (said_in_it, copied):
                    for row in table.execute(statement, (segment.session, segment.until)):
                        turn = wanted.turn(row)
                        if statement is copied or segment is not segments[0]:
                            turn.conversation = None  # the original may still use it
                        sent.setdefault(turn.id, turn)
        turns = sorted(sent.values(), key=lambda turn: (turn.at, turn.id))
        return [turn for turn in turns if turn.status == "ok"], turns

    def matching(self, recorded: Iterable[RecordedTurn]) -> dict[str, str]:
        """Return a dict that maps the ids of recorded turns to the ids of the turns' sessions.

        A turn is in the dict if the ledger has a turn of the current user with the same id and the
        same digest. The dict is sorted by the time of the turns.

        Raises:
            StoreError: the ledger can't be read.
        """
        claims: dict[str, set[RecordedTurn]] = {}
        for each in recorded:
            claims.setdefault(each.id, set()).add(each)
        ids, found = list(claims), []
        with self._store.read() as table:
            for start in range(0, len(ids), MAX_PARAMETERS):
                some = ids[start : start + MAX_PARAMETERS]
                marks = ", ".join("?" * len(some))
                rows = table.execute(
                    f"SELECT at, turn, session, said, key FROM turns WHERE turn IN ({marks})"  # noqa: S608 - our own columns
                    f" AND {self._store.own_turns}",
                    some,
                )
                found += [
                    (at, turn, session)
                    for at, turn, session, said, key in rows
                    if any(
                        each.content_digest == said if each.content_digest
                        else each.request_digest == key
                        for each in claims.get(turn, ())
                    )
                ]  # fmt: skip
        return {turn: session for _, turn, session in sorted(found)}

    def with_texts(self, turns: Sequence[Turn]) -> list[Turn]:
        """Read the prompt, answer, error and raw response fields of turns from the ledger.

        The method sets these fields of the given turns, and returns the given turns.

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
                    f"SELECT texts.turn, {wanted.sql} FROM {_BOTH_TABLES}"  # noqa: S608 - our own columns
                    f" WHERE texts.turn IN ({marks}) AND {self._store.own_turns}",
                    some,
                ):
                    wanted.fill(by_id[identity], texts)
        return list(turns)

    def marks(self, segments: Sequence[SessionSegment]) -> list[Mark]:
        """Return the current user's marks on sessions and turns in segments, oldest first.

        Marks of the kind `file` are left out.

        Raises:
            StoreError: the ledger can't be read.
        """
        marks: list[Mark] = []
        with self._store.read() as table:
            for segment in segments:
                rows = table.execute(
                    "SELECT at, kind, turn, value FROM marks WHERE session = ? AND at <= ?"  # noqa: S608 - our own words
                    f" AND kind <> '{FILE}' AND {self._store.own_marks}",
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
        """Record a change to a turn or to a whole session, as a row of the table `marks`.

        Args:
            kind: the kind of the change, such as `undone`.
            session: the id of the session; `None` for the kind `cleared`, which clears the cache.
            turn: the id of the turn; `None` if the whole session is changed.
            value: additional data, such as the text of a comment.
            earliest: the earliest time of the row, in seconds since the epoch. If the clock shows
                an earlier time, the row gets the time `earliest`.

        Raises:
            StoreError: the ledger can't be written.
        """
        if kind == "comment" and not self._keeps_texts():
            value = None
        with self._store.write() as rows:
            insert_mark(rows, session, Mark(max(time.time(), earliest), kind, turn, value))

    def replay(self, digest: str) -> Turn | None:
        """Return the newest turn whose answer the cache may show again for a request.

        Only turns of the current user are searched, and only turns that are newer than the last
        clearing of the cache. Return `None` if no turn is found, or if the ledger's server can't be
        reached.

        Args:
            digest: the digest of the request, as in `Turn.request_digest`.

        Raises:
            StoreError: the ledger can't be read.
        """
        wanted = schema.selection("turns", "texts")
        try:
            with self._store.read() as table:
                row = table.execute(
                    f"SELECT {wanted.sql} FROM {_BOTH_TABLES}"  # noqa: S608 - our own columns
                    f" WHERE key = ? AND {self._since_cleared} AND {IS_REPLAYABLE}"
                    f" AND said IS NOT NULL AND {self._store.own_turns}"
                    " ORDER BY turns.at DESC, turns.turn DESC LIMIT 1",
                    (digest,),
                ).fetchone()
        except StoreUnreachable:
            return None
        return wanted.turn(row) if row else None

    def replays(self) -> tuple[int, int]:
        """Return how many different requests the cache can answer, and how often it has answered.

        Only the current user's turns are counted.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            replayable, replayed = table.execute(
                f"SELECT count(DISTINCT CASE WHEN {self._since_cleared} AND {IS_REPLAYABLE}"  # noqa: S608 - our own words
                f" THEN key END), count(CASE WHEN cached = 1 THEN 1 END) FROM {_BOTH_TABLES}"
                f" WHERE {self._store.own_turns}"
            ).fetchone()
        return replayable, replayed

    @property
    def _since_cleared(self) -> str:
        """An SQL condition that selects the turns after the cache was last cleared."""
        cleared = f"kind = 'cleared' AND {self._store.own_marks}"
        return f"turns.at > coalesce((SELECT max(marks.at) FROM marks WHERE {cleared}), 0)"  # noqa: S608 - our own words

    def add_imported(self, turns: Sequence[Turn]) -> None:
        """Write turns from an imported file to the ledger; these turns do not count as calls.

        Raises:
            ConfigurationError: a setting forbids storing texts, so nothing was written.
            StoreError: the ledger can't be written.
        """
        if not self._keeps_texts():
            raise ConfigurationError(
                "no texts are kept, so an import would keep nothing",
                advice="%swiftask privacy says which setting that is",
            )
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


def insert_mark(rows: StoreConnection, session: str | None, mark: Mark) -> None:
    """Insert a mark on a session or on a turn, in the open transaction of `rows`."""
    rows.execute(
        "INSERT INTO marks (mark, at, kind, session, turn, value) VALUES (?, ?, ?, ?, ?, ?)",
        (new_id(), mark.at, mark.kind, storable(session), mark.turn, storable(mark.value)),
    )
