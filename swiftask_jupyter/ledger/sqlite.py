"""The ledger in a SQLite file: `SQLiteStore`, and the choice of the file's journal mode.

Usually the file uses a write-ahead log (WAL). All processes that use a WAL share memory, so all of
them must run on one machine. On a network file system, a WAL could corrupt the file. Therefore the
file uses a rollback journal on a network file system, and wherever SQLite does not support WAL. A
rollback journal is slower, and lets a reader delay a writer.
"""

from __future__ import annotations

import os
import re
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.ledger.migrations import MIGRATIONS

if TYPE_CHECKING:
    import sqlite3

# How many seconds a writer waits for another writer.
BUSY_SECONDS = 30.0
# How many seconds a checkpoint waits for readers, which may run for hours.
CHECKPOINT_SECONDS = 2.0
# How many seconds pass between two attempts to turn on the write-ahead log.
POLL_SECONDS = 0.05
MOUNTS = Path("/proc/self/mounts")
NETWORK_FILE_SYSTEMS = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "gpfs",
    "lustre", "nfs", "nfs4", "smb3", "smbfs",
))  # fmt: skip
# proc(5) writes a space, tab, newline and backslash in a mount point as an octal escape.
_OCTAL_ESCAPE = re.compile(r"\\([0-7]{3})")


class LedgerWarning(UserWarning):
    """Warns that the ledger works with a restriction, such as slow access."""


class SQLiteStore:
    """A ledger in a SQLite file, safe for several threads and processes; implements `Store`.

    The first use creates the file and the tables. A new file is readable only by its owner.

    Args:
        path: the path of the file.
        migrations: the SQL statements that create and extend the tables, as a list for each schema
            version. Default: the migrations of the ledger.

    Attributes:
        path: the file's absolute path.
        shared: see `Store`.
        own_turns: see `Store`.
        own_marks: see `Store`.
        utc_day: see `Store`.
    """

    shared = False
    own_turns = "1 = 1"
    own_marks = "1 = 1"
    utc_day = "CAST(at / 86400 AS INTEGER)"

    def __init__(self, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
        self._migrations = migrations
        self._thread_lock = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._idle_readers: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._file: tuple[int, int] | None = None
        self._warnings: list[str] = []
        self.path = path.absolute()  # valid even if the current directory changes

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run the statements of a `with` block as one transaction.

        The transaction is rolled back if the block raises an exception.

        Raises:
            StoreError: the file cannot be opened or written.
        """
        with self._lock, self._errors(), _transaction(writer := self._open_writer()):
            yield writer

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Provide a connection for reading.

        If the file uses a write-ahead log, the connection does not block writers.

        Raises:
            StoreError: the file cannot be opened or read.
        """
        with self._errors():
            with self._lock:
                self._open_writer()  # creates the file and its tables
                file = self._file
                reader = self._idle_readers.pop() if self._idle_readers else _connect(self.path)
            try:
                yield reader
            except BaseException:
                reader.close()  # it may have an unfinished statement
                raise
            with self._lock:
                same_file = file == self._file and self._writer is not None
                if same_file and not self._idle_readers:
                    self._idle_readers.append(reader)  # the next read may follow soon
                else:
                    reader.close()

    def chunks(
        self, statement: str, parameters: Sequence[Any], size: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Run a query and yield its rows in lists of at most `size` rows.

        Raises:
            StoreError: the file cannot be opened or read.
        """
        with self.read() as connection:
            cursor = connection.execute(statement, parameters)
            while rows := cursor.fetchmany(size):
                yield rows

    def __str__(self) -> str:
        return str(self.path)

    def checkpoint(self) -> None:
        """Remove erased texts from the write-ahead log, by moving the log's content into the file.

        If another connection is reading the log, the erased texts stay in the log. In this case,
        `pop_warnings` returns a warning.

        Raises:
            StoreError: the file cannot be opened or written.
        """
        with self._lock, self._errors():
            writer = self._open_writer()
            writer.execute(f"PRAGMA busy_timeout = {CHECKPOINT_SECONDS * 1000:.0f}")
            (busy, _, _) = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            writer.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
        if busy:
            self._warnings.append(
                f"another reads {self.path}: what was erased is gone from {self.path.name}-wal when"
                " all who have the ledger open have closed it"
            )

    def pop_warnings(self) -> list[str]:
        """Return the warnings about the file, and clear the list of warnings."""
        new, self._warnings = self._warnings, []
        return new

    def close(self) -> None:
        """Close all connections; the next use opens new connections."""
        with self._lock:
            self._close()

    def __del__(self) -> None:
        self._close()  # most scripts never close their client

    def _close(self) -> None:
        for connection in (*self._idle_readers, self._writer):
            if connection is not None:
                connection.close()
        self._idle_readers.clear()
        self._writer = None

    @property
    def _lock(self) -> threading.RLock:
        """The lock that protects the connections of this store from simultaneous use.

        After a fork, the child process gets a new lock and opens its own connections.
        """
        # The old lock may be held by a thread that does not exist in the child. SQLite does not
        # allow a connection to be used across a fork.
        if self._pid != os.getpid():
            self._thread_lock, self._writer, self._pid = threading.RLock(), None, os.getpid()
            self._idle_readers = []
        return self._thread_lock

    def _open_writer(self) -> sqlite3.Connection:
        if self._file not in (None, current := _file_id(self.path)):
            self._close()  # the file was removed or replaced: rows written to it would be lost
            became = "replaced by another" if current else "taken away, and a new one begun"
            self._warnings = [f"the ledger {self.path} was {became}"]
        if self._writer is None:
            _create_private(self.path)
            writer = _connect(self.path)
            try:
                choose_journal(writer, self.path, BUSY_SECONDS)
                # Erased texts are overwritten with zeros, also in free pages.
                writer.execute("PRAGMA secure_delete = ON")
                _migrate(writer, self._migrations)
            except BaseException:
                writer.close()
                raise
            self._writer, self._file = writer, _file_id(self.path)
        return self._writer

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise `StoreError` for an error of SQLite or the operating system in a `with` block."""
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


def choose_journal(connection: sqlite3.Connection, path: Path, timeout: float) -> None:
    """Set the journal mode of a SQLite file: WAL if possible, otherwise a rollback journal.

    If the file gets a rollback journal, issue a `LedgerWarning`.

    Args:
        connection: a connection to the file, outside of a transaction.
        path: the path of the file.
        timeout: how many seconds to wait while another connection locks the file.

    Raises:
        sqlite3.OperationalError: another connection locks the file for longer than the timeout.
    """
    file_system = network_file_system(path)
    if file_system is None and _enable_wal(connection, time.monotonic() + timeout):
        connection.execute("PRAGMA synchronous = NORMAL")
        return
    connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    where = "where SQLite has no WAL"
    if file_system:
        where = f"on a network's file system ({file_system})"
    warnings.warn(
        f"the ledger {path} is {where}: it works, but slower; SWIFTASK_STORE can name a local file",
        LedgerWarning,
        stacklevel=2,
    )


def network_file_system(path: Path) -> str | None:
    """Return the type of the network file system on which a path lies, such as `nfs4`.

    On Windows, return the network share instead of the type. Return `None` if the path lies on a
    local file system, or if the file system is unknown.
    """
    path = path.resolve()  # a home directory is often a symlink to a network file system
    if share := unc_share(path):
        return share
    try:
        lines = os.fsdecode(MOUNTS.read_bytes()).split("\n")
    except OSError:
        return None  # the system has no /proc
    found = (Path("/"), "")
    for line in lines:
        _, mount_point, file_system, *_ = (*line.split(" "), "", "", "")
        mount = Path(_OCTAL_ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), mount_point))
        if path.is_relative_to(mount) and len(mount.parts) >= len(found[0].parts):
            found = mount, file_system
    return found[1] if found[1] in NETWORK_FILE_SYSTEMS else None


