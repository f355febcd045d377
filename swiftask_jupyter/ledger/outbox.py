"""The outbox: transactions that wait on this machine until the PostgreSQL server can be reached."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import StoreUnreachable
from swiftask_jupyter.ledger.postgres_connection import to_postgres
from swiftask_jupyter.ledger.sqlite import SQLiteStore

if TYPE_CHECKING:
    import psycopg

_TABLE = ("CREATE TABLE waiting (number INTEGER PRIMARY KEY AUTOINCREMENT, statements TEXT)",)


class Outbox:
    """A SQLite file with transactions that wait for a PostgreSQL server.

    The oldest transaction is delivered first. A transaction is deleted from the file after the
    server has committed the transaction. If the process dies between these two steps, the
    transaction is delivered twice. The second delivery is harmless: an INSERT skips rows that
    exist.

    Attributes:
        path: the path of the file. The file is created for the first waiting transaction.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store = SQLiteStore(path, migrations=(_TABLE,))

    def add(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Append a transaction to the file; do nothing if `statements` is empty.

        Args:
            statements: the SQL statements of the transaction, each with its parameters.

        Raises:
            StoreError: the file cannot be written.
        """
        if statements:
            with self._store.write() as connection:
                connection.execute(
                    "INSERT INTO waiting (statements) VALUES (?)", (json.dumps(statements),)
                )

    def pop_warnings(self) -> list[str]:
        """Return the warnings about the file that were not returned by an earlier call."""
        return self._store.pop_warnings()

    def count(self) -> int:
        """Return the number of waiting transactions; 0 if the file does not exist.

        Raises:
            StoreError: the file cannot be read.
        """
        if not self.path.exists():
            return 0
        with self._store.read() as connection:
            return int(connection.execute("SELECT count(*) FROM waiting").fetchone()[0])

    def deliver(self, server: psycopg.Connection, lock: str) -> None:
        """Run all waiting transactions on the server, then delete them from the file.

        If two processes call this method at the same time, the second process waits for the first.

        Args:
            server: a connection to the server.
            lock: the SQL statement that locks the ledger on the server against other writers.

        Raises:
            StoreUnreachable: the connection was lost. All transactions stay in the file.
            StoreError: the file cannot be read or written.
            psycopg.Error: the server rejected a statement. All transactions stay in the file.
        """
        if not self.count():
            return
        import psycopg

        with self._store.write() as connection:
            waiting = connection.execute("SELECT number, statements FROM waiting ORDER BY number")
            for number, statements in waiting.fetchall():
                try:
                    with server.transaction():
                        server.execute(lock.encode())
                        for statement, parameters in json.loads(statements):
                            repeatable = statement
                            if statement.startswith("INSERT"):
                                repeatable += " ON CONFLICT DO NOTHING"
                            text, values = to_postgres(repeatable, parameters)
                            server.execute(text.encode(), values)
                except psycopg.OperationalError as error:
                    raise StoreUnreachable(
                        "the ledger's server went away", advice="turns wait on this machine"
                    ) from error
                connection.execute("DELETE FROM waiting WHERE number = ?", (number,))
        self._store.checkpoint()  # the log would keep what was delivered

    def checkpoint(self) -> None:
        """Remove the texts of delivered transactions from the file's write-ahead log."""
        if self.path.exists():
            self._store.checkpoint()

    def close(self) -> None:
        """Close the file; the next use opens the file again."""
        self._store.close()
