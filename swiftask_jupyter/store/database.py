"""Opens the ledger (a SQLite file) and brings its tables up to date.

Migrations only ever add, and are never edited once published, so that an older kernel can go on
writing beside a newer one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from swiftask_jupyter.errors import StoreError

if TYPE_CHECKING:
    import sqlite3

BUSY_SECONDS = 30.0

# Texts stand apart from the narrow rows, so that counting a million turns reads no prose. In
# `texts`, the short error comes first: reading it does not walk over a long prompt.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE turns (
            turn TEXT PRIMARY KEY,
            at REAL NOT NULL,
            notebook TEXT,
            session TEXT NOT NULL,
            agent TEXT,
            dialect TEXT,
            owner TEXT NOT NULL,
            status TEXT NOT NULL,
            finish_reason TEXT,
            seconds REAL,
            first_token_seconds REAL,
            input_tokens INTEGER,
            output_tokens INTEGER,
            total_tokens INTEGER,
            reported_total INTEGER,
            usage_source TEXT
        )""",
        "CREATE INDEX turns_of_session ON turns (session, notebook)",
        "CREATE TABLE texts (turn TEXT PRIMARY KEY, error TEXT, prompt TEXT, answer TEXT)",
    ),
    ("ALTER TABLE turns ADD COLUMN credits REAL",),
    ("ALTER TABLE turns ADD COLUMN attempts INTEGER",),
    (
        "ALTER TABLE turns ADD COLUMN number INTEGER",
        "ALTER TABLE turns ADD COLUMN slot TEXT",
        "ALTER TABLE turns ADD COLUMN cell TEXT",
        "ALTER TABLE turns ADD COLUMN run TEXT",
        "ALTER TABLE turns ADD COLUMN surface TEXT",
        "ALTER TABLE turns ADD COLUMN after TEXT",
        "ALTER TABLE turns ADD COLUMN said TEXT",
        "ALTER TABLE turns ADD COLUMN conversation TEXT",
        "ALTER TABLE turns ADD COLUMN key TEXT",
        "ALTER TABLE turns ADD COLUMN cached INTEGER",
        "ALTER TABLE texts ADD COLUMN raw TEXT",
        "CREATE INDEX turns_by_number ON turns (session, number)",
        "CREATE INDEX turns_by_key ON turns (key) WHERE key IS NOT NULL",
        """CREATE TABLE marks (
            mark TEXT PRIMARY KEY,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            session TEXT,
            turn TEXT,
            value TEXT
        )""",
        "CREATE INDEX marks_of_session ON marks (session)",
        """CREATE TABLE sessions (
            at REAL NOT NULL,
            session TEXT NOT NULL,
            notebook TEXT,
            name TEXT NOT NULL,
            parent TEXT
        )""",
        "CREATE INDEX sessions_of_notebook ON sessions (notebook, name)",
        "CREATE INDEX sessions_by_id ON sessions (session)",
    ),
)


def default_path(environ: os._Environ[str] | dict[str, str]) -> Path:
    """Return where the ledger is: `SWIFTASK_STORE`, or the user's data directory."""
    if named := environ.get("SWIFTASK_STORE"):
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("swiftask_jupyter", appauthor=False)) / "turns.db"


class Database:
    """A SQLite file that several threads and processes use at once."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()  # it stays where it is when the kernel changes its folder
        self._guard = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._file: tuple[int, int] | None = None

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run statements as one transaction.

        Raises:
            StoreError: the ledger can't be opened or written.
        """
        with self._lock, self._errors():
            writer = self._open_writer()
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield writer
            except BaseException:
                writer.execute("ROLLBACK")
                raise
            writer.execute("COMMIT")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Read a consistent state without holding up writers.

        Raises:
            StoreError: the ledger can't be opened or read.
        """
        with self._errors():
            with self._lock:
                self._open_writer()  # makes the file and its tables
            reader = _connect(self.path)
            try:
                yield reader
            finally:
                reader.close()

    def forget_log(self) -> None:
        """Move what the write-ahead log holds into the file, where it is overwritten."""
        with self._lock, self._errors():
            self._open_writer().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()

    @property
    def _lock(self) -> threading.RLock:
        """One user of the writer at a time; a forked child may have inherited a lock that is held.

        Nor must a connection be carried over a fork: the child opens its own.
        """
        if self._pid != os.getpid():
            self._guard, self._writer, self._pid = threading.RLock(), None, os.getpid()
        return self._guard

    def _open_writer(self) -> sqlite3.Connection:
        if self._writer is not None and self._file != _identity(self.path):
            self._writer.close()  # the file was taken away: rows written to it would be lost
            self._writer = None
        if self._writer is None:
            _make_private(self.path)
            writer = _connect(self.path)
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute("PRAGMA synchronous = NORMAL")
            writer.execute("PRAGMA secure_delete = ON")  # what is purged is not left in free pages
            _migrate(writer)
            self._writer, self._file = writer, _identity(self.path)
        return self._writer

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import sqlite3

        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the ledger {self.path} cannot be used ({error})",
                advice="set SWIFTASK_STORE to a file that can be written",
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


def _migrate(connection: sqlite3.Connection) -> None:
    def version() -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    if version() >= len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")  # another process may be migrating: then wait for it
    try:
        for statements in MIGRATIONS[version() :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version(), len(MIGRATIONS))}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
