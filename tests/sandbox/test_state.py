"""The shared state of a sandbox: its tokens, its ids and its agents."""

import pytest

from swiftask_jupyter import Sandbox
from swiftask_jupyter.sandbox.state import create_state
from tests.support.sandbox_requests import COMPLETIONS, HELLO


def state(agents=None, usage="zero", seed=None):
    return create_state(agents, usage, seed, 1, 1000)


def test_repr_does_not_show_the_account_token(box, account):
    account.post(COMPLETIONS, json=HELLO)

    assert box.token not in repr(box) + repr(box.requests) + repr(box._state)


def test_repr_does_not_show_any_client_token(box):
    shown = repr(box) + repr(box.requests) + repr(box._state)

    assert [each for each in box.agents if box.client_token(each) in shown] == []


def test_repr_does_not_show_the_agencii_token(box, agencii):
    body = {"message": "hello", "apiIntegrationId": box.integration_id("echo")}
    agencii.post("/get_completion", json=body)

    assert box.agencii_token not in repr(box) + repr(box.requests) + repr(box._state)


def test_a_seed_repeats_the_ids_but_never_the_tokens():
    first, second = state(seed=7), state(seed=7)

    assert first.random_id(12) == second.random_id(12)
    assert first.token != second.token
    assert first.agencii_token != second.agencii_token
    assert first.client_tokens["echo"] != second.client_tokens["echo"]


def test_zero_usage_applies_to_v1_only():
    assert state().usage_outside_v1 == "counted"
    assert state(usage="none").usage_outside_v1 == "none"


def test_an_agent_of_the_user_replaces_a_built_in_one():
    assert state({"echo": "always the same"}).agents["echo"].answer([]) == "always the same"


def test_an_unknown_usage_is_refused():
    with pytest.raises(ValueError, match="usage must be one of zero, counted, none, not 'much'"):
        Sandbox(usage="much")
