"""Fixtures for the tests of settings."""

import pytest


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's folder with a subfolder `notebooks`; the user's config folder is another one."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    folder = tmp_path / "project"
    (folder / "notebooks").mkdir(parents=True)
    return folder
