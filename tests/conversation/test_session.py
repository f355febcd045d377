"""The notebook is the conversation: what each request holds, and what is remembered."""

import json
import socket
import time

import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.answers.turn import Delta, Raw, Reply, new_id
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox
from swiftask_jupyter.settings.secrets import MASK
from swiftask_jupyter.support.structs import replace
from tests.support.notebooks import Page, ask_from


def posts(box):
    return [seen for seen in box.requests if seen.method == "POST"]


def test_a_cell_knows_the_cells_above_it(page):
    page.run("c1", "one")
    page.run("c2", "two")
    page.run("c3", "three")

    assert page.sent() == ["one", "two", "three"]


def test_a_rerun_replaces_its_turn_and_is_sent_what_stood_before_it(page):
    page.run("c1", "one")
    page.run("c2", "two")
    page.run("c1", "ONE")
    assert page.sent() == ["ONE"]
    page.run("c5", "five")
    assert page.sent() == ["ONE", "two", "five"]
    page.run("c2", "TWO")
    assert page.sent() == ["ONE", "TWO"]

    assert page.held() == ["ONE", "TWO", "five"]


def test_later_answers_are_kept_and_said_to_be_stale(page):
    page.run("c1", "one")
    page.run("c2", "two")
    page.run("c3", "three")

    answer = page.run("c1", "ONE")

    assert answer.reply.remarks == ["2 later answers predate this"]
    assert page.stale() == ["two", "three"]
    assert page.run("c2", "two").reply.remarks == ["1 later answer predates this"]
    page.run("c3", "three")
    assert page.stale() == []


def test_a_rerun_that_says_the_same_makes_nothing_stale(page):
    page.run("c1", "one")
    page.run("c2", "two")

    again = page.run("c1", "one")

    assert again.reply.remarks == []
    assert page.stale() == []


def test_equal_turns_are_all_kept(page):
    for cell in ("c1", "c2", "c3"):
        page.run(cell, "yes")

    assert page.sent() == ["yes"] * 3


def test_a_failed_and_an_interrupted_turn_are_counted_and_never_sent(page, box):
    page.run("c1", "one")
    box.fail(Fault(status=400))
    with pytest.raises(errors.BadRequest):
        page.run("c2", "two")
    with page.client.session().stream("three", "slow") as stream:
        next(iter(stream))
    page.run("c4", "four")

    assert page.sent() == ["one", "four"]
    assert list(page.client.usage()["status"]) == ["ok", "error", "interrupted", "ok"]


def test_a_rerun_that_fails_takes_nothing_away(page, box):
    page.run("c1", "one")
    box.fail(Fault(status=400))
    with pytest.raises(errors.BadRequest):
        page.run("c1", "ONE")
    page.run("c2", "two")

    assert page.sent() == ["one", "two"]


def test_a_cell_that_asks_twice_holds_both_and_a_rerun_replaces_both(page):
    def run_twice(first, second):
        page.cell, page.runs = "c1", page.runs + 1
        page.client.session().ask(first)
        page.client.session().ask(second)
        page.cell = None

    run_twice("a", "b")
    page.run("c2", "two")
    run_twice("A", "B")

    assert page.sent() == ["A", "B"]
    assert page.held() == ["A", "B", "two"]


def test_without_cell_ids_each_turn_is_added_at_the_end(page):
    page.run(None, "one")
    page.run(None, "two")
    page.run(None, "one")

    assert page.sent() == ["one", "two", "one"]


def test_the_saved_notebook_gives_the_order(page):
    page.run("c1", "one")
    page.run("c2", "two")
    page.save(["new", "c2", "c1"])

    page.run("new", "zero")

    assert page.sent() == ["zero"]
    assert page.held() == ["zero", "two", "one"]


def test_a_cell_that_is_not_saved_yet_comes_after_what_was_said_before_it(page):
    page.save(["c1", "c2"], later=-60)
    page.run("c2", "two")
    page.run("unsaved", "three")
    page.run("c1", "one")

    assert page.held() == ["one", "two", "three"]


def test_a_cell_the_notebook_was_saved_without_leaves_the_history_and_not_the_ledger(page):
    page.run("c1", "one")
    page.run("c2", "two")
    page.save(["c2", "c3"])

    page.run("c3", "three")

    assert page.sent() == ["two", "three"]
    assert len(page.client.usage()) == 3


def test_what_a_python_turn_said_stays_where_it_was_said(page):
    page.run("c1", "one")
    page.client.session().ask("between")
    page.run("c3", "three")
    page.save(["c1", "c3"])

    assert page.held() == ["one", "between", "three"]


