"""How a SQLite file is written: ahead in a log (WAL), or with a rollback journal.

The log needs memory that all its writers share, which those on several machines do not: on a
network's file system it may spoil the file. There, and where SQLite itself can't use it, the
rollback journal is slower, and a reader may hold up a writer for a moment.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

MOUNTS = Path("/proc/self/mounts")
NETWORKS = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "gpfs",
    "lustre", "nfs", "nfs4", "smb3", "smbfs",
))  # fmt: skip


class LedgerWarning(UserWarning):
    """The ledger works, but not as it could."""


def choose_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Choose the way of writing, and warn where it is the slower one."""
    import sqlite3

    system, mode = network(path), ""
    if system is None:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError:  # the shared memory can't be had
            mode = ""
    if mode == "wal":
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


def network(path: Path) -> str | None:
    """Return the name of the network's file system that holds the path; `None` for a local one."""
    try:
        lines = MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return None  # systems that have no such file
    found = (Path("/"), "")
    for line in lines:
        _, place, system, *_ = line.split(" ")
        mount = Path(place.replace("\\040", " "))
        if path.is_relative_to(mount) and len(mount.parts) >= len(found[0].parts):
            found = mount, system
    return found[1] if found[1] in NETWORKS else None
