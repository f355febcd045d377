"""PanelConversation: a session's exchanges in a panel, shared with the cells that ask in it."""

import contextlib
import gc
import threading
import weakref

import pytest

from swiftask_jupyter import ChatPanel, Sandbox, errors
from swiftask_jupyter.conversation.session import TurnPlacement
from swiftask_jupyter.notebook.panel.reply_publisher import ReplyPublisher
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.frontends import WAIT, HeadlessView, text_of, until
from tests.support.notebooks import ask_from
from tests.support.servers import RawServer, always, sized


def test_a_question_is_history_for_the_next_question_and_the_next_cell(view, client, box):
    view.ask("one")
    view.finished()

    ask_from(client.session(), "two")

    messages = box.requests[-1].json["messages"]
    assert [each["content"] for each in messages] == ["one", "one", "two"]
    first, second = view.finished(2)
    assert (first["from_cell"], second["from_cell"]) == (False, True)
    assert (second["prompt"], second["text"]) == ("two", "two")


def test_an_answer_to_a_cell_grows_in_the_panel_too(view, client, stepwise):
    stream = client.session().stream_from(TurnPlacement("cell"), "hi", "stepwise")
    events = iter(stream)
    stepwise.step()
    next(events)

    view.wait(lambda: view.order and text_of(view.views[view.order[0]].root).startswith("word0"))
    assert view.state["in_flight"] is None  # the panel did not ask, so it cannot stop it
    stream.close()

    [exchange] = view.finished()
    assert exchange["status"] == "interrupted"


def test_stop_keeps_the_received_text_and_allows_the_next_question(view, stepwise, box):
    view.ask("hi", "stepwise")
    stepwise.step()
    view.wait_for_text()
    assert view.state["in_flight"] == view.order[0]
    assert view.ask("too soon")["error"].startswith("an answer is still coming")

    view.request("stop")

    [exchange] = view.finished()
    assert (exchange["text"].strip(), exchange["status"]) == ("word0", "interrupted")
    assert box.wait_for(lambda: box.open_streams == 0) or box.open_streams == 0
    view.ask("again")
    assert [each["status"] for each in view.finished(2)] == ["interrupted", "ok"]


def test_a_retry_and_an_edit_fill_the_same_slot(view, box):
    view.ask("one")
    view.finished()
    view.ask("two")
    first, second = view.finished(2)

    view.retry(first["key"])
    first, second = view.finished(2)
    assert [first["prompt"], second["prompt"]] == ["one", "two"]

    view.ask("uno", key=first["key"])
    view.wait(lambda: first["key"] not in view.order)
    first, second = view.finished(2)

    assert [first["prompt"], second["prompt"]] == ["uno", "two"]
    assert (first["stale"], second["stale"]) == (False, True)
    assert [each["content"] for each in box.requests[-1].json["messages"]] == ["uno"]


def test_an_edit_of_a_question_that_another_view_has_retried_fills_the_same_slot(view, client):
    view.ask("one")
    [exchange] = view.finished()
    view.retry(exchange["key"])
    view.finished()

    assert "error" not in view.ask("uno", key=exchange["key"])

    assert [each["prompt"] for each in view.finished()] == ["uno"]
    assert [each.prompt for each in client.session().history()] == ["uno"]


def test_an_error_is_shown_and_a_retry_replaces_it(view, box):
    box.fail(Fault(status=400), agent="echo")
    view.ask("hi")
    [failed] = view.finished()
    assert failed["status"] == "error"
    assert failed["error"].startswith("400")

    view.retry(failed["key"])

    [exchange] = view.finished()
    assert (exchange["text"], exchange["error"]) == ("hi", None)


def test_an_undo_in_a_cell_removes_the_exchange(view, client):
    for count, word in enumerate(("one", "two"), 1):
        view.ask(word)
        view.finished(count)

    client.session().undo()
    view.request("get_snapshot")

    assert [each["prompt"] for each in view.finished()] == ["one"]


