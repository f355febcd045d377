"""Queries that read the usage of turns from the ledger, as one row for each turn or as sums.

A turn is a prompt and its answer. The usage of a turn is its tokens, credits and times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from swiftask_jupyter.ledger.schema import IS_CALL, IS_IMPORTED, sandbox_condition, storable
from swiftask_jupyter.ledger.store import Store
from swiftask_jupyter.ledger.turns import is_alive
from swiftask_jupyter.support.structs import Struct

CHUNK = 2_000  # rows; larger chunks do not fit into the CPU's cache and take longer
_FAILED = "('error', 'refused')"
_COUNTED = {
    "calls": IS_CALL,
    "ok": f"{IS_CALL} AND status = 'ok'",
    "error": f"{IS_CALL} AND status = 'error'",
    "interrupted": f"{IS_CALL} AND status = 'interrupted'",
    "lost": f"{IS_CALL} AND status = 'lost'",
    "running": f"{IS_CALL} AND status = 'running'",
    "refused": "status = 'refused'",
    "cached": "coalesce(cached, 0) = 1",
    "unreported": f"{IS_CALL} AND coalesce(input_tokens, output_tokens, credits) IS NULL",
}
_SUMMED = ("input_tokens", "output_tokens", "total_tokens", "credits")
_AVERAGED = ("seconds", "first_token_seconds")
MEASURES = (*_COUNTED, *_SUMMED, *_AVERAGED)


class UsageFilter(Struct, frozen=True):
    """A filter that selects turns by several conditions. A field that is `None` is no condition.

    Attributes:
        since: the earliest time of a turn, in seconds since the epoch.
        agent: the slug of an agent.
        notebook: the path of a notebook.
        session: the id of a session.
        sandbox: `True` selects only turns of the sandbox; `False` selects only other turns.
    """

    since: float | None = None
    agent: str | None = None
    notebook: str | None = None
    session: str | None = None
    sandbox: bool | None = None

    def where(self) -> tuple[str, tuple[Any, ...]]:
        """Return the filter as an SQL condition, and the parameters of the condition.

        The condition also excludes imported turns.
        """
        wanted = {
            "at >= ?": self.since,
            "agent = ?": storable(self.agent),
            "notebook = ?": storable(self.notebook),
            "session = ?": storable(self.session),
        }
        chosen = {text: value for text, value in wanted.items() if value is not None}
        fixed = [f"NOT ({IS_IMPORTED})"]
        if self.sandbox is not None:
            fixed.append(sandbox_condition(sandbox=self.sandbox))
        return " AND ".join([*fixed, *chosen]), tuple(chosen.values())


class UsageQueries:
    """Reads the usage of turns from a ledger: tokens, credits, times and outcomes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def shared(self) -> bool:
        """Whether several users write to the ledger."""
        return self._store.shared

    @property
    def path(self) -> Path | None:
        """The ledger's SQLite file; `None` if the ledger is on a server."""
        return self._store.path

    def query(self, names: Sequence[str], wanted: UsageFilter) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL query for these columns of the selected turns, and the query's parameters.

        The query does not sort the turns. In a ledger that several users share, the prompts,
        answers, ratings and comments of other users are NULL.

        Args:
            names: the names of the columns.
            wanted: the filter that selects the turns.
        """
        where, parameters = wanted.where()
        lost, dead = self._lost()
        own = self._store.own_turns
        liked, comment = (_mark(kind, self._store.own_marks) for kind in ("liked", "comment"))
        special = {
            "status": f"{lost} AS status",
            "error": f"CASE WHEN status IN {_FAILED} THEN {_text('error')} END AS error",
            "prompt": f"CASE WHEN {own} THEN {_text('prompt')} END AS prompt",
            "answer": f"CASE WHEN {own} THEN {_text('answer')} END AS answer",
            "liked": f"CASE {liked} WHEN 'good' THEN 1 WHEN 'bad' THEN 0 END AS liked",
            "comment": f"nullif({comment}, '') AS comment",
            "user": '"user"',
        }
        columns = ", ".join(special.get(name, name) for name in names)
        dead = dead if "status" in names else ()
        return f"SELECT {columns} FROM turns WHERE {where}", (*dead, *parameters)  # noqa: S608 - our own columns

    def rows(self, names: Sequence[str], wanted: UsageFilter) -> Iterator[list[tuple[Any, ...]]]:
        """Yield lists of at most `CHUNK` rows, with one row for each selected turn.

        Args:
            names: the names of the columns; a row holds one value for each column.
            wanted: the filter that selects the turns.

        Raises:
            StoreError: the ledger can't be read.
        """
        yield from self._store.chunks(*self.query(names, wanted), CHUNK)

    def has(self, count: int, wanted: UsageFilter) -> bool:
        """Return whether the filter selects at least `count` turns.

        Raises:
            StoreError: the ledger can't be read.
        """
        where, parameters = wanted.where()
        inner = f"SELECT 1 FROM turns WHERE {where} LIMIT ?"  # noqa: S608 - our own conditions
        with self._store.read() as table:
            found = table.execute(f"SELECT count(*) FROM ({inner}) AS found", (*parameters, count))  # noqa: S608 - as above
            return bool(found.fetchone()[0] == count)

    def sums(self, by: Sequence[str], wanted: UsageFilter) -> list[tuple[Any, ...]]:
        """Return the counts, sums and means of the selected turns, as one row for each group.

        A row holds the values of the `by` columns, then the values of `MEASURES`. The column `day`
        holds the number of days since the epoch, in UTC. If `by` is empty, the result is one row
        for all selected turns.

        Args:
            by: the names of the columns to group by.
            wanted: the filter that selects the turns.

        Raises:
            StoreError: the ledger can't be read.
        """
        where, parameters = wanted.where()
        lost, dead = self._lost()
        special = {"day": self._store.utc_day, "user": '"user"'}
        keys = [special.get(name, name) for name in by]
        counts = [f"sum(CASE WHEN {test} THEN 1 ELSE 0 END)" for test in _COUNTED.values()]
        sums = [f"sum(CASE WHEN {IS_CALL} THEN {name} END)" for name in _SUMMED]
        means = [f"avg(CASE WHEN {IS_CALL} THEN {name} END)" for name in _AVERAGED]
        places = ", ".join(str(number + 1) for number in range(len(by)))
        end = f" GROUP BY {places}" if by else ""
        inner = f"SELECT turns.*, {lost} AS ended FROM turns WHERE {where}"  # noqa: S608 - as above
        columns = ", ".join([*keys, *counts, *sums, *means]).replace("status", "ended")
        with self._store.read() as table:
            statement = f"SELECT {columns} FROM ({inner}) AS turns{end}"  # noqa: S608 - as above
            return [tuple(row) for row in table.execute(statement, (*dead, *parameters)).fetchall()]

    def count(self, wanted: UsageFilter) -> tuple[int, int]:
        """Return the number of calls and the number of turns that a filter selects.

        A turn that was not sent, such as an answer from the cache, is a turn but no call.

        Args:
            wanted: the filter.

        Raises:
            StoreError: the ledger can't be read.
        """
        where, parameters = wanted.where()
        with self._store.read() as table:
            calls, turns = table.execute(
                f"SELECT sum(CASE WHEN {IS_CALL} THEN 1 ELSE 0 END), count(*) FROM turns"  # noqa: S608 - as above
                f" WHERE {where}",
                parameters,
            ).fetchone()
        return int(calls or 0), int(turns)

    def _lost(self) -> tuple[str, tuple[str, ...]]:
        """Return an SQL expression for the status of a turn, and the parameters of the expression.

        For a running turn whose process has died, the expression gives `lost`.
        """
        with self._store.read() as table:
            owners = table.execute(
                "SELECT DISTINCT owner FROM turns WHERE status = 'running'"
            ).fetchall()
        dead = tuple(owner for (owner,) in owners if not is_alive(owner))
        if not dead:
            return "status", ()
        marks = ", ".join("?" * len(dead))
        return (
            f"CASE WHEN status = 'running' AND owner IN ({marks}) THEN 'lost' ELSE status END",
            dead,
        )


def _text(name: str) -> str:
    return f"(SELECT {name} FROM texts WHERE texts.turn = turns.turn)"  # noqa: S608 - our own columns


def _mark(kind: str, own_marks: str) -> str:
    newest = "ORDER BY marks.at DESC, mark DESC LIMIT 1"
    wanted = f"marks.turn = turns.turn AND kind = '{kind}' AND {own_marks}"
    return f"(SELECT value FROM marks WHERE {wanted} {newest})"  # noqa: S608 - our own kinds
