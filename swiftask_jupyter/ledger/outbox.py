"""The outbox: transactions that wait on this machine until the PostgreSQL server can be reached."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import StoreUnreachable
from swiftask_jupyter.ledger.sqlite import SQLiteStore
from swiftask_jupyter.ledger.statements import to_postgres

if TYPE_CHECKING:
    import psycopg

_TABLE = ("CREATE TABLE waiting (number INTEGER PRIMARY KEY AUTOINCREMENT, statements TEXT)",)


class Outbox:
    """A SQLite file that stores transactions while the PostgreSQL server can't be reached.

    Once the server can be reached, `deliver` runs the transactions there, oldest first, and deletes
    them from the file. If the process or the connection fails between these two steps, the
    transactions run a second time. That is harmless: an INSERT skips an existing row, an UPDATE
    writes the same values again, and a duplicate row in `sessions`, a table without a primary key,
    has no effect.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
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

    def count(self) -> int:
        """Return the number of waiting transactions; 0 if the file does not exist.

        Raises:
            StoreError: the file cannot be read.
        """
        if not self._path.exists():
            return 0
        with self._store.read() as connection:
            return int(connection.execute("SELECT count(*) FROM waiting").fetchone()[0])

    def deliver(self, server: psycopg.Connection, lock: str) -> None:
        """Run all waiting transactions on the server, then delete them from the file.

        If two processes do this at the same time, the second waits until the first has finished.

        Args:
            server: a connection to the server.
            lock: the SQL statement that takes the server's lock for a single writer.

        Raises:
            StoreUnreachable: the connection was lost. All transactions are kept in the file.
            StoreError: the file cannot be read or written.
            psycopg.Error: the server rejected a statement. All transactions are kept in the file.
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

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._store.close()
