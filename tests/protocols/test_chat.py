"""The chat dialect: its requests and answers byte by byte, and through the sandbox."""

import json

import pytest

from swiftask_jupyter import Delta, errors
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.chat import Chat
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.settings.secrets import Secret
from tests.support.cells import posts
from tests.support.dialects import splits

STREAM = ResponseHead(200, {"content-type": "text/event-stream", "x-ratelimit-limit": "9"})


@pytest.fixture
def protocol():
    return Chat("https://host/v1/api", Secret("s3cr3t"))


def decode(protocol, pieces, head=STREAM):
    decoder, reply = protocol.decoder(head), Reply(agent="a")
    for piece in pieces:
        reply.apply(decoder.feed(piece))
    reply.apply(decoder.finish())
    return reply


def test_a_request_streams_only_in_a_conversation_that_the_service_has_named(protocol):
    first = protocol.request(Prompt("my agent", "now"))
    second = protocol.request(Prompt("my agent", "now", conversation="conv_1"))

    assert first.url == "https://host/v1/api/chat/my%20agent"
    assert first.headers["Authorization"] == "Bearer s3cr3t"
    assert json.loads(first.content) == {"message": "now", "stream": False}
    assert json.loads(second.content) == {
        "message": "now", "stream": True, "conversationId": "conv_1",
    }  # fmt: skip


def test_a_stream_is_decoded_the_same_wherever_it_is_split(protocol):
    data = 'data: {"chunk": "Été "}\ndata: {"chunk": "🎉", "conversationId": "c"}\ndata: [DONE]\n'

    for pieces in splits(data.encode()):
        reply = decode(protocol, pieces)
        assert (reply.text, reply.conversation) == ("Été 🎉", "c")
        assert reply.raw == {"limits": {"x-ratelimit-limit": "9"}}


def test_a_stream_without_its_end_is_an_error(protocol):
    with pytest.raises(errors.StreamError, match="cut"):
        decode(protocol, [b'data: {"chunk": "half"}\n'])


def test_the_first_answer_of_a_conversation_is_not_streamed_and_later_ones_are(chat, box):
    chat.session().ask("one")
    events = list(chat.session().stream("two"))

    first, second = (seen.json for seen in posts(box))
    assert (first["stream"], "conversationId" in first) == (False, False)
    assert (second["stream"], second["conversationId"][:5]) == (True, "conv_")
    text = "".join(event.text for event in events if isinstance(event, Delta))
    assert '"one"' in text  # the service stores the conversation
    assert '"two"' in text


def test_a_footer_says_why_a_first_answer_is_not_streamed(chat):
    conversation = chat.session()

    first, second = conversation.ask("one"), conversation.ask("two")

    assert first.reply.remarks == ["chat streams from a conversation's second turn on"]
    assert second.reply.remarks == []
    assert conversation.ask("three", fresh=True, stream=False).reply.remarks == []


def test_a_conversation_id_in_a_stream_is_read(chat, box):
    chat.session().ask("one")
    box.fail(Fault(conversation_id_in="chunk"))
    stream = chat.session().stream("two")
    list(stream)

    assert stream.reply.conversation == posts(box)[1].json["conversationId"]


def test_an_answer_reports_one_total_and_the_rate_limit(chat):
    answer = chat.ask("one")

    assert answer.usage.reported_total > 0
    assert answer.usage.input_tokens is None
    assert answer.raw["limits"]["x-ratelimit-limit"] == "1000"
    assert answer.raw["metadata"]["model"]


def test_the_user_identifier_is_sent_as_a_header(chat, box):
    chat.ask("one", user_identifier="ada@example.org")

    assert posts(box)[0].headers["x-user-identifier"] == "ada@example.org"
    assert "user_identifier" not in posts(box)[0].json


def test_an_error_object_is_read(chat):
    with pytest.raises(errors.AgentNotFound, match="Agent with slug 'nobody' not found"):
        chat.ask("one", "nobody")