def unc_share(path: PurePath) -> str | None:
    r"""Return the network share of a Windows path; return `None` for a local path.

    A network share has the form `\\server\share`. The path must be the result of `Path.resolve`,
    which replaces the letter of a network drive by the network share.
    """
    drive = path.drive.replace("\\\\?\\UNC\\", "\\\\")
    return drive if drive.startswith("\\\\") and drive[2:3] not in ("?", ".") else None


def _enable_wal(connection: sqlite3.Connection, deadline: float) -> bool:
    """Turn on the write-ahead log (WAL); return whether SQLite supports WAL for this file.

    While another connection locks the file, try again until the deadline.

    Args:
        connection: a connection to the file.
        deadline: when to stop trying, in seconds of `time.monotonic`.

    Raises:
        sqlite3.OperationalError: the file is still locked at the deadline.
    """
    import sqlite3

    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                return False  # no shared memory, which WAL needs
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)  # SQLite does not wait while another connection turns it on
        else:
            return bool(mode == "wal")


def _file_id(path: Path) -> tuple[int, int] | None:
    """Return the device and inode numbers of a file; `None` if the file can't be read."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _create_private(path: Path) -> None:
    """Create a file that only its owner can read and write, unless the file exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _connect(path: Path) -> sqlite3.Connection:
    import sqlite3

    # isolation_level=None: this module begins and ends transactions itself. The lock of
    # `SQLiteStore` ensures that two threads never use a connection at the same time.
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the statements of a `with` block as one transaction.

    The transaction is rolled back if the block raises an exception.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After a failed COMMIT, the transaction is still open if a reader locks the file. If the
        # disk is full, SQLite has already rolled the transaction back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> None:
    """Run the migrations that the file lacks, and store the new schema version in the file."""

    def version() -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    if version() >= len(migrations):
        return
    with _transaction(connection):  # waits while another process migrates the file
        for statements in migrations[version() :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version(), len(migrations))}")
