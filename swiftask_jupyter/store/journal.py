"""How a SQLite file is written: ahead in a log (WAL), or with a rollback journal.

The log needs memory that all its writers share, which those on several machines do not: on a
network's file system it may spoil the file. There, and where SQLite itself can't use it, the
rollback journal is slower, and a reader may hold up a writer for a moment.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

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
