"""How a SQLite file is written: ahead in a log (WAL), or with a rollback journal.

The log needs memory that all its writers share, which those on several machines do not: on a
network's file system it may spoil the file. There, and where SQLite itself can't use it, the
rollback journal is slower, and a reader may hold up a writer for a moment.


Opens the ledger (a SQLite file) and brings its tables up to date.
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

MOUNTS = Path("/proc/self/mounts")
NETWORKS = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "gpfs",
    "lustre", "nfs", "nfs4", "smb3", "smbfs",
))  # fmt: skip
PAUSE = 0.05  # seconds between two tries
_ESCAPED = re.compile(r"\\([0-7]{3})")  # a space, tab, line's end or backslash, as in proc(5)


class LedgerWarning(UserWarning):
    """The ledger works, but not as it could."""


def choose_journal(connection: sqlite3.Connection, path: Path, patience: float) -> None:
    """Choose the way of writing, and warn where it is the slower one.

    Args:
        connection: to the ledger, outside of any transaction.
        path: where it lies.
        patience: for how many seconds to wait while another holds it.

    Raises:
        sqlite3.OperationalError: another holds it longer.
    """
    system = network(path)
    if system is None and _writes_ahead(connection, time.monotonic() + patience):
        connection.execute("PRAGMA synchronous = NORMAL")
        return
    connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    where = f"on a network's file system ({system})" if system else "where SQLite has no WAL"
    warnings.warn(
        f"the ledger {path} is {where}: it works, but slower; SWIFTASK_STORE can name a local file",
        LedgerWarning,
        stacklevel=2,
    )


def _writes_ahead(connection: sqlite3.Connection, until: float) -> bool:
    """Turn the log on; tell whether SQLite has it here."""
    import sqlite3

    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                return False  # the shared memory can't be had
            if time.monotonic() > until:
                raise
            time.sleep(PAUSE)  # SQLite itself does not wait where another turns it on
        else:
            return bool(mode == "wal")


def network(path: Path) -> str | None:
    """Return the name of the network's file system that holds the path; `None` for a local one."""
    path = path.resolve()  # a home is often a symlink into one
    if share := unc(path):
        return share
    try:
        lines = os.fsdecode(MOUNTS.read_bytes()).split("\n")
    except OSError:
        return None  # systems that have no such file
    found = (Path("/"), "")
    for line in lines:
        _, place, system, *_ = (*line.split(" "), "", "", "")
        mount = Path(_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), place))
        if path.is_relative_to(mount) and len(mount.parts) >= len(found[0].parts):
            found = mount, system
    return found[1] if found[1] in NETWORKS else None


def unc(path: PurePath) -> str | None:
    r"""Return the share of a path of Windows' network, `\\server\share`; `None` for any other path.

    A drive's letter that stands for a share is resolved to it by then.
    """
    drive = path.drive.replace("\\\\?\\UNC\\", "\\\\")
    return drive if drive.startswith("\\\\") and drive[2:3] not in ("?", ".") else None


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
