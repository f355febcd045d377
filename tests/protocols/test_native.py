"""The native dialect, byte by byte."""

import json

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.prompts.prompt import Message, Prompt
from swiftask_jupyter.protocols.base import plausible_usage
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.protocols.native import Native
from swiftask_jupyter.settings.secrets import Secret

JSON = ResponseHead(200, {"content-type": "application/json"})
# As the API introduction prints it.
DOCUMENTED = {
    "text": "Agent response here",
    "botId": 123,
    "botSlug": "agent-slug",
    "sessionId": 1001,
    "totalBotUsage": 45,
    "files": [],
    "isBotError": False,
    "tokenUsage": {"inputTokens": 150, "outputTokens": 300, "totalTokens": 450},
}
# As the older document names the fields.
DOLLARS = {
    "$text": "Agent response here",
    "$botSlug": "agent-slug",
    "$files": [],
    "$additionalMessages": [],
    "$isBotError": False,
    "$sessionId": 1001,
    "$totalBotUsage": 45,
    "$usageDetail": {"totalInputTokens": 150, "totalOutputTokens": 300},
    "$isSubscriptionUsageLimitReachedMessage": False,
    "$sourceMetadatas": [],
}


@pytest.fixture
def protocol():
    return Native("https://host/api", Secret("s3cr3t"))


def read(protocol, *pieces, head=JSON):
    decoder, reply = protocol.decoder(head), Reply(agent="a")
    for piece in pieces:
        reply.apply(decoder.feed(piece))
    reply.apply(decoder.finish())
    return reply


@pytest.mark.parametrize("answer", [DOCUMENTED, DOLLARS], ids=["documented", "dollars"])
def test_a_documented_answer_reads_the_same_wherever_it_is_cut(protocol, answer):
    body = json.dumps(answer).encode()
    for at in range(len(body)):
        reply = read(protocol, body[:at], body[at:])
        usage = reply.usage

        assert (reply.text, reply.conversation) == ("Agent response here", 1001)
        assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (150, 300, 450)
        assert (usage.credits, usage.source) == (45, "api")
        assert reply.raw["botSlug"] == "agent-slug"


def test_the_smallest_answer_is_enough(protocol):
    reply = read(protocol, b'{"text": "hi"}')

    assert (reply.text, reply.usage.source, reply.conversation) == ("hi", "none", None)


@pytest.mark.parametrize(
    "odd",
    [
        {"tokenUsage": None, "usageDetail": "?"},
        {"tokenUsage": {"inputTokens": "many", "outputTokens": True, "totalTokens": -1}},
        {"tokenUsage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}},
        {"totalBotUsage": "45", "sessionId": None},
        {"files": None, "sessionId": ""},
    ],
)
def test_fields_of_another_shape_are_no_numbers(protocol, odd):
    reply = read(protocol, json.dumps({"text": "hi", **odd}).encode())

    assert reply.text == "hi"
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (None, None)
    assert (reply.usage.credits, reply.conversation) == (None, None)


def test_a_count_that_is_null_is_looked_for_under_its_other_name(protocol):
    counts = {
        "tokenUsage": {"inputTokens": None, "outputTokens": 5, "totalTokens": None},
        "usageDetail": {"totalInputTokens": 7, "totalOutputTokens": 9},
    }
    usage = read(protocol, json.dumps({"text": "hi", **counts}).encode()).usage

    assert (usage.input_tokens, usage.output_tokens) == (7, 5)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"text": "Voice 'X' not found", "isBotError": True, "files": []}, errors.ServiceError),
        ({"$text": "out s3cr3t", "$isBotError": True}, errors.ServiceError),
        ({"text": "limit", "isSubscriptionUsageLimitReachedMessage": True}, errors.RateLimited),
        ({"error": "Unauthorized s3cr3t"}, errors.ServiceError),
        ({"error": {"message": "no"}, "text": "x"}, errors.ServiceError),
    ],
)
def test_a_failure_dressed_as_success_is_a_failure(protocol, body, kind):
    with pytest.raises(kind) as caught:
        read(protocol, json.dumps(body).encode())
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b"{", b"\xff"])
def test_what_is_no_json_object_is_an_error(protocol, body):
    with pytest.raises(errors.StreamError, match="not a JSON object"):
        read(protocol, body)


def test_the_request_is_the_documented_one(protocol):
    prompt = Prompt(
        "my agent/1",
        "now",
        (Message("user", "then"),),
        12345,
        options={"documentAnalysisMode": "SIMPLE"},
    )

    request = protocol.request(prompt)

    assert request.url == "https://host/api/ai/my%20agent%2F1"
    assert request.headers["Authorization"] == "Bearer s3cr3t"
    assert json.loads(request.content) == {
        "input": "now",
        "sessionId": 12345,
        "messageHistory": [{"role": "user", "content": "then"}],
        "documentAnalysisMode": "SIMPLE",
    }


def test_what_is_not_known_is_left_out(protocol):
    assert json.loads(protocol.request(Prompt("a", "now")).content) == {"input": "now"}


@pytest.mark.parametrize("said", ["sessionId must be a string", '"sessionId" is no number'])
def test_a_session_id_of_the_wrong_type_is_sent_as_the_other_once(protocol, said):
    error = errors.BadRequest(said, status=400)

    second = protocol.fallback(error)

    assert json.loads(second.request(Prompt("a", "x", conversation=7)).content)["sessionId"] == "7"
    assert second.fallback(error) is None


def test_another_refusal_has_no_second_try(protocol):
    assert protocol.fallback(errors.BadRequest('"x" is not allowed', status=400)) is None
    assert protocol.fallback(errors.ServiceUnavailable("session number", status=500)) is None


def test_a_total_that_is_no_sum_is_kept_under_its_own_name():
    usage = plausible_usage(10, 20, 7744, source="api", has_text=True)

    assert (usage.total_tokens, usage.reported_total) == (30, 7744)
