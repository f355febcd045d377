"""Our statements as PostgreSQL takes them, and a transaction that can be repeated later."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from swiftask_jupyter.errors import StoreUnreachable

if TYPE_CHECKING:
    import psycopg

_TYPES = {"REAL": "DOUBLE PRECISION", "INTEGER": "BIGINT"}


def translated(statement: str, parameters: Sequence[Any] = ()) -> tuple[str, tuple[Any, ...]]:
    """Return a statement and its parameters as PostgreSQL takes them.

    Marks for parameters and two types have other names there; no text of its own holds a NUL.
    """
    if statement.startswith(("CREATE", "ALTER")):
        statement = re.sub(r"\b(REAL|INTEGER)\b", lambda found: _TYPES[found[0]], statement)
    cleaned = (
        each.replace("\x00", "\u2400") if isinstance(each, str) else each for each in parameters
    )
    return statement.replace("?", "%s"), tuple(cleaned)


class Rows(Protocol):
    """What a statement found, as DB-API's cursors tell it."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """Return the next row, or `None`."""

    def fetchall(self) -> list[Any]:
        """Return all rows."""

    def __iter__(self) -> Iterator[Any]:
        """Go on with the rows that are left."""


class Nothing:
    """What a statement finds where no server is: nothing, and what it writes is taken to work."""

    rowcount = 1

    def fetchone(self) -> tuple[None]:
        """Return a row that knows nothing."""
        return (None,)

    def fetchall(self) -> list[Any]:
        """Return no rows."""
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class Recorder:
    """A connection that notes what is written, so that it can be written again.

    Once the server is away, statements are only noted. All of ours can be repeated: rows have ids,
    and a turn that has ended is not changed again.

    A connection that lay idle may have been cut meanwhile, which only its next use tells: then the
    first statement runs on another one.

    Args:
        connection: to the server; `None` while it is away.
        reading: whether nothing is written, and a lost connection is an error.
        another: opens another connection, where this one was used before.

    Attributes:
        connection: the one in use now.
        written: the statements that write, with their parameters.
    """

    def __init__(
        self,
        connection: psycopg.Connection | None,
        *,
        reading: bool = False,
        another: Callable[[], psycopg.Connection] | None = None,
    ) -> None:
        self.connection = connection
        self.written: list[tuple[str, list[Any]]] = []
        self._reading = reading
        self._another = another

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run a statement, and note it if it writes."""
        if self._reading:
            return self._run(statement, parameters)
        if not statement.startswith("SELECT"):
            self.written.append((statement, list(parameters)))
        if self.connection is None:
            return Nothing()
        import psycopg

        try:
            return self._run(statement, parameters)
        except (psycopg.OperationalError, StoreUnreachable):
            self.connection.close()
            self.connection = None
            return Nothing()

    def _run(self, statement: str, parameters: Sequence[Any]) -> Rows:
        import psycopg

        assert self.connection is not None
        text, values = translated(statement, parameters)
        another, self._another = self._another, None
        try:
            return self.connection.execute(text.encode(), values)
        except psycopg.OperationalError:
            if another is None:
                raise
            self.connection.close()
            self.connection = another()
            return self.connection.execute(text.encode(), values)

    def begin(self, lock: str) -> None:
        """Begin a transaction, and wait for the turn to write."""
        for statement in ("BEGIN", lock):
            self.execute(statement)
        self.written.clear()

    def commit(self) -> bool:
        """End the transaction; tell whether the server has it for certain."""
        self.execute("COMMIT")
        self.written.pop()
        return self.connection is not None

    def roll_back(self) -> None:
        """Take the transaction back."""
        self.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self.connection is not None:
            self.connection.close()
