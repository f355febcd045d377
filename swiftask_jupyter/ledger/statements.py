"""Runs the ledger's SQL on PostgreSQL, and records what is written so that it can be repeated."""

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

    Placeholders and two column types are spelled differently, and PostgreSQL's texts cannot hold a
    NUL character, which is replaced by `␀`.
    """
    if statement.startswith(("CREATE", "ALTER")):
        statement = re.sub(r"\b(REAL|INTEGER)\b", lambda found: _TYPES[found[0]], statement)
    cleaned = (
        each.replace("\x00", "\u2400") if isinstance(each, str) else each for each in parameters
    )
    return statement.replace("%", "%%").replace("?", "%s"), tuple(cleaned)


class OfflineCursor:
    """The result of a statement while the server is unreachable.

    A query finds nothing. A write counts as successful, because it is recorded and run later.
    """

    rowcount = 1

    def fetchone(self) -> tuple[None]:
        """Return a row with one missing value."""
        return (None,)

    def fetchall(self) -> list[Any]:
        """Return no rows."""
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class RecordingConnection:
    """A connection to PostgreSQL that records the statements that write.

    Once the server is unreachable, statements are only recorded. Each of them can be run again
    later: rows have ids, and a finished turn is never changed again.

    A connection that was idle may have been cut, which shows only when it is used. So if the first
    statement fails, it runs once more on a new connection.

    Args:
        connection: the connection; `None` while the server is unreachable.
        reading: for reading only: a lost connection raises an error.
        reconnect: opens a new connection.

    Attributes:
        connection: the connection that is in use now, or `None`.
        written: the statements that write, with their parameters.
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
        """Run a statement, and record it if it writes.

        Raises:
            psycopg.Error: the statement is invalid; or, when reading, the connection was lost.
        """
        if self._reading:
            return self._run(statement, parameters)
        if not statement.startswith("SELECT"):
            self.written.append((statement, list(parameters)))
        if self.connection is None:
            return OfflineCursor()
        import psycopg

        try:
            return self._run(statement, parameters)
        except (psycopg.OperationalError, StoreUnreachable):
            self.connection.close()
            self.connection = None
            return OfflineCursor()

    def begin(self, lock: str) -> None:
        """Begin a transaction and wait for the lock that allows one writer at a time.

        Args:
            lock: the statement that takes the lock.
        """
        for statement in ("BEGIN", lock):
            self.execute(statement)
        self.written.clear()

    def commit(self) -> bool:
        """Commit the transaction; return whether the server has certainly stored it."""
        self.execute("COMMIT")
        self.written.pop()
        return self.connection is not None

    def roll_back(self) -> None:
        """Roll the transaction back."""
        self.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection, if there is one."""
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
