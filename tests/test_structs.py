"""Values: what they show of themselves."""

from swiftask_jupyter.prompts.prompt import Attachment
from swiftask_jupyter.protocols.base import Request
from swiftask_jupyter.settings.connection import ConnectionOverrides
from swiftask_jupyter.settings.sources import ResolvedSetting, Table

SECRET = "s3cr3t-token"


def test_no_repr_shows_what_may_be_a_secret_or_a_file():
    for value in (
        ConnectionOverrides("http://127.0.0.1", SECRET),
        ResolvedSetting(SECRET, "environment"),
        Table({"token": SECRET}, "pyproject.toml", "pyproject.toml"),
        Request("POST", f"http://127.0.0.1/{SECRET}", {"Authorization": SECRET}, SECRET.encode()),
        Attachment("notes.txt", "text/plain", len(SECRET), SECRET.encode()),
    ):
        assert SECRET not in repr(value)
        assert SECRET not in repr(value.__rich_repr__())


def test_what_is_no_secret_is_shown_by_name():
    assert repr(ResolvedSetting(SECRET, ".env")) == "Found(origin='.env', file='')"
