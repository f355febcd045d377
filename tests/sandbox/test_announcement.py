"""The file that says which port is a sandbox."""

import fcntl
import os
import signal
import threading

import pytest

from swiftask_jupyter.sandbox.announcement import announce, withdraw
from swiftask_jupyter.settings.connection import is_sandbox


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_file_is_locked_and_nobody_else_may_read_it(folder):
    announcement = announce(8123)

    assert announcement.file.name == "8123"
    assert announcement.file.read_text() == str(os.getpid())
    assert announcement.file.parent.stat().st_mode & 0o077 == 0
    assert is_sandbox(8123)
    withdraw(announcement)
    assert not announcement.file.exists()
    assert not is_sandbox(8123)


def test_a_forked_child_does_not_keep_a_dead_sandbox_alive(folder):
    ready, wait = os.pipe(), os.pipe()
    parent = os.fork()
    if parent == 0:
        announce(8123)
        if os.fork() == 0:  # outlives the sandbox's process
            os.write(ready[1], b"x")
            os.read(wait[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    os.waitpid(parent, 0)

    assert (folder / f"swiftask_jupyter-{os.getuid()}" / "8123").exists()
    assert not is_sandbox(8123)
    os.write(wait[1], b"x")
    for descriptor in (*ready, *wait):
        os.close(descriptor)


def test_a_process_that_was_killed_and_not_reaped_is_no_sandbox(folder):
    ready = os.pipe()
    child = os.fork()
    if child == 0:
        announce(8123)
        os.write(ready[1], b"x")
        signal.pause()
    os.read(ready[0], 1)
    assert is_sandbox(8123)
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # a zombie

    assert not is_sandbox(8123)
    os.waitpid(child, 0)
    for descriptor in ready:
        os.close(descriptor)


def test_a_sandbox_runs_without_it_where_it_cannot_be_written(folder):
    (folder / f"swiftask_jupyter-{os.getuid()}").write_text("a file is in the way")

    assert announce(8123) is None
    withdraw(None)


def test_a_client_that_looks_at_this_moment_does_not_hide_the_sandbox(folder):
    withdraw(announce(8123))
    file = folder / f"swiftask_jupyter-{os.getuid()}" / "8123"
    file.write_text("")  # as a killed sandbox leaves it
    with file.open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.2, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        announcement = announce(8123)

    assert is_sandbox(8123)
    withdraw(announcement)
