"""Erases the texts of turns from the ledger.

The texts of a turn are the prompt, the answer, the error message, additional fields of the
response, and comments on the answer. The digests of the texts are erased too. The counts stay.

The repeats of a turn lose their texts too. A repeat is a turn with the same request, such as an
answer from the cache. In a shared ledger, only the user's own turns lose texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swiftask_jupyter.ledger.history import COPIED
from swiftask_jupyter.ledger.schema import storable
from swiftask_jupyter.ledger.store import MAX_PARAMETERS, Store, StoreConnection

_HAS_TEXT = "(prompt IS NOT NULL OR answer IS NOT NULL OR error IS NOT NULL OR raw IS NOT NULL)"


class Erasure:
    """Erases the texts of turns from the ledger.

    The methods `of_turns` and `erase` return how many turns lost texts, repeats included.

    Raises:
        StoreUnreachable: the ledger's server can't be reached; nothing was erased.
        StoreError: the ledger can't be written.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_turns(self, turns: Sequence[str]) -> int:
        """Erase the texts of some turns; return how many turns lost texts.

        Args:
            turns: the ids of the turns.
        """
        most = MAX_PARAMETERS // 2  # each id is passed twice
        parts = [turns[start : start + most] for start in range(0, len(turns), most)]
        return self._erase([(f"turn IN ({', '.join('?' * len(part))})", part) for part in parts])

    def erase(self, *, session: str | None = None, before: float | None = None) -> int:
        """Erase the texts of all turns, of a session, or of a period.

        Without arguments, the texts of all turns are erased. Return how many turns lost texts.

        Args:
            session: the id of a session. Only the texts of this session's turns are erased.
            before: a time in seconds since the epoch. Only the texts of older turns are erased.
        """
        return self._erase([self._condition(session, before)])

    def count(self, *, session: str | None = None, before: float | None = None) -> int:
        """Return how many turns would lose texts if `erase` were called with these arguments.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            return self._count(table, self._condition(session, before))

    def kept(self) -> tuple[int, int, float | None]:
        """Return the number of the user's turns, the number of turns with texts, and a time.

        The time is that of the oldest turn with texts, in seconds since the epoch. If no turn has
        texts, the time is `None`.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            row = table.execute(
                "SELECT count(*), count(CASE WHEN has_text = 1 THEN 1 END),"  # noqa: S608 - our own words
                " min(CASE WHEN has_text = 1 THEN at END) FROM (SELECT at, CASE WHEN"
                f" {_HAS_TEXT} THEN 1 ELSE 0 END AS has_text FROM turns"
                f" JOIN texts ON texts.turn = turns.turn WHERE {self._store.own_turns}) AS found"
            ).fetchone()
        return row[0], row[1], row[2]

    def has_session(self, session: str) -> bool:
        """Return whether the ledger has a turn of this user in a session.

        Args:
            session: the id of the session.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            statement = f"SELECT count(*) FROM turns WHERE session = ? AND {self._store.own_turns}"  # noqa: S608 - our own words
            return bool(table.execute(statement, (storable(session),)).fetchone()[0])

    def _erase(self, parts: Sequence[tuple[str, Sequence[Any]]]) -> int:
        with self._store.read() as table:
            table.execute("SELECT 1")  # raises if the server can't be reached: a write would wait
        count = 0
        with self._store.write() as rows:
            for part in parts:
                count += self._count(rows, part) or 0
                self._erase_part(rows, part)
        self._store.checkpoint()
        return count

    def _count(self, table: StoreConnection, part: tuple[str, Sequence[Any]]) -> int:
        turns, parameters = self._selected(part)
        statement = f"SELECT count(*) FROM texts WHERE {_HAS_TEXT} AND turn IN ({turns})"  # noqa: S608 - our own words
        return int(table.execute(statement, parameters).fetchone()[0] or 0)

    def _erase_part(self, rows: StoreConnection, part: tuple[str, Sequence[Any]]) -> None:
        turns, parameters = self._selected(part)
        rows.execute(
            "UPDATE texts SET prompt = NULL, answer = NULL, error = NULL, raw = NULL"  # noqa: S608 - as above
            f" WHERE {_HAS_TEXT} AND turn IN ({turns})",
            parameters,
        )
        rows.execute(
            "UPDATE marks SET value = NULL"  # noqa: S608 - as above
            f" WHERE kind = 'comment' AND value IS NOT NULL AND turn IN ({turns})",
            parameters,
        )
        rows.execute(
            "UPDATE turns SET key = NULL, said = NULL"  # noqa: S608 - as above
            f" WHERE (key IS NOT NULL OR said IS NOT NULL) AND turn IN ({turns})",
            parameters,
        )

    def _selected(self, part: tuple[str, Sequence[Any]]) -> tuple[str, tuple[Any, ...]]:
        """Return an SQL query for the ids of the chosen turns and of their repeats.

        The second value is the parameters of the query.

        Args:
            part: an SQL condition that chooses turns, and the parameters of the condition.
        """
        condition, parameters = part
        chosen = f"turns WHERE {condition} AND {self._store.own_turns}"
        repeats = f"key IN (SELECT key FROM {chosen} AND key IS NOT NULL)"  # noqa: S608 - as above
        return (
            f"SELECT turn FROM turns WHERE {self._store.own_turns}"  # noqa: S608 - as above
            f" AND ({condition} OR {repeats})"
        ), (*parameters, *parameters)

    def _condition(self, session: str | None, before: float | None) -> tuple[str, Sequence[Any]]:
        """Return the SQL condition that chooses turns, and its parameters.

        The turns of a session include those that it took over from another session.
        """
        if session is not None:
            copied = (
                f"SELECT turn FROM marks WHERE session = ? AND kind = '{COPIED}'"  # noqa: S608 - our own words
                f" AND turn IS NOT NULL AND {self._store.own_marks}"
            )
            return f"(session = ? OR turn IN ({copied}))", (storable(session),) * 2
        return ("at < ?", (before,)) if before is not None else ("1 = 1", ())
