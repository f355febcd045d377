"""Transactions that wait on this machine until a server can be reached."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import StoreUnreachable
from swiftask_jupyter.ledger.sqlite import Database
from swiftask_jupyter.ledger.statements import translated

if TYPE_CHECKING:
    import psycopg

_TABLE = ("CREATE TABLE waiting (number INTEGER PRIMARY KEY AUTOINCREMENT, statements TEXT)",)


class Outbox:
    """A SQLite file of transactions, oldest first.

    Each is deleted after the server has it. Where a process dies in between, it is delivered
    again, which changes nothing: its rows are there already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = Database(path, migrations=(_TABLE,))

    def add(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Keep a transaction."""
        if statements:
            with self._file.write() as rows:
                rows.execute(
                    "INSERT INTO waiting (statements) VALUES (?)", (json.dumps(statements),)
                )

    def waiting(self) -> int:
        """Return how many transactions wait."""
        if not self._path.exists():
            return 0
        with self._file.read() as table:
            return int(table.execute("SELECT count(*) FROM waiting").fetchone()[0])

    def deliver(self, connection: psycopg.Connection, lock: str) -> None:
        """Hand over all that waits; another process that would do the same waits meanwhile.

        Raises:
            StoreUnreachable: the server went away; what it has not got still waits.
        """
        if not self.waiting():
            return
        import psycopg

        with self._file.write() as rows:
            waiting = rows.execute("SELECT number, statements FROM waiting ORDER BY number")
            for number, statements in waiting.fetchall():
                try:
                    with connection.transaction():
                        connection.execute(lock.encode())
                        for statement, parameters in json.loads(statements):
                            again = statement
                            if statement.startswith("INSERT"):
                                again += " ON CONFLICT DO NOTHING"
                            text, values = translated(again, parameters)
                            connection.execute(text.encode(), values)
                except psycopg.OperationalError as error:
                    raise StoreUnreachable(
                        "the ledger's server went away", advice="turns wait on this machine"
                    ) from error
                rows.execute("DELETE FROM waiting WHERE number = ?", (number,))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
