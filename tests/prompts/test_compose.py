"""Prompts from the arguments of a call, and messages from earlier turns."""

import pytest

from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.errors import ConfigurationError, PromptError
from swiftask_jupyter.prompts.attachments import load_files
from swiftask_jupyter.prompts.prompt import (
    Message,
    Prompt,
    compose,
    fork_remark,
    history_messages,
    newest_within,
    replayed_text,
)
from swiftask_jupyter.settings.secrets import Secret


def turn(prompt, answer, **values):
    """Return an answered turn."""
    return Turn(prompt=prompt, answer=answer, status="ok", **values)


def test_a_prompt_has_its_options_and_no_field_without_a_value():
    prompt = compose("echo", "hello", system="Brief", timeout=9, temperature=0, max_tokens=None)

    assert (prompt.agent, prompt.text, prompt.timeout) == ("echo", "hello", 9.0)
    assert prompt.history == (Message("system", "Brief"),)
    assert prompt.options == {"temperature": 0}
    assert prompt.stream


@pytest.mark.parametrize("name", ["model", "messages", "input", "message", "apiIntegrationId"])
def test_a_field_that_the_prompt_sets_is_refused(name):
    with pytest.raises(ConfigurationError, match=f"{name} is not yours to set"):
        compose("echo", "hello", **{name: "x"})
    with pytest.raises(ConfigurationError, match=f"{name} is not yours to set"):
        compose("echo", "hello", fields={name: "x"})


@pytest.mark.parametrize("given", [{"text": 5}, {"system": b"x"}])
def test_a_prompt_that_is_no_text_is_refused(given):
    with pytest.raises(PromptError, match="must be text, not"):
        compose("echo", **{"text": "hello", **given})


@pytest.mark.parametrize("files", ["report.pdf", b"1", 5])
def test_files_that_are_no_list_are_refused(files):
    with pytest.raises(PromptError, match="files must be a list"):
        load_files(files)


@pytest.mark.parametrize(("limit", "kept"), [(0, 3), (1, 0), (2, 1), (5, 2), (6, 3)])
def test_the_oldest_turns_beyond_the_limit_of_tokens_are_left_out(limit, kept):
    turns = [turn("abcd", "efgh", number=n) for n in range(3)]

    assert newest_within(turns, limit) == turns[3 - kept :]


def test_an_earlier_turn_is_two_messages_and_secrets_in_it_are_masked():
    secret = "sk-0123456789abcdef"
    turns = [turn("one", "1"), turn("nothing", ""), turn(f"it is {secret}", "2")]

    messages = list(history_messages(turns, [Secret(secret)]))

    assert [message.role for message in messages] == ["user", "assistant"] * 2
    assert [message.text for message in messages] == ["one", "1", "it is ••••", "2"]


def test_a_replayed_conversation_is_one_text():
    history = tuple(history_messages([turn("one", "two")], []))

    text = replayed_text(Prompt("echo", "three", history=history))

    assert text == "Our conversation so far:\n\nI: one\n\nYou: two\n\nI: three"


@pytest.mark.parametrize(
    ("dialect", "remark"),
    [
        ("chat", "another chat conversation, which knows none before"),
        ("agencii", "an agencii conversation, which knows none before"),
        ("widget", "a widget conversation, which knows none before"),
    ],
)
def test_the_footer_remarks_that_a_service_starts_without_the_earlier_turns(dialect, remark):
    earlier = [turn("one", "1", dialect="chat", agent="echo")]

    assert fork_remark(earlier, dialect, "echo") == remark
