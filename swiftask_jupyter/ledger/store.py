"""The interface of the ledger's database, implemented for SQLite and for PostgreSQL.

The classes for the tables, such as `Turns` and `Sessions`, use only this interface. These classes
write SQL in SQLite's dialect, with a `?` for each parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

# The number of parameters that every SQLite build accepts in one statement.
MAX_PARAMETERS = 900


class Cursor(Protocol):
    """The result of a statement, as in DB-API 2.0 (PEP 249)."""

    @property
    def rowcount(self) -> int:
        """The number of rows that the statement changed."""

    def fetchone(self) -> Any:
        """Return the next row as a tuple, or `None` after the last row."""

    def fetchall(self) -> list[Any]:
        """Return all remaining rows."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the remaining rows."""


class StoreConnection(Protocol):
    """A database connection that a store provides for the duration of a `with` block."""

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run one SQL statement and return its result.

        Args:
            statement: the SQL, with a `?` for each parameter.
            parameters: the values, in the order of the question marks.
        """


class Store(Protocol):
    """A database that holds the ledger, safe for use by several threads and processes at once.

    `str(store)` is the path of the file, or the URL of the server with a masked password.
    """

    @property
    def path(self) -> Path | None:
        """The path of the database file; `None` for a database server."""

    @property
    def shared(self) -> bool:
        """Whether several users write to this database."""

    @property
    def own_turns(self) -> str:
        """An SQL condition on the table `turns` that selects the current user's turns."""

    @property
    def own_marks(self) -> str:
        """An SQL condition on the table `marks` that selects the current user's marks."""

    @property
    def utc_day(self) -> str:
        """An SQL expression for the UTC day of a turn, as the number of days since the epoch."""

    def write(self) -> AbstractContextManager[StoreConnection]:
        """Run the statements of a `with` block as one transaction.

        The transaction is rolled back if the block raises an exception.

        Raises:
            StoreError: the database cannot be opened or written.
        """

    def read(self) -> AbstractContextManager[StoreConnection]:
        """Provide a connection for reading; each statement sees the newest committed data.

        Raises:
            StoreError: the database cannot be opened or read.
        """

    def chunks(
        self, statement: str, parameters: Sequence[Any], size: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Run a query and yield its rows in lists of at most `size` rows.

        Raises:
            StoreError: the database cannot be opened or read.
        """

    def checkpoint(self) -> None:
        """Remove erased texts from the write-ahead log; do nothing if the database has no such log.

        Raises:
            StoreError: the database cannot be opened or written.
        """

    def pop_warnings(self) -> list[str]:
        """Return the warnings about the database file, and clear the list of warnings."""

    def close(self) -> None:
        """Close all connections; the next use opens new connections."""
