"""The interface of a ledger's database, which SQLite and PostgreSQL both implement.

The table classes (`Turns`, `History`, `Sessions` and so on) write their SQL once, with a `?` for
each parameter, and run it through this interface.
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
    """A connection that a store lends for the length of a `with` block."""

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run one SQL statement and return its result.

        Args:
            statement: the SQL, with a `?` for each parameter.
            parameters: the values, in the order of the question marks.
        """


class Store(Protocol):
    """A database that holds the ledger, safe for use by several threads and processes at once.

    `str(store)` is the file's path or the URL without its password.
    """

    @property
    def path(self) -> Path | None:
        """The database file, or `None` for a database server."""

    @property
    def shared(self) -> bool:
        """Whether several users write to this database."""

    @property
    def own_turns(self) -> str:
        """An SQL condition on the table `turns` that selects the current user's turns."""

    @property
    def utc_day(self) -> str:
        """An SQL expression for a turn's UTC day, in days since the epoch (an integer)."""

    def write(self) -> AbstractContextManager[StoreConnection]:
        """Run the statements of a `with` block as one transaction.

        Raises:
            StoreError: the database cannot be opened or written.
        """

    def read(self) -> AbstractContextManager[StoreConnection]:
        """Lend a connection for reading; each statement sees the newest committed state.

        Raises:
            StoreError: the database cannot be opened or read.
        """

    def chunks(
        self, statement: str, parameters: Sequence[Any], size: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the result of one query in lists of at most `size` rows.

        Raises:
            StoreError: the database cannot be opened or read.
        """

    def checkpoint(self) -> None:
        """Remove erased texts from SQLite's write-ahead log, if there is one.

        Raises:
            StoreError: the database cannot be opened or written.
        """

    def pop_warnings(self) -> list[str]:
        """Return the warnings about the database file that no caller has read yet."""

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
