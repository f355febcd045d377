"""Which process began a turn, and whether it still lives.

A turn without an end belongs either to a process that is still at it or to one that died: the
first is running, the second is lost.
"""

from __future__ import annotations

import os
import platform
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

# Of Windows' processes.
_MAY_QUERY, _ACCESS_DENIED, _STILL_ACTIVE = 0x1000, 5, 259


def me() -> str:
    """Return this process as `host:pid:start`."""
    return _name(os.getpid())


@lru_cache(maxsize=1)  # a forked child has another number, and so another name
def _name(pid: int) -> str:
    return f"{platform.node()}:{pid}:{_start(pid)}"


def alive(owner: str) -> bool:
    """Tell whether the process may still complete its turns.

    Of another machine's process nothing is known: it is taken to be alive.
    """
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != platform.node():
        return True
    pid = int(rest)
    return _exists(pid) and owner.endswith(f":{_start(pid)}")


def _start(pid: int) -> str:
    """Return when the process began, in the system's own ticks, where it tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[19]  # the 22nd field of proc(5), counted after the name
    except (OSError, IndexError):
        return ""


def _exists(pid: int) -> bool:
    if sys.platform == "win32":  # there, signal 0 would end the process
        return _exists_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _exists_on_windows(pid: int) -> bool:
    """Ask Windows; whom it refuses to tell about is there."""
    import ctypes

    windows: Any = ctypes  # which has these names there alone
    kernel = windows.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.OpenProcess(_MAY_QUERY, 0, pid))
    if not process:
        return bool(windows.get_last_error() == _ACCESS_DENIED)
    code = ctypes.c_ulong()
    told = kernel.GetExitCodeProcess(process, ctypes.byref(code))
    kernel.CloseHandle(process)
    return not told or code.value == _STILL_ACTIVE
