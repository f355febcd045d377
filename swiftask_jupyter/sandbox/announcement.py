"""Announces a running sandbox to the user's other processes.

Each running sandbox writes a file into a directory that belongs to the user alone. The file's name
is the port, and the file's content is the process id. A client reads this file to tell a sandbox
from a real service. If the file can't be written, a client treats the sandbox as a real service.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def announce(port: int) -> Path | None:
    """Write the announcement file of a sandbox that listens on `port`.

    Return the file's path, or None if the file can't be written.
    """
    user = f"-{os.getuid()}" if os.name == "posix" else ""
    directory = Path(tempfile.gettempdir()) / f"swiftask_jupyter{user}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        file = directory / str(port)
        file.write_text(str(os.getpid()))
    except OSError:
        return None
    return file


def withdraw(file: Path | None) -> None:
    """Delete the announcement file of a sandbox. Do nothing if `file` is None."""
    if file is not None:
        with suppress(OSError):
            file.unlink()
