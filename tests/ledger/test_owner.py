"""Whether the process that began a turn is still running."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace

from swiftask_jupyter.ledger.turns import is_alive, this_process


def test_this_process_is_alive_and_an_ended_one_is_not():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host, _, _ = this_process().split(":")

    assert is_alive(this_process())
    assert not is_alive(f"{host}:{ended.pid}:0")
    assert is_alive("another-host:1:0")


def test_on_windows_a_process_is_alive_until_it_has_an_exit_code(monkeypatch):
    """The Windows calls are stand-ins, which know five processes."""
    ended = {11: 259, 12: 0, 13: 1}  # the exit code by pid; 259 means still running
    errors = {14: 5, 15: 87}  # by pid: access denied, no such process
    asked, closed = [], []

    def open_process(rights, inherit, pid):
        assert (rights, inherit) == (0x1000, 0)
        asked.append(pid)
        return pid if pid in ended else None

    def exit_code(handle, code):
        code._obj.value = ended[handle.value]
        return 1

    kernel = SimpleNamespace(
        OpenProcess=open_process,
        GetExitCodeProcess=exit_code,
        CloseHandle=lambda handle: closed.append(handle.value),
    )
    host = this_process().split(":")[0]
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("swiftask_jupyter.ledger.turns._start", lambda _: "")
    monkeypatch.setattr(ctypes, "WinDLL", lambda *_, **__: kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: errors[asked[-1]], raising=False)

    there = [is_alive(f"{host}:{pid}:") for pid in (11, 12, 13, 14, 15)]

    assert there == [True, False, False, True, False]
    assert closed == [11, 12, 13]