def test_a_cell_command_is_seen_in_the_panel_after_the_cell(shell):
    with Sandbox() as box:
        shell.run_cell("%config SwiftaskMagics.agent = 'echo'")
        magics = shell.magics_manager.registry["SwiftaskMagics"]
        magics.client.connections.overrides = type(magics.client.connections.overrides)(
            box.url, box.token, "echo", "openai"
        )
        panel = ChatPanel(magics.client)
        view = HeadlessView(panel)
        view.request("get_snapshot")
        view.ask("one")
        view.finished()

        shell.run_cell("%swiftask undo")

        assert view.order == []
        view.ask("two")
        view.finished()
        view.ask("it fails", agent="nosuch")
        assert view.finished(2)[1]["error"]

        shell.run_cell("%swiftask reset")

        assert view.order == []

        written = []
        panel._transcript._publish = lambda *args, **_: written.append(args)
        shell.run_cell("%swiftask session new")
        shell.run_cell("%swiftask use math")

        assert view.state["sessions"][1:] == ["new-2"]
        assert view.state["agent"] == "math"
        assert written == []  # the transcript has not changed
        panel.close()
        assert panel.chat.on_cell_run not in shell.events.callbacks["post_run_cell"]


@pytest.mark.parametrize("end_sent", [True, False])
def test_a_history_read_before_an_answer_ended_does_not_remove_the_answer(
    view, panel, monkeypatch, end_sent
):
    """The exchange is also kept as it is, with its files, and not made again from the history."""
    history, was_read, go_on = panel.chat.session.history, threading.Event(), threading.Event()
    publish_end, end_allowed = ReplyPublisher.publish_end, threading.Event()
    monkeypatch.setattr(
        ReplyPublisher, "publish_end", lambda self: end_allowed.wait(WAIT) and publish_end(self)
    )

    def read():
        turns = history()
        if threading.current_thread() is slow:
            was_read.set()
            go_on.wait(WAIT)
        return turns

    monkeypatch.setattr(panel.chat.session, "history", read)
    slow = threading.Thread(target=panel.chat.refresh)
    slow.start()
    assert was_read.wait(WAIT)
    asked = panel.ask("hi")
    until(lambda: not asked.running)
    if end_sent:
        end_allowed.set()
        view.finished()

    go_on.set()
    slow.join(WAIT)

    assert panel.chat.exchanges == [asked]
    end_allowed.set()
    view.finished()
    assert panel.chat.exchanges == [asked]


def test_a_history_read_before_an_answer_ended_does_not_overwrite_a_later_read(
    view, panel, monkeypatch
):
    """The earlier read ends while the read after the answer is still under way."""
    history, was_read, go_on = panel.chat.session.history, threading.Event(), threading.Event()

    def read():
        turns = history()
        if threading.current_thread() is slow:
            was_read.set()
            go_on.wait(WAIT)
        elif threading.current_thread().name == "swiftask-panel":
            go_on.set()
            slow.join(WAIT)
        return turns

    monkeypatch.setattr(panel.chat.session, "history", read)
    slow = threading.Thread(target=panel.chat.refresh)
    slow.start()
    assert was_read.wait(WAIT)
    asked = panel.ask("hi")

    view.finished()

    assert panel.chat.exchanges == [asked]


def test_the_panel_does_not_retry_a_question_of_a_cell(view, client, box):
    """The cell had its own host, system prompt and files, which the panel does not know."""
    box.fail(Fault(status=400), agent="echo")
    with contextlib.suppress(errors.BadRequest):
        ask_from(client.session(), "hi", system="Be terse.", temperature=0)
    [failed] = view.finished()
    sent = len(box.requests)

    response = view.request("retry", key=failed["key"])

    assert response["error"] == "a cell asked this with its own options; run the cell again"
    assert len(box.requests) == sent


