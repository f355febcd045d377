"""ExchangeList: the order of exchanges, and which exchange is shown for a slot."""

import contextlib
import threading

from swiftask_jupyter import errors
from swiftask_jupyter.notebook.panel.chat import PanelConversation
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.frontends import WAIT


def test_a_retry_of_a_failed_question_comes_after_what_was_answered_meanwhile(view, client):
    for number, question in enumerate(("one", "two", "three", "four")):
        view.ask(question, agent="echo" if number == 2 else "nosuch")
        view.wait(lambda: not view.state["in_flight"])
    one, two, three, four = view.finished(4)

    def retried(failed):
        view.retry(failed["key"], agent="echo")
        message = [each for each in view.messages if each["kind"] == "exchange"][-1]
        return message["after"], [each["prompt"] for each in view.finished(4)]

    assert retried(two) == (three["key"], ["one", "three", "two", "four"])
    assert retried(four)[1] == ["one", "three", "two", "four"]
    assert retried(one)[1] == ["three", "two", "four", "one"]
    assert [each.prompt for each in client.session().history()] == ["three", "two", "four", "one"]


def test_a_failed_retry_removes_nothing_from_the_history(view, client, box):
    view.ask("one")
    [exchange] = view.finished()
    box.fail(Fault(status=400), agent="echo")

    view.retry(exchange["key"])

    [failed] = view.finished()
    assert failed["status"] == "error"
    assert failed["footer"].endswith(" · the answer it was to replace still counts")
    assert [each.answer for each in client.session().history()] == ["one"]

    view.retry(failed["key"])
    [again] = view.finished()
    assert "still counts" not in again["footer"]


def test_after_an_undo_a_failed_retry_no_longer_says_that_the_old_answer_counts(
    view, panel, client, box
):
    view.ask("hi")
    [exchange] = view.finished()
    box.fail(Fault(status=400), agent="echo")
    view.retry(exchange["key"])
    [failed] = view.finished()
    assert failed["footer"].endswith("still counts")

    client.session().undo()
    panel.chat.refresh()

    [failed] = view.finished()
    assert failed["footer"].endswith("turn 2")


def test_a_failed_question_of_a_cell_is_shown_with_the_others_of_the_same_run(
    view, client, box, monkeypatch
):
    monkeypatch.setattr(client.runtime, "running_cell", lambda: ("c1", "run 1"))
    client.session().ask("one")
    box.fail(Fault(status=400), agent="echo")
    with contextlib.suppress(errors.BadRequest):
        client.session().ask("two")
    client.session().ask("three")
    box.fail(Fault(status=400), agent="echo")
    with contextlib.suppress(errors.BadRequest):
        client.session().ask("four")
    view.finished(4)

    view.request("get_snapshot")

    exchanges = view.finished(4)
    assert [(each["prompt"], each["status"]) for each in exchanges] == [
        ("one", "ok"), ("two", "error"), ("three", "ok"), ("four", "error"),
    ]  # fmt: skip
    assert "still counts" not in exchanges[3]["footer"]


def test_the_questions_of_one_run_are_in_order_whichever_thread_announces_first(
    view, client, box, monkeypatch
):
    add, third_added = PanelConversation._add, threading.Event()

    def add_second_last(chat, exchange):
        if exchange.prompt == "two":
            third_added.wait(WAIT)
        add(chat, exchange)
        if exchange.prompt == "three":
            third_added.set()

    monkeypatch.setattr(PanelConversation, "_add", add_second_last)
    monkeypatch.setattr(client.runtime, "running_cell", lambda: ("c1", "run 1"))
    client.session().ask("one")
    box.fail(Fault(status=400), agent="echo")
    with contextlib.suppress(errors.BadRequest):
        client.session().ask("two")
    client.session().ask("three")

    assert [each["prompt"] for each in view.finished(3)] == ["one", "two", "three"]
