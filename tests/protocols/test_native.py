"""The native dialect: its requests and answers byte by byte."""

import json

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.prompts.prompt import Message, Prompt
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


def decode(protocol, *pieces, head=JSON):
    decoder, reply = protocol.decoder(head), Reply(agent="a")
    for piece in pieces:
        reply.apply(decoder.feed(piece))
    reply.apply(decoder.finish())
    return reply


@pytest.mark.parametrize("answer", [DOCUMENTED, DOLLARS], ids=["documented", "dollars"])
def test_a_documented_answer_is_decoded_the_same_wherever_it_is_split(protocol, answer):
    body = json.dumps(answer).encode()
    for at in range(len(body)):
        reply = decode(protocol, body[:at], body[at:])
        usage = reply.usage

        assert (reply.text, reply.conversation) == ("Agent response here", 1001)
        assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (150, 300, 450)
        assert (usage.credits, usage.source) == (45, "api")
        assert reply.raw["botSlug"] == "agent-slug"


def test_an_answer_with_text_alone_is_complete(protocol):
    reply = decode(protocol, b'{"text": "hi"}')

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
def test_fields_of_an_unexpected_type_count_as_missing(protocol, odd):
    reply = decode(protocol, json.dumps({"text": "hi", **odd}).encode())

    assert reply.text == "hi"
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (None, None)
    assert (reply.usage.credits, reply.conversation) == (None, None)


def test_a_count_that_is_null_is_read_under_its_other_name(protocol):
    counts = {
        "tokenUsage": {"inputTokens": None, "outputTokens": 5, "totalTokens": None},
        "usageDetail": {"totalInputTokens": 7, "totalOutputTokens": 9},
    }
    usage = decode(protocol, json.dumps({"text": "hi", **counts}).encode()).usage

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
def test_a_failure_with_a_successful_status_is_an_error(protocol, body, kind):
    with pytest.raises(kind) as caught:
        decode(protocol, json.dumps(body).encode())
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b"{", b"\xff"])
def test_a_body_that_is_no_json_object_is_an_error(protocol, body):
    with pytest.raises(errors.StreamError, match="not a JSON object"):
        decode(protocol, body)


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


def test_an_unknown_session_id_is_left_out_of_the_request(protocol):
    assert json.loads(protocol.request(Prompt("a", "now")).content) == {"input": "now"}


@pytest.mark.parametrize("message", ["sessionId must be a string", '"sessionId" is no number'])
def test_a_session_id_of_a_rejected_type_is_sent_as_a_string_once(protocol, message):
    error = errors.BadRequest(message, status=400)

    second = protocol.fallback(error)

    assert json.loads(second.request(Prompt("a", "x", conversation=7)).content)["sessionId"] == "7"
    assert second.fallback(error) is None


def test_other_errors_have_no_fallback(protocol):
    assert protocol.fallback(errors.BadRequest('"x" is not allowed', status=400)) is None
    assert protocol.fallback(errors.ServiceUnavailable("session number", status=500)) is None
