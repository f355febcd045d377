"""OpenConversations: which session a panel shows, and what happens in the others."""

from swiftask_jupyter.sandbox.faults import Fault
from tests.support.frontends import until
from tests.support.notebooks import ask_from


def test_a_new_session_can_be_started_and_the_old_one_shown_again(panel, view, client):
    view.ask("in main")
    view.finished()
    main = view.state["session"]

    view.request("switch_session", name=None)
    assert view.state["session"] == "chat-2"
    assert view.order == []
    view.ask("in two")
    [exchange] = view.finished()
    assert exchange["prompt"] == "in two"

    view.request("switch_session", name=main)
    [exchange] = view.finished()
    assert exchange["prompt"] == "in main"
    assert set(view.state["sessions"]) == {main, "chat-2"}
    assert len(client.session().watchers) == 1


def test_a_session_that_another_thread_opens_does_not_break_the_list_of_names(panel, monkeypatch):
    class Names(list):
        def __contains__(self, name):
            panel.switcher.opened.setdefault("opened meanwhile", panel.chat)
            return False

    monkeypatch.setattr(panel.chat.session.runtime.ledger.sessions, "names", lambda _: Names())

    assert panel.switcher.names() == [panel.chat.session.name]


def test_an_answer_continues_in_a_session_that_is_not_shown(view, panel, stepwise, box):
    view.ask("hi", "stepwise")
    stepwise.step()
    view.wait_for_text()
    main = view.state["session"]

    view.request("switch_session", name=None)
    assert (view.order, view.state["in_flight"]) == ([], None)
    count = len(view.messages)
    stepwise.step(2)
    publisher = panel.switcher.open(main).in_flight
    until(lambda: "word2" in publisher.exchange.reply.text)
    view.ask("in the other session")
    view.finished()
    hidden = publisher.exchange.key
    assert not [each for each in view.messages[count:] if each.get("key") == hidden]

    view.request("switch_session", name=main)
    assert view.state["in_flight"] == view.order[0]
    view.wait(lambda: "word2" in view.exchange(view.order[0])["text"])
    stepwise.step(100)
    [exchange] = view.finished()
    assert exchange["status"] == "ok"
    assert box.wait_for(lambda: box.open_streams == 0) or box.open_streams == 0


def test_stopped_and_failed_questions_are_still_there_after_a_switch(view, stepwise, box):
    view.ask("hi", "stepwise")
    stepwise.step()
    view.wait_for_text()
    view.request("stop")
    view.finished()
    box.fail(Fault(status=400), agent="echo")
    view.ask("fails")
    before, main = view.finished(2), view.state["session"]

    view.request("switch_session", name=None)
    view.request("switch_session", name=main)

    assert view.finished(2) == before
    assert [each["status"] for each in before] == ["interrupted", "error"]


def test_a_cell_that_asks_in_a_hidden_session_changes_nothing_in_the_views(view, client):
    main = view.state["session"]
    view.request("switch_session", name=None)

    ask_from(client.session(main), "elsewhere")

    assert view.order == []
    view.request("switch_session", name=main)
    assert [each["prompt"] for each in view.finished()] == ["elsewhere"]


def test_a_session_name_with_hidden_characters_can_be_chosen_in_the_view(view, client):
    client.session("a\u200bb").ask("inside")
    view.request("get_snapshot")
    [shown_name] = [name for name in view.state["sessions"] if name.startswith("a")]

    view.request("switch_session", name=shown_name)

    assert [each["prompt"] for each in view.finished()] == ["inside"]
