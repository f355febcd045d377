"""The Agencii dialect: its requests and answers byte by byte, and through the sandbox."""

import json

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.prompts.prompt import ALIAS_PREFIX, Prompt
from swiftask_jupyter.protocols.agencii import Agencii
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.settings.secrets import Secret
from tests.support.cells import posts
from tests.support.dialects import agencii_client, splits


@pytest.fixture
def protocol():
    return Agencii("https://host", Secret("s3cr3t"))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ({}, {}),
        ({"alias": f"{ALIAS_PREFIX}1"}, {"aliasChatId": f"{ALIAS_PREFIX}1"}),
        ({"alias": f"{ALIAS_PREFIX}1", "conversation": "chat-1"}, {"chatId": "chat-1"}),
        ({"conversation": f"{ALIAS_PREFIX}1"}, {"aliasChatId": f"{ALIAS_PREFIX}1"}),
    ],
)
def test_a_request_continues_the_chat_by_its_id_or_by_our_alias(protocol, ids, expected):
    request = protocol.request(Prompt("integration-1", "now", **ids))

    assert request.url == "https://host/get_completion"
    assert json.loads(request.content) == {
        "message": "now", "apiIntegrationId": "integration-1", **expected,
    }  # fmt: skip


def test_a_plain_text_answer_is_decoded_the_same_wherever_it_is_split(protocol):
    head = ResponseHead(200, {"content-type": "text/plain; charset=utf-8"})

    for pieces in splits("Hé 🎉!".encode()):
        decoder, reply = protocol.decoder(head), Reply(agent="a")
        for piece in pieces:
            reply.apply(decoder.feed(piece))
        reply.apply(decoder.finish())
        assert reply.text == "Hé 🎉!"


def test_a_chat_is_continued_by_the_services_id(agencii, box):
    first = agencii.session().ask("one")
    second = agencii.session().ask("two")

    bodies = [seen.json for seen in posts(box)]
    assert "aliasChatId" in bodies[0]
    assert bodies[1]["chatId"] == first.raw["chatId"]
    assert '"one"' in second.text
    assert {"threadId", "assistantId", "numMessages"} <= first.raw.keys()


def test_a_chat_with_plain_text_answers_is_continued_by_our_alias(box):
    with agencii_client(box, text_only=True) as client:
        client.session().ask("one")
        second = client.session().ask("twö 🎉")

    bodies = [seen.json for seen in posts(box)]
    assert bodies[0]["aliasChatId"] == bodies[1]["aliasChatId"]
    assert '"one"' in second.text


def test_the_routes_new_name_is_tried_once_if_the_old_one_is_not_found(agencii, box):
    box.fail(Fault(status=404), path="/get_completion", times=None)

    agencii.ask("one")

    assert [seen.path for seen in posts(box)] == ["/get_completion", "/get_response"]


def test_instructions_and_attachments_are_sent_unchanged(agencii, box):
    attached = [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]

    agencii.ask("one", additionalInstructions="be brief", attachments=attached)

    body = posts(box)[0].json
    assert (body["additionalInstructions"], body["attachments"]) == ("be brief", attached)


def test_an_unknown_integration_is_a_bad_request(agencii):
    with pytest.raises(errors.BadRequest):
        agencii.ask("one", "no-such-integration")
