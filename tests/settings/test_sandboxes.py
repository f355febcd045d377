"""Only a sandbox of this user, which runs now, counts as one."""

import os
import socket
import subprocess
import sys

import pytest

from swiftask_jupyter import Sandbox, Swiftask
from swiftask_jupyter.settings.connection import is_sandbox

SERVE = """\
from swiftask_jupyter import Sandbox
with Sandbox() as box:
    print(box.url.rpartition(":")[2], flush=True)
    input()
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"swiftask_jupyter-{os.getuid()}"


def test_a_sandbox_is_known_while_it_runs(directory):
    with Sandbox() as box:
        port = int(box.url.rpartition(":")[2])
        assert is_sandbox(port)

    assert not is_sandbox(port)


def test_a_sandbox_of_another_process_is_known_until_it_is_killed(directory):
    environment = {**os.environ, "TMPDIR": str(directory.parent)}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=environment,
    ) as other:  # fmt: skip
        port = int(other.stdout.readline())
        assert is_sandbox(port)
        other.kill()

    assert (directory / str(port)).exists()  # a killed process leaves its file behind
    assert not is_sandbox(port)


def test_no_other_server_of_this_machine_is_a_sandbox(directory):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_sandbox(server.getsockname()[1])


def test_files_that_another_user_may_have_written_are_not_believed(directory):
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    (directory / "9").write_text(str(os.getpid()))

    assert not is_sandbox(9)


def test_a_file_that_no_sandbox_has_locked_is_not_believed(directory):
    directory.mkdir(mode=0o700)
    (directory / "9").write_text(str(os.getpid()))

    assert not is_sandbox(9)


def test_a_turn_says_to_which_service_it_was_sent(directory, tmp_path):
    with (
        Sandbox() as box,
        Swiftask(base_url=box.url, token=box.token, store=tmp_path / "ledger.db") as swiftask,
    ):
        swiftask.ask("hello", "echo")
        [row] = swiftask.usage().to_dict("records")

    assert (row["host"], row["sandbox"]) == (box.url, True)
