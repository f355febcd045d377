"""Value types: a repr shows ordinary fields by name and leaves out secrets and file contents."""

from swiftask_jupyter.prompts.prompt import Attachment
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.settings.connection import ConnectionOverrides
from swiftask_jupyter.settings.sources import ResolvedSetting, SettingsTable

SECRET = "s3cr3t-token"


def test_a_repr_never_shows_a_secret_or_the_content_of_a_file():
    for value in (
        ConnectionOverrides("http://127.0.0.1", SECRET),
        ResolvedSetting(SECRET, "environment"),
        SettingsTable({"token": SECRET}, "pyproject.toml", "pyproject.toml"),
        Request("POST", f"http://127.0.0.1/{SECRET}", {"Authorization": SECRET}, SECRET.encode()),
        Attachment("notes.txt", "text/plain", len(SECRET), SECRET.encode()),
    ):
        assert SECRET not in repr(value)
        assert SECRET not in repr(value.__rich_repr__())


def test_a_repr_shows_the_fields_that_are_not_redacted_by_name():
    assert repr(ResolvedSetting(SECRET, ".env")) == "ResolvedSetting(origin='.env', file='')"
