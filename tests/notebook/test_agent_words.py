"""Words on the line of `%%swiftask` that the catalogue does not know."""

import pytest
from IPython.core.error import UsageError

from swiftask_jupyter import Sandbox, errors
from swiftask_jupyter.notebook.agent_words import explain
from swiftask_jupyter.sandbox import Agent
from tests.support.cells import ledger_frame, posts


@pytest.fixture
def box():
    """A sandbox with an agent that its catalogue does not list, as private agents are not."""
    private = Agent(lambda _: "mine", nonblocking=True, listed=False)
    with Sandbox(agents={"private": private}) as box:
        yield box


def test_a_private_agent_can_be_compared_once_it_has_answered(ask, box):
    with pytest.raises(UsageError, match="a private agent: ask it alone once"):
        ask("echo private", "hello")
    assert not posts(box)

    assert ask("private", "hello").text == "mine"

    assert [each.text for each in ask("echo private", "hello")] == ["hello", "mine"]
    with pytest.raises(UsageError, match="no agent what in the catalogue"):
        ask("private what", "hello")


def test_the_agent_of_the_settings_is_known(ask, monkeypatch):
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "private")

    assert [each.text for each in ask("echo private", "hello")] == ["hello", "mine"]


def test_a_slip_is_recorded_as_refused(ask):
    with pytest.raises(UsageError):
        ask("echo temperature=0", "hello")
    with pytest.raises(UsageError):
        ask("echo what", "hello")

    rows = ledger_frame()
    assert list(rows["status"]) == ["refused", "refused"]
    assert "-o temperature=0" in rows["error"][0]


@pytest.mark.parametrize("mode", ["dry run", "strict"])
def test_the_catalogue_is_not_fetched_where_nothing_may_be_sent(ask, command, box, mode):
    if mode == "strict":
        command("cache strict")
        with pytest.raises(errors.Refused, match="strict asks nobody"):
            ask("echo lorem", "hello")
    else:
        ask("echo what --dry-run", "hello")

    assert box.requests == []


def test_another_platform_is_not_asked_for_its_agents(ask, box):
    with pytest.raises(errors.SwiftaskError):
        ask("--dialect agencii b2xkQ29tcGFueS1GaXJz", "hello")

    assert [seen.path for seen in box.requests if seen.path == "/public/bots"] == []


def test_an_explanation_is_short_and_shows_no_control_characters():
    said = explain("a\x1b[31m=\x1b[31m" + "x" * 500)

    assert "\x1b" not in said
    assert explain("what is " + "x" * 500).index(" is no agent") < 80
