"""Writes turns to the ledger. A turn is a prompt and its answer.

The row of a turn is inserted before the request is sent, and updated once when the turn ends. The
row contains the id of the process that sends the request. If this process dies before the turn
ends, the row is never updated, and the turn counts as lost.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from swiftask_jupyter.answers.turn import Turn, content_digest
from swiftask_jupyter.ledger import schema
from swiftask_jupyter.ledger.schema import IS_CALL, sandbox_condition, storable
from swiftask_jupyter.ledger.store import Store, StoreConnection

# Constants of the Windows API.
_MAY_QUERY, _ACCESS_DENIED, _STILL_ACTIVE = 0x1000, 5, 259


def this_process() -> str:
    """Return the identity of this process, as `host:pid:start time`."""
    return _identity(platform.node(), os.getpid())


@lru_cache(maxsize=1)  # a forked child has another pid, and so its own entry
def _identity(host: str, pid: int) -> str:
    return f"{host}:{pid}:{_start(pid)}"


def is_alive(owner: str) -> bool:
    """Return whether a process is still running.

    A process of another machine counts as running, because this machine cannot check it.

    Args:
        owner: the identity of the process, as `this_process` returns it.
    """
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != platform.node():
        return True
    pid = int(rest)
    return _exists(pid) and owner.endswith(f":{_start(pid)}")


def _start(pid: int) -> str:
    """Return the start time of a process in clock ticks; empty if `/proc` has no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[19]  # field 22 in proc(5); the first two fields have been cut off
    except (OSError, IndexError):
        return ""


def _exists(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would end the process, even with signal 0
        return _exists_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _exists_on_windows(pid: int) -> bool:
    """Return whether a process exists, even if Windows denies access to the process."""
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
    """Writes turns to the ledger.

    Args:
        store: the database.
        keeps_texts: returns whether prompts and answers may be stored. If not, only the counts of a
            turn are stored.
    """

    def __init__(self, store: Store, keeps_texts: Callable[[], bool] = lambda: True) -> None:
        self._store = store
        self._keeps_texts = keeps_texts

    def begin(self, turn: Turn, least: int = 0) -> None:
        """Set the number of a new turn, and insert the row of the turn.

        Call this method before the turn's request is sent. The number is 1 more than the highest
        number in the session, including copied turns.

        Args:
            turn: the turn; the method sets the field `number`.
            least: the highest number among the turns that were copied into the session; 0 if no
                turn was copied.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            (highest,) = rows.execute(
                f"SELECT max(number) FROM turns WHERE session = ? AND {self._store.own_turns}",  # noqa: S608 - our own words
                (storable(turn.session),),
            ).fetchone()
            turn.number = max(highest or 0, least) + 1
            _insert(rows, turn, texts=self._keeps_texts())

    def complete(self, turn: Turn) -> None:
        """Store the result of a turn that has ended, unless the ledger already has a result.

        The method also sets the fields `answer` and `content_digest` of the turn.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            _complete(rows, turn, texts=self._keeps_texts())

    def group(self, begun: Iterable[Turn], ended: Iterable[Turn]) -> None:
        """Insert the rows of new turns and store the results of ended turns, in one transaction.

        The method takes about a quarter of the time of separate calls of `begin` and `complete`.
        The caller must set the field `number` of each new turn.

        Args:
            begun: turns whose requests are about to be sent.
            ended: turns that have ended.

        Raises:
            StoreError: the ledger can't be written.
        """
        texts = self._keeps_texts()
        with self._store.write() as rows:
            for turn in begun:
                _insert(rows, turn, texts=texts)
            for turn in ended:
                _complete(rows, turn, texts=texts)

    def refuse(self, turn: Turn) -> None:
        """Insert the row of a turn whose request was refused and is not sent.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            _insert(rows, turn, texts=self._keeps_texts())

    def costs(self, agent: str, most: int = 5, *, sandbox: bool = False) -> list[tuple[Any, ...]]:
        """Return the costs of the agent's last successful calls, newest call first.

        Each tuple has the input tokens, the output tokens, the reported total of tokens, the
        credits and the seconds of a call.

        Args:
            agent: the slug of the agent.
            most: the maximum number of calls to return.
            sandbox: `True` returns only calls to the sandbox; `False` returns only other calls.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            return list(
                table.execute(
                    "SELECT input_tokens, output_tokens, reported_total, credits, seconds"  # noqa: S608 - our own words
                    f" FROM turns WHERE agent = ? AND status = 'ok' AND {IS_CALL}"
                    f" AND {sandbox_condition(sandbox=sandbox)}"
                    " ORDER BY at DESC LIMIT ?",
                    (storable(agent), most),
                )
            )


def _insert(rows: StoreConnection, turn: Turn, *, texts: bool) -> None:
    row, text = schema.insert("turns", "owner"), schema.insert("texts")
    rows.execute(row.sql, (*row.values(turn), this_process()))
    identity, *values = text.values(turn)
    rows.execute(text.sql, (identity, *(value if texts else None for value in values)))


def _complete(rows: StoreConnection, turn: Turn, *, texts: bool) -> None:
    """Write the end of a turn to the ledger.

    Args:
        rows: an open transaction.
        turn: the turn, which has ended.
        texts: whether to write the texts. If the user has erased the prompt, no texts are written.
    """
    turn.answer = turn.text
    turn.content_digest = content_digest(turn.prompt, turn.answer) if texts else ""
    if not texts:  # a short text can be guessed from its digest
        turn.request_digest = ""
    row, text = schema.update("turns"), schema.update("texts")
    changed = rows.execute(
        f"{row.sql} WHERE turn = ? AND status = 'running'", (*row.values(turn), turn.id)
    ).rowcount
    if not (changed and texts):
        return
    written = rows.execute(
        f"{text.sql} WHERE turn = ? AND prompt IS NOT NULL", (*text.values(turn), turn.id)
    ).rowcount
    if not written:  # erased while the answer was on its way
        turn.content_digest = ""
        rows.execute("UPDATE turns SET said = NULL, key = NULL WHERE turn = ?", (turn.id,))
