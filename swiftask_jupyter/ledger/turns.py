"""The table of turns: each begun when its request leaves, and completed once when it ends.

A turn names the process that began it: one that was begun and never ended is lost if that process
has died.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from swiftask_jupyter.answers.turn import Turn, content_digest
from swiftask_jupyter.ledger import schema
from swiftask_jupyter.ledger.schema import IS_CALL, storable
from swiftask_jupyter.ledger.store import Store, StoreConnection

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


class Turns:
    """The table of all turns, with their texts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, turn: Turn, least: int = 0) -> None:
        """Write the row of a request that is about to leave, and number it in its session.

        Args:
            turn: what is asked, and where; its `number` is set.
            least: the highest number of the turns that the session took over from another.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            (highest,) = rows.execute(
                "SELECT max(number) FROM turns WHERE session = ?", (storable(turn.session),)
            ).fetchone()
            turn.number = max(highest or 0, least) + 1
            _insert(rows, turn)

    def complete(self, turn: Turn) -> None:
        """Write how the turn ended. A turn that has ended is not written again.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            _complete(rows, turn)

    def group(self, begun: Iterable[Turn], ended: Iterable[Turn]) -> None:
        """Begin and complete many turns in one transaction, at a fourth of the cost.

        The caller numbers them.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            for turn in begun:
                _insert(rows, turn)
            for turn in ended:
                _complete(rows, turn)

    def refuse(self, turn: Turn) -> None:
        """Write the row of a prompt that was not sent.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            _insert(rows, turn)

    def costs(self, agent: str, most: int = 5) -> list[tuple[Any, ...]]:
        """Return what the agent's last successful calls cost, newest first.

        Each row: input tokens, output tokens, reported total, credits, seconds.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            return list(
                table.execute(
                    "SELECT input_tokens, output_tokens, reported_total, credits, seconds"  # noqa: S608 - our own words
                    f" FROM turns WHERE agent = ? AND status = 'ok' AND {IS_CALL}"
                    " ORDER BY at DESC LIMIT ?",
                    (storable(agent), most),
                )
            )


def _insert(rows: StoreConnection, turn: Turn) -> None:
    row, texts = schema.insert("turns", "owner"), schema.insert("texts")
    rows.execute(row.sql, (*row.values(turn), this_process()))
    rows.execute(texts.sql, texts.values(turn))


def _complete(rows: StoreConnection, turn: Turn) -> None:
    turn.answer = turn.text
    turn.content_digest = content_digest(turn.prompt, turn.answer)
    row, texts = schema.update("turns"), schema.update("texts")
    changed = rows.execute(
        f"{row.sql} WHERE turn = ? AND status = 'running'", (*row.values(turn), turn.id)
    ).rowcount
    if changed:
        rows.execute(f"{texts.sql} WHERE turn = ?", (*texts.values(turn), turn.id))
