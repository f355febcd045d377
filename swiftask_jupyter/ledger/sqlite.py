"""The ledger in a SQLite file: `SQLiteStore`, and the choice of the file's journal mode.

Where possible, the file uses a write-ahead log (WAL). Its writers share memory, which works on one
machine only: on a network file system it could corrupt the file. There, and where SQLite has no
WAL, the file uses a rollback journal, which is slower and lets a reader delay a writer.
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
    """The ledger works, but with restrictions that the message names."""


class SQLiteStore:
    """A ledger in a SQLite file, safe for several threads and processes; implements `Store`.

    The file and its tables are created on first use. Only its owner can read it.

    Args:
        path: the file.
        migrations: the statements of each schema version; default: the ledger's tables.

    Attributes:
        path: the file's absolute path, which stays valid when the current directory changes.
        shared: see `Store`.
        own_turns: see `Store`.
        utc_day: see `Store`.
    """

    shared = False
    own_turns = "1 = 1"
    utc_day = "CAST(at / 86400 AS INTEGER)"

    def __init__(self, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
        self._migrations = migrations
        self._thread_lock = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._idle_readers: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._file: tuple[int, int] | None = None
        self._warnings: list[str] = []
        self.path = path.absolute()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run the statements of a `with` block as one transaction.

        Raises:
            StoreError: the file cannot be opened or written.
        """
        with self._lock, self._errors(), _transaction(writer := self._open_writer()):
            yield writer

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for reading, without blocking writers.

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
                    self._idle_readers.append(reader)  # a cell reads several times
                else:
                    reader.close()

    def chunks(
        self, statement: str, parameters: Sequence[Any], size: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the result of one query in lists of at most `size` rows.

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
        """Move the write-ahead log's content into the file, which overwrites erased texts.

        The log stays as long as another connection reads it; then a warning says so.

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
        """Return the warnings about the file that no caller has read yet, such as its removal."""
        new, self._warnings = self._warnings, []
        return new

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
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
        """The lock for the writing connection.

        A forked child gets a new lock, because the inherited one may be held by a thread that does
        not exist in it, and drops the connections, which SQLite does not allow across a fork.
        """
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
        """Translate the errors of SQLite and the operating system into a `StoreError`."""
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
    """Set the file's journal mode: WAL if possible, else a rollback journal with a warning.

    Args:
        connection: a connection to the file, outside of a transaction.
        path: the file.
        timeout: how many seconds to wait while another connection holds the file.

    Raises:
        sqlite3.OperationalError: another connection holds the file for longer.
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
    """Return the type of the network file system that holds the path, or `None` if it is local.

    On Windows, the name of the network share is returned instead of a type.
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
    r"""Return the share of a Windows network path, such as `\\server\share`, or `None`.

    `Path.resolve` has replaced a drive letter that stands for a share by the share's name.
    """
    drive = path.drive.replace("\\\\?\\UNC\\", "\\\\")
    return drive if drive.startswith("\\\\") and drive[2:3] not in ("?", ".") else None


def _enable_wal(connection: sqlite3.Connection, deadline: float) -> bool:
    """Turn on the write-ahead log; return whether SQLite supports it here."""
    import sqlite3

    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                return False  # no shared memory
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)  # SQLite does not wait while another connection turns it on
        else:
            return bool(mode == "wal")


def _file_id(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of the file that is at the path now, or `None`."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _create_private(path: Path) -> None:
    """Create the file, readable by its owner only, because it will hold prompts and answers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _connect(path: Path) -> sqlite3.Connection:
    import sqlite3

    # isolation_level=None: transactions are written out as SQL. Threads share a connection under
    # the lock of `SQLiteStore`.
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit the statements of a `with` block, or roll all of them back.

    A COMMIT that fails because a reader holds the file leaves the transaction open; a full disk has
    already rolled it back.
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
    """Run the migrations that the file lacks, and store its new version number in it."""

    def version() -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    if version() >= len(migrations):
        return
    with _transaction(connection):  # waits while another process migrates the file
        for statements in migrations[version() :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version(), len(migrations))}")
