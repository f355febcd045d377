"""The ledger in PostgreSQL, for a team or for a hub of several machines: `PostgresStore`.

The tables and statements are the same as in the SQLite ledger. The settings of libpq also apply,
such as `PGPASSWORD`, `.pgpass` and `PGSSLMODE`. While the server cannot be reached, transactions
wait in a file on this machine (see `Outbox`). The next write that reaches the server first runs the
waiting transactions.

The first connection to a new database creates the tables. The first connection of a newer version
of this package updates the tables. For both connections, use a PostgreSQL role that may CREATE in
the schema. This role owns the tables. All other roles need only:

    GRANT USAGE ON SCHEMA public TO team;
    GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO team;
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import ConfigurationError, StoreError, StoreUnreachable
from swiftask_jupyter.ledger.migrations import MIGRATIONS, POSTGRES_EXTRAS
from swiftask_jupyter.ledger.outbox import Outbox
from swiftask_jupyter.ledger.postgres_connection import RecordingConnection, to_postgres

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 3
# How many seconds pass before an unreachable server is tried again.
RETRY_AFTER_SECONDS = 15.0
# A server that acknowledges no data for this many milliseconds counts as unreachable.
TCP_TIMEOUT_MS = 10_000
# The key of the advisory lock that allows only one writer at a time, as in SQLite.
LOCK = 7_349_121
TAKE_LOCK = f"SELECT pg_advisory_xact_lock({LOCK})"


class PostgresStore:
    """A ledger in PostgreSQL, shared by several users and machines; implements `Store`.

    The first use opens a connection and creates missing tables. Several threads may use one store.

    Args:
        url: the URL of the database, in the form `postgresql://user:password@host/database`.
        outbox: the file in which transactions wait while the server is unreachable.

    Attributes:
        path: see `Store`.
        shared: see `Store`.
        own_turns: see `Store`.
        own_marks: see `Store`.
        utc_day: see `Store`.
    """

    path = None
    shared = True
    own_turns = 'turns."user" = current_user'
    own_marks = 'marks."user" = current_user'
    utc_day = "CAST(floor(at / 86400) AS BIGINT)"

    def __init__(self, url: str, outbox: Path) -> None:
        self._url = url
        self._outbox = Outbox(outbox)
        self._thread_lock = threading.RLock()
        self._writer: psycopg.Connection | None = None
        self._idle_readers: list[psycopg.Connection] = []
        self._pid = os.getpid()
        self._next_try = 0.0
        self._connect_error = ""  # the message of the last failed attempt
        self._migrated = False

    def __str__(self) -> str:
        return mask_password(self._url)

    @contextmanager
    def write(self) -> Iterator[RecordingConnection]:
        """Run the statements of a `with` block as one transaction.

        The transaction is rolled back if the block raises an exception. If the server is
        unreachable, the transaction waits in the outbox until a later write reaches the server.

        Raises:
            StoreError: neither the server nor the outbox can be written, or a statement is invalid.
        """
        with self._errors(), self._lock:
            connection = RecordingConnection(self._open_writer(), reconnect=self._reconnect_writer)
            try:
                connection.begin(TAKE_LOCK)
                yield connection
            except BaseException:
                connection.roll_back()
                raise
            if not connection.commit():
                self._close_writer()
                self._outbox.add(connection.written)

    @contextmanager
    def read(self) -> Iterator[RecordingConnection]:
        """Provide a connection for reading; each statement sees the newest committed data.

        Raises:
            StoreUnreachable: the server cannot be reached.
            StoreError: the ledger cannot be read.
        """
        with self._errors():
            with self._lock:
                idle = self._idle_readers
                reused = idle.pop() if idle else None
            connection = RecordingConnection(
                reused or self._connect(), reading=True, reconnect=self._connect
            )
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            assert connection.connection is not None
            with self._lock:
                if idle is self._idle_readers:
                    idle.append(connection.connection)
                else:  # the store was closed in the meantime
                    connection.close()

    def chunks(
        self, statement: str, parameters: Sequence[Any], size: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Run a query and yield its rows in lists of at most `size` rows.

        Rows that are written during the query are not included.

        Raises:
            StoreUnreachable: the server cannot be reached.
            StoreError: the ledger cannot be read.
        """
        import psycopg

        with self._errors():
            connection = self._connect()
            try:
                with (
                    connection.transaction(),
                    psycopg.ServerCursor(connection, "swiftask_usage") as cursor,
                ):
                    literal = psycopg.ClientCursor(connection).mogrify(
                        *to_postgres(statement, parameters)
                    )
                    cursor.execute(literal.encode())
                    while rows := cursor.fetchmany(size):
                        yield rows
            finally:
                connection.close()

    def checkpoint(self) -> None:
        """Remove the texts of delivered transactions from the outbox's write-ahead log.

        The log of the server is not changed. The server's administrator decides how long erased
        texts stay in the server's files.
        """
        with self._lock:
            self._outbox.checkpoint()

    def pop_warnings(self) -> list[str]:
        """Return the warnings about the outbox's file that were not returned by an earlier call."""
        return self._outbox.pop_warnings()

    @property
    def outbox(self) -> Outbox:
        """The outbox: a file of transactions that wait until the server can be reached."""
        return self._outbox

    def close(self) -> None:
        """Close all connections; the next use opens new connections."""
        with self._lock:
            self._close_writer()
            idle, self._idle_readers = self._idle_readers, []
            for connection in idle:
                connection.close()
            self._outbox.close()

    @property
    def _lock(self) -> threading.RLock:
        """The lock that protects the connections of this store from simultaneous use.

        After a fork, the child process gets a new lock and opens its own connections.
        """
        if self._pid != os.getpid():
            self._thread_lock, self._pid = threading.RLock(), os.getpid()
            self._writer, self._idle_readers = None, []
        return self._thread_lock

    def _open_writer(self) -> psycopg.Connection | None:
        """Run the transactions in the outbox, and return the connection for writing.

        If the server is unreachable, return `None`.
        """
        for _ in range(2):  # the server may have closed the first connection while it was idle
            try:
                if self._writer is None or self._writer.closed:
                    self._writer = self._connect()
                self._outbox.deliver(self._writer, TAKE_LOCK)
            except StoreUnreachable:
                self._close_writer()
            else:
                return self._writer
        return None

    def _reconnect_writer(self) -> psycopg.Connection:
        self._writer = self._connect()
        return self._writer

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _connect(self) -> psycopg.Connection:
        """Open a connection; the store's first connection also creates or updates the tables.

        Raises:
            StoreUnreachable: the server cannot be reached, or the last failed attempt was less than
                `RETRY_AFTER_SECONDS` ago.
        """
        import psycopg

        if time.monotonic() < self._next_try:
            raise StoreUnreachable(self._connect_error, advice="turns wait on this machine")
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                tcp_user_timeout=TCP_TIMEOUT_MS,
                cursor_factory=psycopg.ClientCursor,
                application_name="swiftask-jupyter",
            )
        except psycopg.OperationalError as error:
            self._next_try = time.monotonic() + RETRY_AFTER_SECONDS
            self._connect_error = f"{self} can't be reached ({self._reason(error)})"
            raise StoreUnreachable(
                self._connect_error, advice="turns wait on this machine"
            ) from None
        if not self._migrated:
            try:
                migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._migrated = True
        return connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert psycopg's errors in a `with` block to `StoreError`.

        For a lost connection, the subclass `StoreUnreachable` is raised.

        Raises:
            ConfigurationError: psycopg is not installed.
        """
        psycopg = _psycopg()
        try:
            yield
        except psycopg.OperationalError as error:
            raise StoreUnreachable(
                f"{self} was lost ({self._reason(error)})", advice="ask again in a moment"
            ) from None
        except psycopg.Error as error:
            raise StoreError(
                f"the ledger {self} cannot be used ({self._reason(error)})",
                advice="see SWIFTASK_STORE",
            ) from None

    def _reason(self, error: Exception) -> str:
        """Return the first line of an error message, with the password of the ledger masked."""
        line, _, more = str(error).strip().partition("\n")
        if line.endswith(":"):  # the host name has several addresses, and an error for each follows
            line += " " + more.strip(" -").partition("\n")[0]
        return line.replace(self._url, mask_password(self._url))


def migrate(connection: psycopg.Connection) -> None:
    """Run the migrations that the database lacks, to create or extend the tables.

    A lock ensures that only one process at a time runs migrations.
    """
    if _schema_version(connection) >= len(MIGRATIONS):
        return  # a role without the right to CREATE may not even run CREATE … IF NOT EXISTS
    with connection.transaction():
        connection.execute(TAKE_LOCK.encode())
        connection.execute("CREATE TABLE IF NOT EXISTS swiftask_schema (version BIGINT NOT NULL)")
        version = _schema_version(connection)
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            for statement in (*statements, *POSTGRES_EXTRAS.get(number, ())):
                connection.execute(to_postgres(statement)[0].encode())
            connection.execute("INSERT INTO swiftask_schema VALUES (%s)", (number,))


def mask_password(url: str) -> str:
    """Return the URL with dots instead of passwords.

    A password can stand before the host or in a query parameter.
    """
    url = re.sub(r"(://[^:@/?#]*):.*@", r"\1:••••@", url)  # up to the last @
    return re.sub(r"(?i)(p(?:ass|w)\w*=)[^&\s]*", r"\1••••", url)  # misspelled names too


def _schema_version(connection: psycopg.Connection) -> int:
    """Return how many migrations have been run on the database; 0 for a database without tables."""
    found = connection.execute("SELECT to_regclass('swiftask_schema') IS NOT NULL").fetchone()
    if found is None or not found[0]:
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM swiftask_schema").fetchone()
    return int(row[0]) if row else 0


def _psycopg() -> Any:
    """Import and return the optional package `psycopg`.

    Raises:
        ConfigurationError: the package is not installed.
    """
    try:
        import psycopg
    except ImportError:
        raise ConfigurationError(
            "a ledger in PostgreSQL needs psycopg",
            advice="pip install 'swiftask-jupyter[postgres]'",
        ) from None
    return psycopg
