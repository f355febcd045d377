"""Rows under `strict`: what the ledger has is shown, and nobody is asked for the rest."""

import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors

FRAME = pd.DataFrame({"text": ["one", "two", "two"]})


@pytest.fixture
def strict(box, monkeypatch):
    """A client that has no token, and is told by the environment to ask nobody."""
    monkeypatch.setenv("SWIFTASK_CACHE", "strict")
    with Swiftask(base_url=box.url, agent="echo", dialect="openai") as client:
        yield client


def test_what_would_be_sent_is_refused_in_one_line(strict, box):
    with pytest.raises(errors.Refused, match="3 of 3 rows would be sent, and strict asks nobody"):
        strict.map(FRAME, "say {{text}}")
    assert box.requests == []


def test_what_the_ledger_has_is_shown(client, strict, box):
    first = client.map(FRAME, "say {{text}}", cache="on")
    count = len(box.requests)

    assert strict.map(FRAME, "say {{text}}").equals(first)
    with pytest.raises(errors.Refused, match="1 of 2 rows"):
        strict.map(pd.DataFrame({"text": ["one", "new"]}), "say {{text}}")
    assert len(box.requests) == count


def test_a_call_may_be_strict_alone_or_not_at_all(client, box):
    with pytest.raises(errors.Refused, match="strict"):
        client.map(FRAME, "say {{text}}", cache="strict")
    assert box.requests == []

    client.means.cache = "strict"
    assert list(client.map(FRAME, "say {{text}}", cache="off")["status"]) == ["ok"] * 3


def test_a_cache_that_there_is_not_is_one_clear_line(client):
    with pytest.raises(errors.ConfigurationError, match="no cache 'yes'; there is: off, on"):
        client.map(FRAME, "say {{text}}", cache="yes")


@pytest.mark.parametrize("option", ["fresh", "history", "last", "replay"])
def test_what_is_for_conversations_is_refused(client, box, option):
    with pytest.raises(errors.ConfigurationError, match=f"{option} is for conversations; rows"):
        client.map(FRAME, "say {{text}}", **{option: False})
    assert box.requests == []
