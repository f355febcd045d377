"""Identifies the process that began a turn, and tells whether it is still running.

An unfinished turn is `running` as long as its process exists, and `lost` after that.
"""

from __future__ import annotations

import os
import platform
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

# Constants of the Windows API.
_MAY_QUERY, _ACCESS_DENIED, _STILL_ACTIVE = 0x1000, 5, 259


def this_process() -> str:
    """Return the identity of this process: `host:pid:start`."""
    return _identity(platform.node(), os.getpid())


@lru_cache(maxsize=1)  # a forked child has another pid, and so its own entry
def _identity(host: str, pid: int) -> str:
    return f"{host}:{pid}:{_start(pid)}"


def is_alive(owner: str) -> bool:
    """Tell whether a process is still running and may complete its turns.

    A process of another machine counts as running, because nothing is known about it.

    Args:
        owner: the identity of a process, as `this_process` returns it.
    """
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != platform.node():
        return True
    pid = int(rest)
    return _exists(pid) and owner.endswith(f":{_start(pid)}")


def _start(pid: int) -> str:
    """Return the start time of a process in clock ticks; empty on systems without `/proc`."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[19]  # field 22 in proc(5); the first two are cut off here
    except (OSError, IndexError):
        return ""


def _exists(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would end the process, also with signal 0
        return _exists_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _exists_on_windows(pid: int) -> bool:
    """Tell whether a process exists; one that Windows denies access to does."""
    import ctypes

    windows: Any = ctypes  # these attributes exist on Windows only
    kernel = windows.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.OpenProcess(_MAY_QUERY, 0, pid))
    if not process:
        return bool(windows.get_last_error() == _ACCESS_DENIED)
    code = ctypes.c_ulong()
    succeeded = kernel.GetExitCodeProcess(process, ctypes.byref(code))
    kernel.CloseHandle(process)
    return not succeeded or code.value == _STILL_ACTIVE
