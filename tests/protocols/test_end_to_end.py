"""Prompts through a client, a real socket and the sandbox: what holds for several dialects."""

import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.cells import posts


@pytest.mark.parametrize("dialect", ["chat", "agencii"])
def test_a_platform_without_an_address_is_sent_no_token(dialect):
    with (
        Swiftask(token="swiftask-key", dialect=dialect, agent="a") as client,
        pytest.raises(errors.ConfigurationError, match="no documented address"),
    ):
        client.ask("hello")


def test_a_system_message_is_sent_only_by_dialects_that_have_one(swiftask, box, chat):
    for dialect in ("openai", "native"):
        swiftask.ask("hello", "mirror", dialect=dialect, system="be brief")
    with pytest.raises(errors.PromptError, match="no system message"):
        chat.ask("hello", system="be brief")

    first, second = (seen.json for seen in posts(box))
    assert first["messages"][0] == {"role": "system", "content": "be brief"}
    assert second["messageHistory"] == [{"role": "system", "content": "be brief"}]


def test_an_option_that_repeats_an_argument_is_refused(swiftask):
    with pytest.raises(errors.ConfigurationError, match="model"):
        swiftask.ask("hello", "echo", model="lorem")


def test_the_catalogue_is_a_frame_that_can_be_searched(swiftask):
    everything = swiftask.agents()
    found = swiftask.agents("IMAG")

    assert list(everything.columns) == ["slug", "name", "chat"]
    assert set(found["slug"]) == {"image", "image-markdown"}
    assert not found["chat"].any()
    assert list(swiftask.agents("ech*")["slug"]) == ["echo"]
    assert len(swiftask.agents("nothing like it")) == 0


def test_an_unknown_agent_is_answered_with_the_closest_name(swiftask):
    with pytest.raises(errors.AgentNotFound, match="did you mean lorem"):
        swiftask.ask("hello", "lorm")


def test_a_busy_service_is_asked_again_and_the_attempts_are_counted(swiftask, box):
    box.fail(Fault(status=503), agent="echo")
    box.fail(Fault(status=429, headers={"Retry-After": "0"}), agent="echo")

    answer = swiftask.ask("hello", "echo", dialect="openai")

    assert (answer.text, answer.reply.attempts) == ("hello", 3)
    assert list(swiftask.usage()["attempts"]) == [3]


def test_a_service_that_stays_busy_is_given_up_after_three_attempts(swiftask, box):
    box.fail(Fault(status=503), times=None)

    with pytest.raises(errors.ServiceUnavailable):
        swiftask.ask("hello", "echo", dialect="openai")
    assert len(posts(box)) == 3


@pytest.mark.parametrize(
    "fault", [Fault(cut_after=1), Fault(reset_after=0), Fault(garbage_after=0), Fault(status=400)]
)
def test_a_request_that_may_have_been_billed_is_never_sent_again(swiftask, box, fault):
    box.fail(fault)

    with pytest.raises(errors.SwiftaskError):
        swiftask.ask("hello there", "echo", dialect="openai")
    assert len(posts(box)) == 1


def test_a_service_that_rejects_the_usage_option_is_asked_without_it(swiftask, box):
    box.fail(Fault(status=400, message='"stream_options" is not allowed'), agent="echo")

    assert swiftask.ask("hello", "echo", dialect="openai").text == "hello"
    assert ["stream_options" in seen.json for seen in posts(box)] == [True, False]
