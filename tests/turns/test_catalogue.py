"""The catalogue of agents: asked once, without a token, and never in a prompt's way."""

import json

import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.turns import catalogue


def test_without_a_catalogue_the_answer_still_comes(auto, box):
    box.fail(Fault(status=500), path="/public/bots", times=None)

    assert auto.ask("hello", "echo").text == "hello"


def test_the_catalogue_is_asked_once_and_never_given_the_token(auto, box):
    auto.ask("one", "echo")
    auto.ask("two", "echo")

    (seen,) = [seen for seen in box.requests if seen.path == "/public/bots"]
    assert "authorization" not in seen.headers
    assert box.token not in json.dumps(dict(seen.headers)) + seen.query


def test_a_list_that_can_not_be_had_is_not_asked_for_before_each_prompt(auto, box):
    box.fail(Fault(status=404), path="/public/bots", times=None)

    for text in ("one", "two", "three"):
        assert auto.ask(text, "echo").text == text

    assert [seen.path for seen in box.requests].count("/public/bots") == 1


def test_a_refusal_does_not_wait_for_a_catalogue_that_is_slow(box, monkeypatch):
    monkeypatch.setattr(catalogue, "TIMEOUT_SECONDS", 0.1)
    box.fail(Fault(delay=2.0), path="/public/bots")
    with (
        Swiftask(base_url=box.url, token=box.token, dialect="openai") as client,
        pytest.raises(errors.AgentNotFound) as caught,
    ):
        client.ask("hello", "lorm")

    assert "did you mean" not in str(caught.value)


def test_a_catalogue_that_comes_late_is_used_as_soon_as_it_is_there(auto, box, monkeypatch):
    monkeypatch.setattr(catalogue, "TIMEOUT_SECONDS", 0.05)
    box.fail(Fault(delay=0.5), path="/public/bots")
    assert auto.ask("one", "image").reply.dialect == "openai"  # it is not known yet
    auto.connections.catalogue()  # waits for the fetch that goes on

    assert auto.ask("two", "image").reply.dialect == "native"
    assert [seen.path for seen in box.requests].count("/public/bots") == 1