def test_an_inserted_cell_and_run_all_send_what_a_fresh_notebook_sends(page, box, tmp_path):
    page.run("c1", "one")
    page.run("c2", "two")
    page.save(["c1", "new", "c2"])
    page.restart()
    fresh = Page(box, tmp_path / "fresh.ipynb")

    for cell, text in (("c1", "one"), ("new", "1.5"), ("c2", "two")):
        page.run(cell, text)
        again = page.sent()
        fresh.run(cell, text)
        assert fresh.sent() == again
    fresh.close()


def test_fresh_sends_nothing_and_is_remembered(page):
    page.run("c1", "one")
    page.run("c2", "two", fresh=True)
    assert page.sent() == ["two"]
    page.run("c1", "ONE")
    page.run("c3", "three")

    assert page.sent() == ["ONE", "two", "three"]
    assert page.stale() == []


def test_without_history_a_turn_is_neither_sent_along_nor_remembered(page):
    page.run("c1", "one")
    page.run("c2", "two", history=False)
    assert page.sent() == ["two"]
    page.run("c3", "three")

    assert page.sent() == ["one", "three"]


def test_last_sends_only_so_many_turns(page):
    for number in range(5):
        page.run(f"c{number}", f"{number}")
    page.run("c5", "5", last=2)
    assert page.sent() == ["3", "4", "5"]
    page.run("c6", "6", last=0)

    assert page.sent() == ["6"]
    for wrong in (-1, "2"):
        with pytest.raises(errors.ConfigurationError, match="--last"):
            page.run("c7", "7", last=wrong)


def test_a_limit_leaves_the_oldest_whole_turns_out_and_says_so(page):
    for number in range(4):
        page.run(f"c{number}", f"{number}" * 400)  # some 200 tokens with its echo
    page.client.runtime.history_limit = 500

    answer = page.run("c4", "last")

    assert page.sent() == ["2" * 400, "3" * 400, "last"]
    assert answer.reply.remarks == ["2 earlier turns not sent"]


def test_a_second_conversation_is_its_own(page):
    page.run("c1", "one")
    page.run("c2", "two", session="other")
    assert page.sent() == ["two"]
    page.restart()
    page.run("c3", "three", session="other")

    assert page.sent() == ["two", "three"]
    assert page.client.sessions() == ["main", "other"]


