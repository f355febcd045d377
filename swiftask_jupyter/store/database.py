"""Opens the ledger (a SQLite file) and brings its tables up to date."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.store.journal import choose_journal
from swiftask_jupyter.store.migrations import MIGRATIONS

if TYPE_CHECKING:
    import sqlite3

BUSY_SECONDS = 30.0
READERS_SECONDS = 2.0  # a reader may go on for hours: what is erased waits no longer for it
AT_ONCE = 900  # parameters: as many as any SQLite takes in one statement


class Database:
    """A SQLite file that several threads and processes use at once.

    Attributes:
        path: where it lies.
        shared: whether several users write to it.
        mine: a condition of the table of turns: the turn is of the user who reads.
        day: an expression for the UTC day of a turn, in days since the epoch.
    """

    shared = False
    mine = "1 = 1"
    day = "CAST(at / 86400 AS INTEGER)"

    def __init__(self, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
        self._migrations = migrations
        self._guard = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._file: tuple[int, int] | None = None
        self._untold: list[str] = []
        self.path = path.absolute()  # it stays where it is when the kernel changes its folder

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run statements as one transaction.

        Raises:
            StoreError: the ledger can't be opened or written.
        """
        with self._lock, self._errors(), _transaction(writer := self._open_writer()):
            yield writer

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Read, each statement by itself, without holding up writers.

        Raises:
            StoreError: the ledger can't be opened or read.
        """
        with self._errors():
            with self._lock:
                self._open_writer()  # makes the file and its tables
                file = self._file
                reader = self._idle.pop() if self._idle else _connect(self.path)
            try:
                yield reader
            except BaseException:
                reader.close()  # a statement may be open in it
                raise
            with self._lock:
                if file == self._file and self._writer is not None and not self._idle:
                    self._idle.append(reader)  # the next cell reads several times
                else:
                    reader.close()

    def chunks(
        self, statement: str, parameters: Sequence[Any], size: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield what a statement finds, so many rows at a time.

        Raises:
            StoreError: the ledger can't be opened or read.
        """
        with self.read() as table:
            cursor = table.execute(statement, parameters)
            while rows := cursor.fetchmany(size):
                yield rows

    def __str__(self) -> str:
        return str(self.path)

    def forget_log(self) -> None:
        """Move what the write-ahead log holds into the file, where it is overwritten.

        While another reads, the log is kept; then a remark says so.
        """
        with self._lock, self._errors():
            writer = self._open_writer()
            writer.execute(f"PRAGMA busy_timeout = {READERS_SECONDS * 1000:.0f}")
            (busy, _, _) = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            writer.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
        if busy:
            self._untold.append(
                f"another reads {self.path}: what was erased is gone from {self.path.name}-wal when"
                " all who have the ledger open have closed it"
            )

    def remarks(self) -> list[str]:
        """Return what became of the file and was not told yet, each time once."""
        told, self._untold = self._untold, []
        return told

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._close()

    def __del__(self) -> None:
        self._close()  # few who ask from Python close their client

    def _close(self) -> None:
        for connection in (*self._idle, self._writer):
            if connection is not None:
                connection.close()
        self._idle.clear()
        self._writer = None

    @property
    def _lock(self) -> threading.RLock:
        """One user of the writer at a time; a forked child may have inherited a lock that is held.

        Nor must a connection be carried over a fork: the child opens its own.
        """
        if self._pid != os.getpid():
            self._guard, self._writer, self._pid = threading.RLock(), None, os.getpid()
            self._idle = []
        return self._guard

    def _open_writer(self) -> sqlite3.Connection:
        if self._file not in (None, standing := _identity(self.path)):
            self._close()  # the file was taken away: rows written to it would be lost
            became = "replaced by another" if standing else "taken away, and a new one begun"
            self._untold = [f"the ledger {self.path} was {became}"]
        if self._writer is None:
            _make_private(self.path)
            writer = _connect(self.path)
            try:
                choose_journal(writer, self.path, BUSY_SECONDS)
                writer.execute("PRAGMA secure_delete = ON")  # what is purged stays in no free page
                _migrate(writer, self._migrations)
            except BaseException:
                writer.close()
                raise
            self._writer, self._file = writer, _identity(self.path)
        return self._writer

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import sqlite3

        try:
            yield
        except (sqlite3.Error, OSError) as error:
            advice = "set SWIFTASK_STORE to a file that can be written"
            if "locked" in str(error):
                advice = "another program holds it; try again when it is done"
            raise StoreError(
                f"the ledger {self.path} cannot be used ({error})", advice=advice
            ) from None


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file stands at the path now."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _make_private(path: Path) -> None:
    """Make the file, readable by its owner alone: prompts and answers stand in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _connect(path: Path) -> sqlite3.Connection:
    import sqlite3

    # Transactions are written out where they matter; threads take turns by the lock above.
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing.

    A COMMIT that fails, because a reader holds the file, leaves the transaction open; a full disk
    has ended it already.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> None:
    def version() -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    if version() >= len(migrations):
        return
    with _transaction(connection):  # another process may be migrating: then wait for it
        for statements in migrations[version() :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version(), len(migrations))}")
