"""Brings the tables of a PostgreSQL database up to date.

Whoever connects first, or first with a newer version, needs the right to CREATE in the schema, and
owns the tables. All others need no more than:

    GRANT USAGE ON SCHEMA public TO team;
    GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO team;


The ledger in PostgreSQL, for a team or a hub of many machines; the same tables and statements.

libpq's own settings apply (`PGPASSWORD`, `.pgpass`, `PGSSLMODE` …). While the server can't be
reached, what is written waits in a file on this machine, and is delivered before the next write
that reaches it.
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
from swiftask_jupyter.ledger.migrations import MIGRATIONS, POSTGRES
from swiftask_jupyter.ledger.outbox import Outbox
from swiftask_jupyter.ledger.statements import Recorder, translated

if TYPE_CHECKING:
    import psycopg


def bring_up_to_date(connection: psycopg.Connection, lock: int) -> None:
    """Add the tables and columns that are missing; one process at a time."""
    if _version(connection) >= len(MIGRATIONS):
        return  # not even IF NOT EXISTS is allowed to a role that may create nothing
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({lock})".encode())
        connection.execute("CREATE TABLE IF NOT EXISTS swiftask_schema (version BIGINT NOT NULL)")
        version = _version(connection)
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            for statement in (*statements, *POSTGRES.get(number, ())):
                connection.execute(translated(statement)[0].encode())
            connection.execute("INSERT INTO swiftask_schema VALUES (%s)", (number,))


def _version(connection: psycopg.Connection) -> int:
    """Return how many migrations were made; 0 where there are no tables yet."""
    found = connection.execute("SELECT to_regclass('swiftask_schema') IS NOT NULL").fetchone()
    if found is None or not found[0]:
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM swiftask_schema").fetchone()
    return int(row[0]) if row else 0


PATIENCE = 3  # seconds for a connection to be made
PAUSE = 15.0  # seconds before an unreachable server is tried again
SILENCE = 10_000  # milliseconds after which a server that acknowledges nothing is away
LOCK = 7_349_121  # an advisory lock of our own: one writer at a time, as with SQLite


class Postgres:
    """A PostgreSQL database that several users, machines and threads use at once.

    Args:
        url: `postgresql://…`, as libpq reads it.
        outbox: the file in which turns wait.
    """

    path = None
    shared = True
    mine = 'turns."user" = current_user'
    day = "CAST(floor(at / 86400) AS BIGINT)"

    def __init__(self, url: str, outbox: Path) -> None:
        self._url = url
        self._outbox = Outbox(outbox)
        self._guard = threading.RLock()
        self._writer: psycopg.Connection | None = None
        self._idle: list[psycopg.Connection] = []
        self._pid = os.getpid()
        self._next_try = 0.0
        self._away = ""  # why, at the last try
        self._migrated = False

    def __str__(self) -> str:
        return masked(self._url)

    @contextmanager
    def write(self) -> Iterator[Recorder]:
        """Run statements as one transaction; it waits in the outbox where the server is away.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._errors(), self._lock:
            recorder = Recorder(self._connected_writer(), another=self._another_writer)
            try:
                recorder.begin(f"SELECT pg_advisory_xact_lock({LOCK})")
                yield recorder
            except BaseException:
                recorder.roll_back()
                raise
            if not recorder.commit():
                self._lose_writer()
                self._outbox.add(recorder.written)

    @contextmanager
    def read(self) -> Iterator[Recorder]:
        """Read, each statement by itself.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._errors():
            with self._lock:
                idle = self._idle
                connection = idle.pop() if idle else None
            recorder = Recorder(connection or self._connect(), reading=True, another=self._connect)
            try:
                yield recorder
            except BaseException:
                recorder.close()
                raise
            assert recorder.connection is not None
            with self._lock:
                if idle is self._idle:
                    idle.append(recorder.connection)
                else:  # the ledger was closed meanwhile
                    recorder.close()

    def chunks(
        self, statement: str, parameters: Sequence[Any], size: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield what a statement finds, so many rows at a time, out of one state of the ledger.

        Raises:
            StoreError: the ledger can't be read.
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
                        *translated(statement, parameters)
                    )
                    cursor.execute(literal.encode())
                    while rows := cursor.fetchmany(size):
                        yield rows
            finally:
                connection.close()

    def forget_log(self) -> None:
        """Do nothing: what a server keeps of the past is its administrator's."""

    def remarks(self) -> list[str]:
        """Return nothing: no file is taken away."""
        return []

    def close(self) -> None:
        """Close all connections; the next use opens others."""
        with self._lock:
            self._lose_writer()
            idle, self._idle = self._idle, []
            for connection in idle:
                connection.close()
            self._outbox.close()

    @property
    def _lock(self) -> threading.RLock:
        """As with SQLite: a forked child makes its own lock and connections."""
        if self._pid != os.getpid():
            self._guard, self._pid = threading.RLock(), os.getpid()
            self._writer, self._idle = None, []
        return self._guard

    def _connected_writer(self) -> psycopg.Connection | None:
        """Return the connection that writes, after what waits is delivered; `None` if none is."""
        for _ in range(2):  # the first may have been cut while it lay idle
            try:
                if self._writer is None or self._writer.closed:
                    self._writer = self._connect()
                self._outbox.deliver(self._writer, f"SELECT pg_advisory_xact_lock({LOCK})")
            except StoreUnreachable:
                self._lose_writer()
            else:
                return self._writer
        return None

    def _another_writer(self) -> psycopg.Connection:
        self._writer = self._connect()
        return self._writer

    def _lose_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _connect(self) -> psycopg.Connection:
        """Open a connection.

        Raises:
            StoreUnreachable: the server can't be reached, or could not a moment ago.
        """
        import psycopg

        if time.monotonic() < self._next_try:
            raise StoreUnreachable(self._away, advice="turns wait on this machine")
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=PATIENCE,
                tcp_user_timeout=SILENCE,
                cursor_factory=psycopg.ClientCursor,
                application_name="swiftask-jupyter",
            )
        except psycopg.OperationalError as error:
            self._next_try = time.monotonic() + PAUSE
            self._away = f"{self} can't be reached ({self._told(error)})"
            raise StoreUnreachable(self._away, advice="turns wait on this machine") from None
        if not self._migrated:
            try:
                bring_up_to_date(connection, LOCK)
            except BaseException:
                connection.close()
                raise
            self._migrated = True
        return connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        psycopg = _psycopg()
        try:
            yield
        except psycopg.OperationalError as error:
            raise StoreUnreachable(
                f"{self} was lost ({self._told(error)})", advice="ask again in a moment"
            ) from None
        except psycopg.Error as error:
            raise StoreError(
                f"the ledger {self} cannot be used ({self._told(error)})",
                advice="see SWIFTASK_STORE",
            ) from None

    def _told(self, error: Exception) -> str:
        """Return the first line of what the server or libpq says; it may repeat the address."""
        said, _, more = str(error).strip().partition("\n")
        if said.endswith(":"):  # of several addresses of one name, each failed
            said += " " + more.strip(" -").partition("\n")[0]
        return said.replace(self._url, masked(self._url))


def masked(url: str) -> str:
    """Return the address without its password."""
    url = re.sub(r"(://[^:@/?#]*):.*@", r"\1:••••@", url)  # rather too much than too little
    return re.sub(r"(?i)(p(?:ass|w)\w*=)[^&\s]*", r"\1••••", url)  # misspelt ones too


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise ConfigurationError(
            "a ledger in PostgreSQL needs psycopg",
            advice="pip install 'swiftask-jupyter[postgres]'",
        ) from None
    return psycopg
