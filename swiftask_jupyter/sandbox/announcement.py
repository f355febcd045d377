"""Tells the user's other processes which ports are sandboxes: their calls are no real usage.

Each running sandbox has a file in a directory that belongs to the user alone. The file's name is
the port, and its content is the process id. Where it can't be written, the sandbox counts as any
other service.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def announce(port: int) -> Path | None:
    """Write the file of a sandbox that listens on this port; return its path, if there is one."""
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
    """Remove the file of a sandbox that stops."""
    if file is not None:
        with suppress(OSError):
            file.unlink()