def test_a_system_message_stands_before_the_history(page, box):
    page.run("c1", "one")
    page.run("c2", "two", system="Be brief.")

    roles = [each["role"] for each in box.requests[-1].json["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_numbers_in_the_footer_name_turns_for_good(page):
    numbers = [page.run(cell, cell).reply.number for cell in ("c1", "c2", "c1")]
    page.restart()

    assert [*numbers, page.run("c3", "c3").reply.number] == [1, 2, 3, 4]
    assert [each.number for each in page.client.session().history()] == [3, 2, 4]


def test_a_ledger_that_can_not_be_used_hides_nothing_and_ends_the_turn(box, tmp_path):
    ledger = tmp_path / "other.db"
    ledger.write_text("my notes " * 1000)
    with (
        Swiftask(base_url=box.url, agent="echo", store=ledger) as client,
        pytest.raises(errors.ConfigurationError, match="no token"),
    ):
        client.ask("hello")
    ledger.unlink()
    with Swiftask(base_url=box.url, token=box.token, agent="echo", store=ledger) as client:
        stream = client.stream("hello")
        client.runtime.ledger.close()
        ledger.write_text("my notes " * 1000)

        with pytest.raises(errors.StoreError, match="not a database"):
            stream.answer  # noqa: B018 - reading it is what asks

    assert stream.reply.status == "error"
    assert "not a database" in stream.reply.error
    assert box.requests == []


def test_what_has_become_a_token_since_it_was_said_is_masked_where_it_is_sent_along(page):
    with Sandbox() as other:
        page.run("c1", f"is {other.token} a key?")
        page.client.connections.overrides = replace(
            page.client.connections.overrides, base_url=other.url, token=other.token
        )
        page.box, ours = other, page.box
        page.run("c2", "two")
        assert page.sent() == [f"is {MASK} a key?", "two"]
        page.client.connections.overrides = replace(
            page.client.connections.overrides, base_url=ours.url, token=ours.token
        )
        page.box = ours
        page.run("c3", "three")

    assert page.sent() == [f"is {MASK} a key?", "two", "three"]
    assert other.token not in str(ours.requests[-1].json)


def test_an_answer_of_files_is_told_by_where_they_lie(page, box):
    answer = page.run("c1", "a cat", "image", dialect="native")
    page.run("c2", "another", "echo", dialect="native")

    history = box.requests[-1].json["messageHistory"]
    assert [each["content"] for each in history] == ["a cat", answer.files[0]["url"]]


# Services that keep the conversation themselves


@pytest.fixture
def chat(box, tmp_path):
    page = Page(box, tmp_path / "chat.ipynb", agent="mirror", dialect="chat")
    yield page
    page.close()


def known(answer):
    """What the mirror saw: all that the service told it was said."""
    return [each["content"] for each in json.loads(answer.text) if each["role"] == "user"]


def test_a_kept_conversation_goes_on_over_a_restart(chat):
    chat.run("c1", "one")
    chat.restart()

    answer = chat.run("c2", "two")

    assert known(answer) == ["one", "two"]
    assert answer.reply.remarks == []


def test_a_rerun_begins_another_conversation_there_and_says_so(chat):
    chat.run("c1", "one")
    chat.run("c2", "two")

    again = chat.run("c2", "TWO")
    after = chat.run("c3", "three")

    assert known(again) == ["TWO"]
    assert again.reply.remarks[0] == "another chat conversation, which knows none before"
    assert known(after) == ["TWO", "three"]
    assert after.reply.remarks == []


def test_a_rerun_may_tell_the_service_what_was_said(chat):
    chat.run("c1", "one")
    chat.run("c2", "two")

    again = chat.run("c2", "TWO", replay=True)

    [told] = known(again)
    assert told.startswith("Our conversation so far:\n\nI: one\n\nYou: ")
    assert told.endswith("\n\nI: TWO")
    assert chat.held() == ["one", "TWO"]


def test_the_first_cell_again_is_a_new_conversation_without_a_word(chat):
    first = chat.run("c1", "one")

    again = chat.run("c1", "ONE")

    assert known(again) == ["ONE"]
    assert again.reply.remarks == first.reply.remarks


def test_a_copy_leaves_the_services_conversation_to_the_original(chat, box, tmp_path):
    chat.run("c1", "one")
    chat.save(["c1", "c2", "c3"], sessions=["main"])
    (tmp_path / "copy.ipynb").write_bytes(chat.path.read_bytes())
    copy = Page(box, tmp_path / "copy.ipynb", agent="mirror", dialect="chat")

    answer = copy.run("c2", "copied two")
    assert known(answer) == ["copied two"]
    assert answer.reply.remarks[0] == "another chat conversation, which knows none before"
    assert known(copy.run("c3", "copied three")) == ["copied two", "copied three"]
    assert known(chat.run("c2", "two")) == ["one", "two"]
    copy.close()


def test_an_interrupted_turn_is_not_gone_on_from(chat, box):
    first = chat.run("c1", "one")
    box.fail(Fault(cut_after=1))
    with pytest.raises(errors.StreamError):
        chat.run("c2", "two")

    third = chat.run("c3", "three")

    assert third.reply.conversation != first.reply.conversation
    assert known(third) == ["three"]


def test_a_service_that_names_no_conversation_is_told_no_name_of_ours(chat, box):
    box.fail(Fault(body='{"data": {"response": "hello", "metadata": {}}, "error": null}'))
    chat.run("c1", "one")

    answer = chat.run("c2", "two")

    assert "conversationId" not in posts(box)[-1].json
    assert answer.reply.remarks[0] == "another chat conversation, which knows none before"


def test_a_text_only_integration_goes_on_by_our_alias_over_a_restart(box, tmp_path):
    page = Page(
        box, tmp_path / "a.ipynb", dialect="agencii", token=box.agencii_token,
        agent=box.integration_id("mirror", text_only=True),
    )  # fmt: skip
    page.run("c1", "one")
    page.restart()

    assert known(page.run("c2", "two")) == ["one", "two"]
    page.close()


def test_a_native_session_is_reused_and_forked_on_a_rerun(box, tmp_path):
    page = Page(box, tmp_path / "native.ipynb", dialect="native")
    page.run("c1", "one")
    page.run("c2", "two")
    page.run("c1", "ONE")
    page.run("c2", "TWO")

    first, second, again, last = (seen.json for seen in posts(box))
    assert "sessionId" not in first
    assert "sessionId" not in again
    assert second["sessionId"] != last["sessionId"]
    assert [each["content"] for each in last["messageHistory"]] == ["ONE", "ONE"]
    page.close()


# Replay


def test_the_same_asked_again_is_replayed_and_costs_nothing(page, box):
    page.client.runtime.cache = "on"
    first = [page.run(cell, cell) for cell in ("c1", "c2")]
    count = len(box.requests)
    page.restart()
    page.client.runtime.cache = "on"

    again = [page.run(cell, cell) for cell in ("c1", "c2")]

    assert len(box.requests) == count
    assert [each.text for each in again] == [each.text for each in first]
    assert all(each.reply.cached for each in again)
    assert [each.usage.total_tokens for each in again] == [0, 0]
    assert page.stale() == []


def test_another_question_history_agent_option_or_host_is_no_repetition(page, box):
    page.client.runtime.cache = "on"
    page.run("c1", "one")
    for agent, options in ((None, {"temperature": 0.5}), ("mirror", {}), (None, {"system": "x"})):
        page.run("c1", "one", agent, **options)
    page.run("c2", "one")
    page.client.session().undo()
    page.run("c2", "one")

    assert len(posts(box)) == 5
    assert not page.client.runtime.ledger.history.replay("0" * 64)


def test_failed_empty_and_suspect_answers_are_not_replayed(page, box):
    page.client.runtime.cache = "on"
    box.fail(Fault(status=400))
    with pytest.raises(errors.BadRequest):
        page.run("c1", "one")
    for fault in (Fault(empty=True), Fault(disguised=True)):
        box.fail(fault)
        page.run("c1", "one")

    assert not page.run("c1", "one").reply.cached
    assert len(posts(box)) == 4


def test_an_answer_of_files_alone_is_replayed(page, box):
    page.client.runtime.cache = "on"
    first = page.run("c1", "a cat", "image", dialect="native")
    again = page.run("c1", "a cat", "image", dialect="native")

    assert len(posts(box)) == 1
    assert again.reply.cached
    assert (again.text, again.files) == (first.text, first.files)


def test_an_empty_answer_hides_no_earlier_one_and_is_counted_for_none(ledger):
    def answered(key, text, **raw):
        reply = Reply(agent="echo", id=new_id(), session="main", dialect="native", at=time.time(),
                      prompt="hello")  # fmt: skip
        ledger.turns.begin(reply)
        reply.apply([Delta(text), Raw(raw)])
        reply.status, reply.request_digest = "ok", key
        ledger.turns.complete(reply)

    answered("a", "good")
    answered("a", 'good \n\' "quoted"')
    answered("a", "\"' \n")
    answered("a", "")
    answered("b", "", files=[], note='"files": [{"url": "x"}]')
    answered("c", "", files=[{"url": "https://x/1.png"}])

    assert ledger.history.replay("a").text == 'good \n\' "quoted"'
    assert ledger.history.replay("b") is None
    assert ledger.history.replay("c").raw == {"files": [{"url": "https://x/1.png"}]}
    assert ledger.history.replays() == (2, 0)


def test_clearing_the_cache_shows_no_earlier_answer_again(page):
    page.client.runtime.cache = "on"
    page.run("c1", "one")
    history = page.client.session().runtime.ledger.history
    assert history.replays() == (1, 0)

    history.mark("cleared", None)

    assert history.replays() == (0, 0)
    assert not page.run("c1", "one").reply.cached


def test_strict_opens_no_socket_needs_no_token_and_fails_on_a_miss(page, monkeypatch):
    page.client.runtime.cache = "on"
    page.run("c1", "one")
    page.close()

    def connect(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setenv("SWIFTASK_CACHE", "strict")
    with Swiftask(
        base_url=page.box.url, agent="echo", notebook=str(page.path)
    ) as reader:  # and by any dialect that auto may choose
        reader.warm()
        session = reader.session()
        assert ask_from(session, "one", slot="c1").text == "one"
        with pytest.raises(errors.Refused, match="strict asks nobody"):
            session.ask("two")
        assert list(reader.usage()["status"]) == ["ok", "ok", "refused"]


def test_an_unknown_cache_is_one_clear_line(page):
    with pytest.raises(errors.ConfigurationError, match="no cache 'of'; there is: off, on"):
        page.run("c1", "one", cache="of")


def test_watchers_hear_of_each_turn_twice(page):
    heard = []
    page.client.session().watchers.append(
        lambda turn: heard.append((turn.prompt.text, turn.reply.status))
    )

    page.run("c1", "one")

    assert heard == [("one", "running"), ("one", "ok")]
