"""`auto` chooses the dialect that an agent and a token need, against the real sandbox."""

import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault


def asked(box):
    return [seen.path for seen in box.requests if seen.method == "POST"]


def test_a_chat_agent_is_streamed(auto, box):
    auto.ask("hello", "echo")

    assert asked(box) == ["/v1/chat/completions"]
    assert list(auto.usage()["dialect"]) == ["openai"]


def test_an_agent_that_is_no_chat_agent_is_asked_natively(auto, box):
    answer = auto.ask("a red cat", "image")

    assert asked(box) == ["/api/ai/image"]
    assert answer.raw["files"][0]["url"].startswith("http")
    assert list(auto.usage()["dialect"]) == ["native"]


def test_what_only_the_native_api_takes_is_sent_there(auto, box):
    auto.ask("hello", "echo", documentAnalysisMode="ADVANCED")

    assert asked(box) == ["/api/ai/echo"]
    assert box.requests[-1].json["documentAnalysisMode"] == "ADVANCED"


def test_a_token_that_v1_refuses_is_tried_natively_once_and_that_is_remembered(box):
    token = box.client_token("echo")
    with Swiftask(base_url=box.url, token=token) as client:
        first, second = client.ask("one", "echo"), client.ask("two", "echo")
        usage = client.usage()

    assert (first.text, second.text) == ("one", "two")
    assert asked(box) == ["/v1/chat/completions", "/api/ai/echo", "/api/ai/echo"]
    assert list(usage["dialect"]) == ["native", "native"]
    assert list(usage["status"]) == ["ok", "ok"]


def test_a_token_that_both_refuse_is_one_error_and_is_not_remembered(box):
    with Swiftask(base_url=box.url, token="wr0ng") as client:
        for _ in range(2):
            with pytest.raises(errors.Unauthorized):
                client.ask("one", "echo")

    assert asked(box) == ["/v1/chat/completions", "/api/ai/echo"] * 2


def test_a_private_agent_that_the_catalogue_does_not_list_may_be_asked(auto, box):
    with pytest.raises(errors.AgentNotFound):
        auto.ask("hello", "private")

    assert asked(box) == ["/v1/chat/completions"]


@pytest.mark.parametrize("dialect", ["openai", "native"])
def test_a_named_dialect_is_spoken_whatever_the_agent(auto, box, dialect):
    auto.ask("hello", "echo", dialect=dialect)

    assert [seen.path for seen in box.requests] == asked(box)
    assert list(auto.usage()["dialect"]) == [dialect]


def test_the_native_conversation_goes_on_under_the_services_own_id(auto, box):
    auto.session().ask("one", "echo", dialect="native")
    auto.session().ask("two", "echo", dialect="native")

    first, second = [seen.json for seen in box.requests]
    assert "sessionId" not in first
    assert isinstance(second["sessionId"], int)


def test_a_deployment_that_wants_a_string_gets_one_on_a_second_try(auto, box):
    auto.session().ask("one", "echo", dialect="native")
    box.fail(Fault(session_type="string"), times=None)

    auto.session().ask("two", "echo", dialect="native")

    kinds = [type(seen.json.get("sessionId")) for seen in box.requests]
    assert kinds == [type(None), int, str]


@pytest.mark.parametrize(
    "fault", [Fault(soft_error=True), Fault(limit_reached=True)], ids=["soft", "limit"]
)
def test_a_soft_error_is_an_error_and_a_row(auto, box, fault):
    box.fail(fault)

    with pytest.raises(errors.ServiceError):
        auto.ask("hello", "echo", dialect="native")
    assert list(auto.usage()["status"]) == ["error"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(dollar_keys=True),
        Fault(usage_shape="usageDetail", usage="counted"),
        Fault(usage_shape="both", usage="counted"),
    ],
    ids=["dollars", "detail", "both"],
)
def test_every_documented_shape_of_an_answer_is_read(auto, box, fault):
    box.fail(fault)

    assert auto.ask("hello there", "echo", dialect="native").text == "hello there"


def test_credits_are_kept_as_they_came(auto):
    answer = auto.ask("hello", "echo", dialect="native")

    assert answer.usage.credits > 0
    assert list(auto.usage()["credits"]) == [answer.usage.credits]


def test_what_native_can_not_take_leaves_the_refusal_as_the_reason(box):
    with Swiftask(base_url=box.url, token=box.client_token("echo")) as client:
        for _ in range(2):
            with pytest.raises(errors.Unauthorized):
                client.ask("one", "echo", stateless=True)

    assert asked(box) == ["/v1/chat/completions"] * 2


def test_the_widget_takes_no_system_message(box):
    to = {"base_url": box.url, "token": box.client_token("echo"), "dialect": "widget"}
    with (
        Swiftask(**to) as client,
        pytest.raises(errors.PromptError, match="takes no system message"),
    ):
        client.ask("one", "echo", system="Be terse.")
    assert asked(box) == []


def test_a_refusal_is_not_part_of_the_services_conversation(box):
    with Swiftask(base_url=box.url, token=box.token, dialect="chat", agent="echo") as client:
        talk = client.session()
        first = talk.ask("one")
        box.fail(Fault(status=429, headers={"Retry-After": "60"}))
        with pytest.raises(errors.RateLimited):
            talk.ask("two")
        third = talk.ask("three")

    assert third.reply.conversation == first.reply.conversation


def test_a_draft_lists_only_what_is_sent(box):
    with Swiftask(base_url=box.url, token=box.token, dialect="chat", agent="echo") as client:
        talk = client.session()
        talk.ask("one")
        draft = talk.dry_run("two")

    assert [(each.role, each.text) for each in draft.messages] == [("user", "two")]


@pytest.mark.parametrize(
    ("dialect", "path"), [("openai", "/v1/chat/completions"), ("native", "/api/ai/echo")]
)
def test_an_agent_that_is_in_the_catalogue_is_not_proposed_in_its_own_place(box, dialect, path):
    box.fail(Fault(status=404), path=path)
    with (
        Swiftask(base_url=box.url, token=box.token, dialect=dialect) as client,
        pytest.raises(errors.AgentNotFound) as caught,
    ):
        client.ask("hello", "echo")

    assert "did you mean" not in str(caught.value)
