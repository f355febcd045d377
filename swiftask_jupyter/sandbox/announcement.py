"""Announces a running sandbox to the user's other processes.

Each running sandbox has a file in a directory that belongs to the user alone. The file's name is
the port. The sandbox holds a lock on the file while it runs; the system releases the lock when the
process ends, however it ends. A client looks for the lock to tell a sandbox from a real service. If
the file can't be written, a client treats the sandbox as a real service.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Announcement(NamedTuple):
    """The announcement file of a running sandbox.

    Attributes:
        file: the path of the file.
        descriptor: the open file, which holds the lock.
    """

    file: Path
    descriptor: int


# The descriptors of this process. A forked child closes them: the sandbox is not the child's.
_descriptors: set[int] = set()


def announce(port: int) -> Announcement | None:
    """Write and lock the announcement file of a sandbox that listens on `port`.

    Return None if the file can't be written or locked.
    """
    user = f"-{os.getuid()}" if os.name == "posix" else ""
    directory = Path(tempfile.gettempdir()) / f"swiftask_jupyter{user}"
    descriptor = None
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        file = directory / str(port)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(descriptor, str(os.getpid()).encode())
        if os.name == "posix":
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)  # a client holds its lock for microseconds
    except OSError:
        if descriptor is not None:
            os.close(descriptor)
        return None
    _descriptors.add(descriptor)
    return Announcement(file, descriptor)


def withdraw(announcement: Announcement | None) -> None:
    """Delete the announcement file of a sandbox. Do nothing if `announcement` is None."""
    if announcement is not None:
        _descriptors.discard(announcement.descriptor)
        if os.name == "posix":  # while it is locked: no other sandbox can have this port yet
            with suppress(OSError):
                announcement.file.unlink()
        with suppress(OSError):
            os.close(announcement.descriptor)


def _close_in_child() -> None:
    while _descriptors:
        with suppress(OSError):
            os.close(_descriptors.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
