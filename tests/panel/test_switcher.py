"""ConversationSwitcher: which session a panel shows, and what happens in the others."""

from swiftask_jupyter.sandbox.faults import Fault
from tests.support.frontends import until
from tests.support.notebooks import ask_from


def test_a_new_session_can_be_started_and_the_old_one_shown_again(panel, front, client):
    front.ask("in main")
    front.finished()
    main = front.state["session"]

    front.request("switch_session", name=None)
    assert front.state["session"] == "chat-2"
    assert front.order == []
    front.ask("in two")
    [exchange] = front.finished()
    assert exchange["prompt"] == "in two"

    front.request("switch_session", name=main)
    [exchange] = front.finished()
    assert exchange["prompt"] == "in main"
    assert set(front.state["sessions"]) == {main, "chat-2"}
    assert len(client.session().watchers) == 1


def test_a_session_that_another_thread_opens_does_not_break_the_list_of_names(panel, monkeypatch):
    class Names(list):
        def __contains__(self, name):
            panel.switcher.opened.setdefault("opened meanwhile", panel.chat)
            return False

    monkeypatch.setattr(panel.chat.session.runtime.ledger.sessions, "names", lambda _: Names())

    assert panel.switcher.names() == [panel.chat.session.name]


def test_an_answer_continues_in_a_session_that_is_not_shown(front, panel, stepwise, box):
    front.ask("hi", "stepwise")
    stepwise.step()
    front.wait_for_text()
    main = front.state["session"]

    front.request("switch_session", name=None)
    assert (front.order, front.state["in_flight"]) == ([], None)
    count = len(front.messages)
    stepwise.step(2)
    publisher = panel.switcher.open(main).in_flight
    until(lambda: "word2" in publisher.exchange.reply.text)
    front.ask("in the other session")
    front.finished()
    hidden = publisher.exchange.key
    assert not [each for each in front.messages[count:] if each.get("key") == hidden]

    front.request("switch_session", name=main)
    assert front.state["in_flight"] == front.order[0]
    front.wait(lambda: "word2" in front.exchange(front.order[0])["text"])
    stepwise.step(100)
    [exchange] = front.finished()
    assert exchange["status"] == "ok"
    assert box.wait_for(lambda: box.open_streams == 0) or box.open_streams == 0


def test_stopped_and_failed_questions_are_still_there_after_a_switch(front, stepwise, box):
    front.ask("hi", "stepwise")
    stepwise.step()
    front.wait_for_text()
    front.request("stop")
    front.finished()
    box.fail(Fault(status=400), agent="echo")
    front.ask("fails")
    before, main = front.finished(2), front.state["session"]

    front.request("switch_session", name=None)
    front.request("switch_session", name=main)

    assert front.finished(2) == before
    assert [each["status"] for each in before] == ["interrupted", "error"]


def test_a_cell_that_asks_in_a_hidden_session_changes_nothing_in_the_views(front, client):
    main = front.state["session"]
    front.request("switch_session", name=None)

    ask_from(client.session(main), "elsewhere")

    assert front.order == []
    front.request("switch_session", name=main)
    assert [each["prompt"] for each in front.finished()] == ["elsewhere"]


def test_a_session_name_with_hidden_characters_can_be_chosen_in_the_view(front, client):
    client.session("a\u200bb").ask("inside")
    front.request("get_snapshot")
    [shown_name] = [name for name in front.state["sessions"] if name.startswith("a")]

    front.request("switch_session", name=shown_name)

    assert [each["prompt"] for each in front.finished()] == ["inside"]
