"""The widget dialect: its requests, and its routes through the sandbox."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.widget import NEGATIVE, Widget
from swiftask_jupyter.settings.secrets import Secret
from tests.support.cells import posts


@pytest.fixture
def protocol():
    return Widget("https://host/api", Secret("cl1ent-t0ken"))


def test_a_prompt_carries_the_client_token_in_the_query_and_our_session_id(protocol):
    request = protocol.request(Prompt("ignored", "now", alias="ours"))

    assert urlsplit(request.url).path == "/api/widget/ai"
    assert parse_qs(urlsplit(request.url).query) == {"clientToken": ["cl1ent-t0ken"]}
    assert "Authorization" not in request.headers
    assert json.loads(request.content) == {"input": "now", "sessionId": "ours"}


def test_a_message_is_rated_without_a_token_as_documented(protocol):
    request = protocol.like(7, NEGATIVE)

    assert request.url == "https://host/api/widget/like-dislike"
    assert json.loads(request.content) == {"messageId": 7, "feedback": "NEGATIVE"}


def test_a_conversation_keeps_the_session_id_that_we_chose(widget, box):
    assert widget.session().ask("one").text == "one"
    widget.session().ask("two")

    first, second = posts(box)
    assert "authorization" not in first.headers
    assert isinstance(first.json["sessionId"], str)
    assert str(first.json["sessionId"]) == str(second.json["sessionId"])


def test_no_error_shows_the_client_token_of_a_url():
    with Swiftask(base_url="http://127.0.0.1:9", token="cl1ent-t0ken-value", agent="a") as client:
        with pytest.raises(errors.ConnectionFailed) as asked:
            client.ask("hello", dialect="widget")
        with pytest.raises(errors.ConnectionFailed) as config:
            client.widget.config()

    assert "cl1ent-t0ken-value" not in f"{asked.value}{config.value}"
