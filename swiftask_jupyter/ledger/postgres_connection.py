"""Runs the ledger's SQL, which is written for SQLite, on PostgreSQL.

Every writing statement is recorded. If the server is unreachable, the recorded statements can be
run later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import StoreUnreachable
from swiftask_jupyter.ledger.store import Cursor

if TYPE_CHECKING:
    import psycopg

_TYPES = {"REAL": "DOUBLE PRECISION", "INTEGER": "BIGINT"}


def to_postgres(statement: str, parameters: Sequence[Any] = ()) -> tuple[str, tuple[Any, ...]]:
    """Translate a statement and its parameters from SQLite's dialect of SQL to PostgreSQL's.

    The placeholder `?` becomes `%s`. In CREATE and ALTER statements, the column types REAL and
    INTEGER become DOUBLE PRECISION and BIGINT. In parameters, a NUL character becomes `␀`, because
    a text in PostgreSQL cannot contain NUL.
    """
    if statement.startswith(("CREATE", "ALTER")):
        statement = re.sub(r"\b(REAL|INTEGER)\b", lambda found: _TYPES[found[0]], statement)
    cleaned = (
        each.replace("\x00", "\u2400") if isinstance(each, str) else each for each in parameters
    )
    return statement.replace("%", "%%").replace("?", "%s"), tuple(cleaned)


class EmptyCursor:
    """The result of a statement that can't be run, because the server is unreachable.

    A query has no rows. A write has a row count of 1, because the statement is recorded and run
    later.
    """

    rowcount = 1

    def fetchone(self) -> tuple[None]:
        """Return the row `(None,)`, as `SELECT max(…)` does for an empty table."""
        return (None,)

    def fetchall(self) -> list[Any]:
        """Return an empty list."""
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class RecordingConnection:
    """A connection to PostgreSQL that records every writing statement.

    If the server becomes unreachable, statements are only recorded. The caller can run the recorded
    statements later. It is harmless to run a statement twice, because rows have ids, and a finished
    turn is not changed again.

    The server may have closed an idle connection. So if the connection is lost at the first
    statement, a new connection is opened, and the first statement runs again.

    Args:
        connection: the connection; `None` while the server is unreachable.
        reading: whether the connection is only for reading. A connection for reading records
            nothing, and raises an error while the server is unreachable.
        reconnect: a function that opens a new connection; `None` to never reconnect.

    Attributes:
        connection: the connection in use; `None` if the server is unreachable.
        written: the recorded statements, each with its parameters.
    """

    def __init__(
        self,
        connection: psycopg.Connection | None,
        *,
        reading: bool = False,
        reconnect: Callable[[], psycopg.Connection] | None = None,
    ) -> None:
        self.connection = connection
        self.written: list[tuple[str, list[Any]]] = []
        self._reading = reading
        self._reconnect = reconnect

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run a statement and return its result; record the statement if it writes.

        While the server is unreachable, the result is an `EmptyCursor`.

        Args:
            statement: the SQL in SQLite's dialect, with a `?` for each parameter.
            parameters: the values, in the order of the question marks.

        Raises:
            psycopg.Error: the statement is invalid, or a connection for reading was lost.
            StoreUnreachable: a connection for reading was lost and could not be opened again.
        """
        if self._reading:
            return self._run(statement, parameters)
        if not statement.startswith("SELECT"):
            self.written.append((statement, list(parameters)))
        if self.connection is None:
            return EmptyCursor()
        import psycopg

        try:
            return self._run(statement, parameters)
        except (psycopg.OperationalError, StoreUnreachable):
            self.connection.close()
            self.connection = None
            return EmptyCursor()

    def begin(self, lock: str) -> None:
        """Begin a transaction, and wait for the lock that allows only one writer at a time.

        Args:
            lock: the SQL statement that takes the lock.
        """
        for statement in ("BEGIN", lock):
            self.execute(statement)
        self.written.clear()

    def commit(self) -> bool:
        """Commit the transaction; return whether the server has confirmed the commit.

        If the connection was lost before the confirmation, return false.
        """
        self.execute("COMMIT")
        self.written.pop()
        return self.connection is not None

    def roll_back(self) -> None:
        """Roll back the current transaction."""
        self.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection; do nothing if there is no connection."""
        if self.connection is not None:
            self.connection.close()

    def _run(self, statement: str, parameters: Sequence[Any]) -> Cursor:
        import psycopg

        assert self.connection is not None
        text, values = to_postgres(statement, parameters)
        reconnect, self._reconnect = self._reconnect, None
        try:
            return self.connection.execute(text.encode(), values)
        except psycopg.OperationalError:
            if reconnect is None:
                raise
            self.connection.close()
            self.connection = reconnect()
            return self.connection.execute(text.encode(), values)
