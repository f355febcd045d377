"""Fixtures for the tests of prompts."""

import pytest


@pytest.fixture
def workdir(tmp_path):
    """An empty folder."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def write(workdir):
    """A function that writes a file in the folder and returns its path."""

    def write(name, content=b"x"):
        path = workdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return write