def test_the_panel_does_not_edit_a_question_that_python_asked_in_a_cell(view, client, monkeypatch):
    """The other questions of the same run are in the same slot."""
    monkeypatch.setattr(client.runtime, "running_cell", lambda: ("c1", "run 1"))
    for n in range(3):
        client.session().ask(f"question {n}")
    exchanges = view.finished(3)
    assert all(each["from_cell"] for each in exchanges)  # a view offers neither Edit nor Retry

    response = view.ask("another", key=exchanges[1]["key"])

    assert response["error"] == "a cell asked this with its own options; run the cell again"
    assert len(client.session().history()) == 3


def test_files_stay_with_a_question_that_is_retried_edited_or_shown_again(view, client, box):
    client.connections.overrides = type(client.connections.overrides)(
        box.url, box.token, "echo", "native"
    )
    view.request("upload", [b"abc"], upload="f1", name="a.txt", size=3, offset=0)
    view.ask("look", uploads=["f1"])
    [exchange] = view.finished()
    main = view.state["session"]
    view.request("switch_session", name=None)
    view.request("switch_session", name=main)
    [exchange] = view.finished()
    assert exchange["files"] == ["a.txt"]

    view.request("retry", key=exchange["key"])
    [exchange] = view.finished()
    view.request("upload", [b"de"], upload="f2", name="b.txt", size=2, offset=0)
    view.ask("look again", key=exchange["key"], uploads=["f2"])

    [exchange] = view.finished()
    assert (exchange["prompt"], exchange["files"]) == ("look again", ["a.txt", "b.txt"])
    put = [seen.body for seen in box.requests if seen.method == "PUT"]
    assert sorted(put) == [b"abc", b"abc", b"abc", b"de"]


def test_an_undo_releases_the_files_of_the_turn_and_brings_back_those_it_replaced(
    view, client, box
):
    class Name(str):
        __slots__ = ("__weakref__",)

    client.connections.overrides = type(client.connections.overrides)(
        box.url, box.token, "echo", "native"
    )
    name = Name("b.txt")
    released = weakref.ref(name)
    view.panel.ask("one", files=[("a.txt", b"abc")])
    [exchange] = view.finished()
    view.ask("uno", key=exchange["key"])
    view.wait(lambda: exchange["key"] not in view.order)
    view.finished()
    client.session().undo()
    view.request("get_snapshot")
    [exchange] = view.finished()
    assert (exchange["prompt"], exchange["files"]) == ("one", ["a.txt"])

    view.panel.ask("two", files=[(name, b"de")])
    view.finished(2)
    del name
    client.session().undo()
    view.request("get_snapshot")

    view.finished()
    until(lambda: gc.collect() is not None and released() is None)


def test_without_texts_an_answer_stays_visible_and_is_not_sent_along(
    view, client, box, monkeypatch
):
    monkeypatch.setenv("SWIFTASK_KEEP_TEXTS", "0")
    for number, text in enumerate(("one", "two"), 1):
        view.ask(text)
        view.finished(number)

    view.request("get_snapshot")

    first, second = view.finished(2)
    assert (first["text"], second["text"]) == ("one", "two")
    assert "earlier turns whose texts are not kept were not sent along" in second["footer"]
    assert [each["content"] for each in box.requests[-1].json["messages"]] == ["two"]
    assert client.usage(text=True)["prompt"].isna().all()


def test_the_files_of_a_message_go_to_no_other_service_unasked(view, client, box):
    overrides = type(client.connections.overrides)
    client.connections.overrides = overrides(box.url, box.token, "echo", "native")
    view.panel.ask("one", files=[("a.txt", b"abc")])
    [exchange] = view.finished()
    with RawServer(always(sized(b"{}"))) as other:
        client.connections.overrides = overrides(other.url, "token", "echo", "native")

        asked = {"agent": "", "key": exchange["key"]}
        answers = [
            view.request("retry", **asked), view.request("ask", text="two", uploads=[], **asked)
        ]  # fmt: skip

        assert not other.requests
    for answer in answers:
        assert answer["error"].startswith(
            "the files of this message were sent to the sandbox alone; ask anew"
        )
