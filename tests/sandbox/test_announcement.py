"""The file that says which port is a sandbox."""

import os

import pytest

from swiftask_jupyter.sandbox.announcement import announce, withdraw


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_file_has_the_process_id_and_nobody_else_may_read_it(folder):
    file = announce(8123)

    assert file.read_text() == str(os.getpid())
    assert file.name == "8123"
    assert file.parent.stat().st_mode & 0o077 == 0
    withdraw(file)
    assert not file.exists()


def test_a_sandbox_runs_without_it_where_it_cannot_be_written(folder):
    (folder / f"swiftask_jupyter-{os.getuid()}").write_text("a file is in the way")

    assert announce(8123) is None
    withdraw(None)
