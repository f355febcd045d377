"""A dry run from Python: the request as it would be sent."""

import json

import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from tests.support.cells import posts


def test_a_preview_has_the_parts_of_the_request(client, box):
    draft = client.dry_run("hello", dialect="auto", temperature=0.5)

    assert (draft.method, draft.dialect) == ("POST", "openai")
    assert draft.url == f"{box.url}/v1/chat/completions"
    assert draft.headers["Authorization"] == "Bearer ••••"
    assert draft.body["temperature"] == 0.5
    assert [(said.role, said.text) for said in draft.messages] == [("user", "hello")]
    assert 0 < draft.tokens < 10
    assert "should the catalogue not call it a chat agent" in draft.note
    assert box.requests == []


def test_the_preview_is_what_ask_sends(client, box):
    draft = client.dry_run("hello", dialect="openai", temperature=0.5, system="Brief")
    client.ask("hello", dialect="openai", temperature=0.5, system="Brief")

    assert posts(box)[0].json == draft.body
    assert posts(box)[0].path == draft.url.removeprefix(box.url)


def test_the_preview_in_a_conversation_has_the_earlier_turns(client, box):
    conversation = client.session()
    conversation.ask("one")
    asked = len(box.requests)

    draft = conversation.dry_run("two")

    assert [said.text for said in draft.messages] == ["one", "one", "two"]
    assert len(box.requests) == asked
    assert [each.prompt for each in conversation.history()] == ["one"]


def test_the_preview_shows_what_the_agents_last_calls_cost(client):
    for _ in range(2):
        client.ask("hello", dialect="native")

    draft = client.dry_run("hello")

    assert len(draft.calls) == 2
    assert draft.calls[0].credits > 0
    assert "last 2 calls of this agent" in str(draft)
    assert "credits" in str(draft)


def test_cached_and_imported_answers_are_not_among_the_last_calls(client, tmp_path):
    session = client.session()
    spent = session.ask("hello", dialect="native").usage.credits
    file = session.export(tmp_path / "talk.json")
    client.session("second").import_file(file)
    for _ in range(2):
        client.ask("hello", dialect="native", cache="on")

    calls = client.dry_run("hello").calls

    assert [call.credits for call in calls] == [spent]


def test_the_preview_uses_the_catalogue_if_it_is_known(client, box):
    client.agents()

    assert client.dry_run("a cat", "image", dialect="auto").dialect == "native"
    assert client.dry_run("hello", "echo", dialect="auto").note == ""


def test_a_client_token_in_a_url_is_masked(box):
    token = box.client_token("echo")
    with Swiftask(base_url=box.url, token=token, agent="echo", dialect="widget") as client:
        draft = client.dry_run("hello")

    assert token not in f"{draft}{draft!r}{draft.url}{draft.headers}"
    assert "clientToken=••••" in draft.url


def test_a_long_message_is_printed_in_part_and_kept_whole(client):
    draft = client.dry_run("x" * 10_000)

    assert "8000 characters more" in str(draft)
    assert len(draft.messages[0].text) == 10_000


def test_control_characters_are_replaced_by_visible_marks(client):
    assert "\x1b" not in str(client.dry_run("\x1b[31mred"))


def test_a_prompt_that_ask_refuses_is_refused_in_a_dry_run(client, box):
    with pytest.raises(errors.PromptError, match="empty"):
        client.dry_run(" ")
    with pytest.raises(errors.PromptError, match="takes no files"):
        client.dry_run("hello", dialect="openai", files=[("a.txt", b"1")])
    assert box.requests == []


def test_files_of_every_kind_are_listed(client):
    frame = pd.DataFrame({"a": [1]})

    shown = str(client.dry_run("look", files=["https://example.org/a.pdf", frame], dialect="auto"))

    assert "a.pdf  application/pdf  not looked at" in shown
    assert "table.csv  text/csv  7 bytes" in shown


def test_the_body_of_the_preview_is_json(client):
    assert json.dumps(client.dry_run("hello").body)
