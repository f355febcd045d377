"""The panel's own half: what a view asks for, and what every view is told."""

import contextlib
import gc
import json
import sqlite3
import threading
import weakref
from types import SimpleNamespace

import pandas as pd
import pytest

from swiftask_jupyter import ChatPanel, Sandbox, Swiftask, errors
from swiftask_jupyter.answers.reply import TURN, Delta, Reply
from swiftask_jupyter.notebook.markdown import parser
from swiftask_jupyter.notebook.mimebundle import record
from swiftask_jupyter.notebook.panel.channel import Channel
from swiftask_jupyter.notebook.panel.chat import Chat
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.notebook.panel.panel import close_earlier_panels
from swiftask_jupyter.notebook.panel.reply_publisher import ReplyPublisher
from swiftask_jupyter.notebook.panel.transcript import MAX_TRANSCRIPT, transcript_mimebundle
from swiftask_jupyter.notebook.panel.uploads import MAX_FILES, Uploads
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.turns.budget import parse_budget
from tests.support.frontends import WAIT, Front, text, until
from tests.support.kernels import Kernel


def ran(source):
    """What IPython tells of a cell that has run."""
    return SimpleNamespace(info=SimpleNamespace(raw_cell=source))


class Gate:
    """An agent that says a word each time it is let."""

    def __init__(self):
        self.let = threading.Semaphore(0)

    def __call__(self, _):
        """Answer, a word at a time."""
        for n in range(100):
            if not self.let.acquire(timeout=WAIT):
                return
            yield f"word{n} "


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def box(gate):
    with Sandbox(agents={"gate": gate}) as box:
        yield box


@pytest.fixture
def panel(client):
    panel = ChatPanel(client)
    yield panel
    panel.close()


@pytest.fixture
def front(panel):
    front = Front(panel)
    front.request("get_snapshot")
    return front


def test_a_client_opens_a_panel_of_its_own(client):
    with contextlib.closing(client.chat("echo", transcript=False)) as panel:
        assert isinstance(panel, ChatPanel)
        assert panel.client is client
        assert panel.agent == "echo"


def test_while_the_user_types_what_reads_an_answer_is_made_ready(panel):
    parser._markdown_it.cache_clear()
    Front(panel).request("get_snapshot")
    assert parser._markdown_it.cache_info().currsize


def test_a_question_is_answered_in_place_and_counted(front):
    assert "error" not in front.ask("hello *you*")

    [said] = front.finished()
    assert (said["prompt"], said["text"], said["agent"]) == ("hello *you*", "hello you", "echo")
    assert said["status"] == "ok"
    assert "turn 1" in said["footer"]
    assert front.state["total"].startswith("1 call · ")
    assert front.request("get_source", key=said["key"])["text"] == "hello *you*"


def test_what_is_said_is_history_for_the_next_question_and_for_the_next_cell(front, client, box):
    front.ask("one")
    front.finished()

    client.session().ask("two", surface="cell")

    messages = box.requests[-1].json["messages"]
    assert [each["content"] for each in messages] == ["one", "one", "two"]
    first, second = front.finished(2)
    assert (first["from_cell"], second["from_cell"]) == (False, True)
    assert (second["prompt"], second["text"]) == ("two", "two")


def test_a_cells_answer_grows_in_the_panel_too(front, client, gate):
    stream = client.session().stream("hi", "gate", surface="cell")
    events = iter(stream)
    gate.let.release()
    next(events)

    front.wait(lambda: front.order and text(front.views[front.order[0]].root).startswith("word0"))
    assert front.state["in_flight"] is None  # it is not the panel's to stop
    stream.close()

    [said] = front.finished()
    assert said["status"] == "interrupted"


def test_stop_keeps_what_has_come_and_the_next_question_can_be_asked(front, gate, box):
    front.ask("hi", "gate")
    gate.let.release()
    front.wait(lambda: front.order and text(front.views[front.order[0]].root))
    assert front.state["in_flight"] == front.order[0]
    assert front.ask("too soon")["error"].startswith("an answer is still coming")

    front.request("stop")

    [said] = front.finished()
    assert (said["text"].strip(), said["status"]) == ("word0", "interrupted")
    assert box.wait_for(lambda: box.open_streams == 0) or box.open_streams == 0
    front.ask("again")
    assert [each["status"] for each in front.finished(2)] == ["interrupted", "ok"]


def test_asking_again_and_editing_fill_the_same_place(front, box):
    front.ask("one")
    front.finished()
    front.ask("two")
    first, second = front.finished(2)

    front.request("retry", key=first["key"])
    front.wait(lambda: first["key"] not in front.order)
    first, second = front.finished(2)
    assert [first["prompt"], second["prompt"]] == ["one", "two"]

    front.ask("uno", key=first["key"])
    front.wait(lambda: first["key"] not in front.order)
    first, second = front.finished(2)

    assert [first["prompt"], second["prompt"]] == ["uno", "two"]
    assert (first["stale"], second["stale"]) == (False, True)
    assert [each["content"] for each in box.requests[-1].json["messages"]] == ["uno"]


def test_an_edit_of_what_another_view_has_asked_again_fills_the_same_place(front, client):
    front.ask("one")
    [said] = front.finished()
    front.request("retry", key=said["key"])
    front.wait(lambda: said["key"] not in front.order)
    front.finished()

    assert "error" not in front.ask("uno", key=said["key"])

    assert [each["prompt"] for each in front.finished()] == ["uno"]
    assert [each.prompt for each in client.session().history()] == ["uno"]


def test_an_error_is_painted_and_retry_is_offered_until_it_works(front, box):
    box.fail(Fault(status=400), agent="echo")
    front.ask("hi")
    [failed] = front.finished()
    assert failed["status"] == "error"
    assert failed["error"].startswith("400")

    front.request("retry", key=failed["key"])

    front.wait(lambda: failed["key"] not in front.order)
    [said] = front.finished()
    assert (said["text"], said["error"]) == ("hi", None)


def test_a_retry_of_what_failed_comes_after_what_was_said_meanwhile(front, client):
    for number, question in enumerate(("one", "two", "three", "four")):
        front.ask(question, agent="echo" if number == 2 else "nosuch")
        front.wait(lambda: not front.state["in_flight"])
    one, two, three, four = front.finished(4)

    def retried(failed):
        front.request("retry", key=failed["key"], agent="echo")
        front.wait(lambda: failed["key"] not in front.order)
        told = [each for each in front.messages if each["kind"] == "exchange"][-1]
        return told["after"], [each["prompt"] for each in front.finished(4)]

    assert retried(two) == (three["key"], ["one", "three", "two", "four"])
    assert retried(four)[1] == ["one", "three", "two", "four"]
    assert retried(one)[1] == ["three", "two", "four", "one"]
    assert [each.prompt for each in client.session().history()] == ["three", "two", "four", "one"]


def test_a_prompt_that_cant_be_sent_is_refused_in_one_line_and_leaves_nothing(front, client):
    assert front.ask("   ")["error"].startswith("the prompt is empty")
    assert "your token" in front.ask(f"say {client.wanted.token}")["error"]
    assert front.request("retry", key="nosuch")["error"].startswith("that message is not in")
    assert "KeyError" in front.request("nonsense")["error"]
    assert front.order == []


def test_a_failed_retry_takes_nothing_from_the_conversation(front, client, box):
    front.ask("one")
    [said] = front.finished()
    box.fail(Fault(status=400), agent="echo")

    front.request("retry", key=said["key"])

    front.wait(lambda: said["key"] not in front.order)
    [failed] = front.finished()
    assert failed["status"] == "error"
    assert failed["footer"].endswith(" · the answer it was to replace still counts")
    assert [each.answer for each in client.session().history()] == ["one"]

    front.request("retry", key=failed["key"])
    front.wait(lambda: failed["key"] not in front.order)
    [again] = front.finished()
    assert "still counts" not in again["footer"]


def test_a_failed_retry_does_not_say_that_what_was_taken_back_counts(front, panel, client, box):
    front.ask("hi")
    [said] = front.finished()
    box.fail(Fault(status=400), agent="echo")
    front.request("retry", key=said["key"])
    front.wait(lambda: said["key"] not in front.order)
    [failed] = front.finished()
    assert failed["footer"].endswith("still counts")

    client.session().undo()
    panel.chat.refresh()

    [failed] = front.finished()
    assert failed["footer"].endswith("turn 2")


def test_two_views_are_told_the_same_and_a_late_one_gets_all_of_it(panel, front):
    front.ask("# one\n\n- a\n- b")
    front.finished()
    late = Front(panel, "w")

    late.request("get_snapshot")

    assert late.order == front.order
    assert late.exchange(late.order[0]) == front.exchange(front.order[0])
    late.ask("two")
    assert late.finished(2) == front.finished(2)


def test_what_cells_take_back_leaves_the_panel(front, client):
    for word in ("one", "two"):
        front.ask(word)
        front.finished({"one": 1, "two": 2}[word])

    client.session().undo()
    front.request("get_snapshot")

    assert [each["prompt"] for each in front.finished()] == ["one"]


def test_conversations_are_begun_left_and_gone_on_with(panel, front, client):
    front.ask("in main")
    front.finished()
    main = front.state["session"]

    front.request("switch_session", name=None)
    assert front.state["session"] == "chat-2"
    assert front.order == []
    front.ask("in two")
    [said] = front.finished()
    assert said["prompt"] == "in two"

    front.request("switch_session", name=main)
    [said] = front.finished()
    assert said["prompt"] == "in main"
    assert set(front.state["sessions"]) == {main, "chat-2"}
    assert len(client.session().watchers) == 1


def test_a_conversation_that_is_opened_meanwhile_disturbs_no_list_of_them(panel, monkeypatch):
    class Names(list):
        def __contains__(self, name):
            panel.switcher.opened.setdefault("opened meanwhile", panel.chat)
            return False

    monkeypatch.setattr(panel.chat.session.ledger.sessions, "names", lambda _: Names())

    assert panel.switcher.names() == [panel.chat.session.name]


def test_a_long_conversation_comes_in_pages(panel, client):
    session = client.session()
    for n in range(45):
        session.ask(f"q{n}", surface="cell")
    front = Front(panel)
    front.request("get_snapshot")
    assert len(front.order) == 30
    assert front.messages[-1]["earlier_count"] == 15

    page = front.request("get_earlier", key=front.order[0])

    assert [each["prompt"] for each in page["exchanges"]] == [f"q{n}" for n in range(15)]
    assert page["earlier_count"] == 0


def test_files_come_in_chunks_and_go_with_the_question(front, client, box):
    client.wanted = type(client.wanted)(box.url, box.token, "echo", "native")
    file = {"upload": "f1", "name": "../a\u202e b.txt", "size": 5}
    assert "error" not in front.request("upload", [b"abc"], offset=0, **file)
    assert front.ask("early", uploads=["f1"])["error"].startswith(
        "a\u27e6U+202E\u27e7 b.txt is not"
    )
    assert "error" not in front.request("upload", [b"de"], offset=3, **file)

    assert "error" not in front.ask("look", uploads=["f1"])

    [said] = front.finished()
    assert said["files"] == ["a\u27e6U+202E\u27e7 b.txt"]
    put = next(seen for seen in box.requests if seen.method == "PUT")
    assert put.body == b"abcde"


def test_files_stay_with_their_question_asked_again_edited_or_come_back_to(front, client, box):
    client.wanted = type(client.wanted)(box.url, box.token, "echo", "native")
    front.request("upload", [b"abc"], upload="f1", name="a.txt", size=3, offset=0)
    front.ask("look", uploads=["f1"])
    [said] = front.finished()
    main = front.state["session"]
    front.request("switch_session", name=None)
    front.request("switch_session", name=main)
    [said] = front.finished()
    assert said["files"] == ["a.txt"]

    front.request("retry", key=said["key"])
    [said] = front.finished()
    front.request("upload", [b"de"], upload="f2", name="b.txt", size=2, offset=0)
    front.ask("look again", key=said["key"], uploads=["f2"])

    [said] = front.finished()
    assert (said["prompt"], said["files"]) == ("look again", ["a.txt", "b.txt"])
    put = [seen.body for seen in box.requests if seen.method == "PUT"]
    assert sorted(put) == [b"abc", b"abc", b"abc", b"de"]


@pytest.mark.parametrize(
    ("at", "size", "chunk"), [(1, 5, b"ab"), (0, 1, b"ab"), (0, 2 * 10**8, b"ab")]
)
def test_a_chunk_out_of_order_is_refused(front, at, size, chunk):
    told = front.request("upload", [chunk], upload="f", name="a.txt", size=size, offset=at)

    assert told["error"].startswith("a.txt ")


def test_a_rating_is_kept_and_comes_back(front, panel, client):
    front.ask("hi")
    [said] = front.finished()

    front.request("rate", key=said["key"], liked=True, comment="just right")

    assert front.exchange(said["key"])["liked"] is True
    assert thoughts(client) == [(True, "just right")]
    session = client.session()
    with Swiftask(base_url=client.wanted.base_url, token=client.wanted.token, agent="echo",
                  session=session.name) as other:  # fmt: skip
        again = ChatPanel(other)
        assert [(each.liked, each.comment) for each in again.chat.exchanges] == [
            (True, "just right")
        ]
        again.close()


def thoughts(client):
    """What is in the ledger of each call: the rating, and the comment."""
    frame = client.usage(text=True)
    return list(zip(frame["liked"], frame["comment"], strict=True))


def test_the_newest_rating_counts_and_leaves_the_comment(front, client):
    front.ask("hi")
    front.finished()
    front.ask("ho")
    first, second = front.finished(2)

    front.request("rate", key=first["key"], liked=True, comment="fine")
    front.request("rate", key=first["key"], liked=False)
    front.request("rate", key=second["key"], liked=True, comment="good")
    front.request("rate", key=second["key"], liked=None, comment="")

    assert thoughts(client) == [(False, "fine"), (pd.NA, pd.NA)]


def test_what_is_purged_takes_its_comment_along(front, client):
    front.ask("hi")
    [said] = front.finished()
    front.request("rate", key=said["key"], liked=True, comment="Ada is ill")

    client.session().purge(1)

    assert thoughts(client) == [(True, pd.NA)]


def test_the_transcript_records_of_earlier_turns_what_their_own_outputs_do(front, panel, client):
    answer = client.session().ask("from a cell", surface="cell")
    front.request("get_snapshot")
    front.ask("hi")
    front.finished(2)
    live = [record(each.reply) for each in panel.chat.exchanges]
    assert live[0] == record(answer.reply)

    with contextlib.closing(ChatPanel(client)) as again:
        assert transcript_mimebundle(again.chat.exchanges)[TURN] == live


def test_a_service_that_takes_ratings_is_told_of_them(front, client, box):
    client.wanted = type(client.wanted)(box.url, box.client_token("echo"), "echo", "widget")
    front.ask("hi")
    [said] = front.finished()

    assert "error" not in front.request("rate", key=said["key"], liked=False, comment="too short")

    told = box.requests[-1]
    assert told.path.endswith("/widget/feedback")
    assert told.json["feedback"] == "NEGATIVE"
    assert told.json["comment"] == "too short"


def test_a_comment_outlives_a_later_rating(front, panel, client, box):
    client.wanted = type(client.wanted)(box.url, box.client_token("echo"), "echo", "widget")
    front.ask("hi")
    [said] = front.finished()
    front.request("rate", key=said["key"], liked=None, comment="too short")
    panel.chat.exchanges.clear()  # as in another kernel
    front.request("get_snapshot")

    assert "error" not in front.request("rate", key=said["key"], liked=False)

    assert box.requests[-1].json["comment"] == "too short"
    assert thoughts(client) == [(False, "too short")]


def test_what_a_cell_takes_back_or_sets_is_seen_in_the_panel_when_the_cell_has_run(shell):
    with Sandbox() as box:
        shell.run_cell("%config SwiftaskMagics.agent = 'echo'")
        magics = shell.magics_manager.registry["SwiftaskMagics"]
        magics.client.wanted = type(magics.client.wanted)(box.url, box.token, "echo", "openai")
        panel = ChatPanel(magics.client)
        front = Front(panel)
        front.request("get_snapshot")
        front.ask("one")
        front.finished()

        shell.run_cell("%swiftask undo")

        assert front.order == []
        front.ask("two")
        front.finished()
        front.ask("it fails", agent="nosuch")
        assert front.finished(2)[1]["error"]

        shell.run_cell("%swiftask reset")

        assert front.order == []

        written = []
        panel._transcript._publish = lambda *made, **_: written.append(made)
        shell.run_cell("%swiftask session new")
        shell.run_cell("%swiftask use math")

        assert front.state["sessions"][1:] == ["new-2"]
        assert front.state["agent"] == "math"
        assert written == []  # the transcript is the same
        panel.close()
        assert panel.chat.on_cell_run not in shell.events.callbacks["post_run_cell"]


@pytest.mark.parametrize("told", [True, False])
def test_what_was_read_before_an_answer_ended_does_not_take_it_away(
    front, panel, monkeypatch, told
):
    """Nor is it made anew, without its files."""
    history, was_read, go_on = panel.chat.session.history, threading.Event(), threading.Event()
    finish, tell = ReplyPublisher.publish_end, threading.Event()
    monkeypatch.setattr(
        ReplyPublisher, "publish_end", lambda self: tell.wait(WAIT) and finish(self)
    )

    def read():
        held = history()
        if threading.current_thread() is slow:
            was_read.set()
            go_on.wait(WAIT)
        return held

    monkeypatch.setattr(panel.chat.session, "history", read)
    slow = threading.Thread(target=panel.chat.refresh)
    slow.start()
    assert was_read.wait(WAIT)
    asked = panel.ask("hi")
    until(lambda: not asked.running)
    if told:
        tell.set()
        front.finished()

    go_on.set()
    slow.join(WAIT)

    assert panel.chat.exchanges == [asked]
    tell.set()
    front.finished()
    assert panel.chat.exchanges == [asked]


def test_what_was_read_before_an_answer_ended_is_not_taken_over_after_it(front, panel, monkeypatch):
    """While what was read after its end is still on its way."""
    history, was_read, go_on = panel.chat.session.history, threading.Event(), threading.Event()

    def read():
        held = history()
        if threading.current_thread() is slow:
            was_read.set()
            go_on.wait(WAIT)
        elif threading.current_thread().name == "swiftask-panel":
            go_on.set()
            slow.join(WAIT)
        return held

    monkeypatch.setattr(panel.chat.session, "history", read)
    slow = threading.Thread(target=panel.chat.refresh)
    slow.start()
    assert was_read.wait(WAIT)
    asked = panel.ask("hi")

    front.finished()

    assert panel.chat.exchanges == [asked]


@pytest.mark.parametrize(("given", "named"), [((), "nothing"), ((5,), "int")])
def test_what_is_no_client_is_one_clear_line_and_leaves_no_widget(given, named):
    with pytest.raises(errors.ConfigurationError, match=f"takes a client, not {named}; ChatPanel"):
        ChatPanel(*given)
    gc.collect()  # a widget that can't be taken down would warn, which fails the test


def test_a_closed_panel_says_so(shell, panel, capsys):
    panel.close()
    with pytest.raises(errors.ConfigurationError, match="this chat panel is closed; ChatPanel"):
        panel.ask("hello")

    shell.user_ns["panel"] = panel
    shell.run_cell("panel")
    assert capsys.readouterr().out.endswith(
        "this chat panel is closed; ChatPanel(client) opens another\n"
    )


def test_a_panel_in_a_terminal_says_in_one_line_that_it_needs_a_notebook(client, shell, capsys):
    with contextlib.closing(ChatPanel(client)) as panel:
        shell.user_ns["panel"] = panel
        shell.run_cell("panel")

    said = capsys.readouterr().out
    assert said.endswith("a chat panel needs a notebook; ask with %%swiftask\n")
    assert said.count("\n") == 1


def test_the_total_says_what_is_spent_of_a_budget(front, client):
    client.budgets.set(parse_budget("20 calls/hour"))

    front.ask("hi")

    front.finished()
    assert front.state["total"] == "1 call · tokens not reported · 1 of 20 calls/hour"


def test_the_agents_of_the_catalogue_are_offered_and_one_is_chosen(front):
    front.request("list_agents")
    assert {"echo", "lorem", "slow"} <= {each["slug"] for each in front.state["agents"]}

    front.request("choose_agent", agent="lorem")

    assert front.state["agent"] == "lorem"
    front.ask("hi")
    assert front.finished()[0]["agent"] == "lorem"


def test_the_transcript_says_all_and_nothing_in_it_acts(front, panel):
    front.ask("<script>alert(1)</script> **hi** ![x](https://evil.example/x.png)")
    front.finished()

    made = transcript_mimebundle(panel.chat.exchanges)

    assert made["text/html"].startswith("<details><summary>Transcript of the chat · 1 turn<")
    assert "&lt;script&gt;" in made["text/html"]
    assert "<strong>hi</strong>" in made["text/html"]
    assert not {"<script", "<img"} & set(made["text/html"].lower().split())
    assert "You: <script>alert(1)</script> **hi**" in made["text/plain"]
    assert [each["turn"] for each in made["application/vnd.swiftask.turn+json"]] == [
        each.reply.turn for each in panel.chat.exchanges
    ]


def test_a_long_transcript_keeps_the_newest(front, panel):
    for n in range(3):
        front.ask(f"{n}" * (MAX_TRANSCRIPT // 5))
        front.finished(n + 1)

    made = transcript_mimebundle(panel.chat.exchanges)

    assert "the first one is not shown" in made["text/html"]
    assert "0000" not in made["text/plain"]


def test_a_long_text_in_a_transcript_is_cut_and_hides_no_other(front, panel):
    front.ask("short")
    front.finished()
    front.ask("0123456789" * (MAX_TRANSCRIPT // 10))
    front.finished(2)

    made = transcript_mimebundle(panel.chat.exchanges)

    assert "not shown" not in made["text/html"]
    assert made["text/plain"].count("You: short\necho: ") == 1
    assert made["text/plain"].count("(cut here: export has all of it)") == 2


def test_what_left_the_transcript_is_still_counted_by_the_notebook(front, panel):
    for n in range(3):
        front.ask(f"{n}" * (MAX_TRANSCRIPT // 5))
        front.finished(n + 1)
    asked = [each.reply.turn for each in panel.chat.exchanges]
    front.request("switch_session", name=None)
    front.ask("beside it")
    front.finished()

    made = transcript_mimebundle(panel.chat.exchanges, panel.switcher.hidden_exchanges())

    told = [each["turn"] for each in made["application/vnd.swiftask.turn+json"]]
    assert told == [*asked, panel.chat.exchanges[0].reply.turn]


def test_the_transcript_follows_what_cells_take_back_and_the_choice_of_a_conversation(panel, front):
    written = []
    panel._transcript._publish = lambda made, **_: written.append(made["text/plain"])
    front.ask("taken back")
    front.finished()
    panel.chat.session.undo()

    panel.chat.on_cell_run(ran("%swiftask undo"))
    assert "taken back" in written[-2]
    assert "taken back" not in written[-1]

    count = len(written)
    front.request("switch_session", name=None)
    assert len(written) == count + 1


def test_a_cell_that_is_run_again_shows_what_was_stopped_and_stops_what_runs(
    front, panel, client, gate
):
    front.ask("hi", "gate")
    gate.let.release()
    front.wait(lambda: front.order and text(front.views[front.order[0]].root))
    front.request("stop")
    front.finished()
    front.ask("more", "slow")
    front.wait(lambda: len(front.order) == 2 and text(front.views[front.order[1]].root))
    panel.displayed_by = (None, "an earlier run")

    with contextlib.closing(ChatPanel(client)) as again:
        close_earlier_panels(again, [panel])
        late = Front(again, "w")
        late.request("get_snapshot")
        stopped, running = late.finished(2)

        assert (stopped["status"], running["status"]) == ("interrupted", "interrupted")
        assert all(late.exchange(key)["text"] for key in late.order)
        late.ask("and then")
        assert late.finished(3)[2]["status"] == "ok"


def test_a_view_that_is_quicker_than_the_panel_before_it_is_closed_sees_what_that_did(
    front, panel, client
):
    front.ask("more", "slow")
    front.wait(lambda: front.order and text(front.views[front.order[0]].root))
    panel.displayed_by = (None, "an earlier run")

    with contextlib.closing(ChatPanel(client)) as again:
        quick = Front(again, "w")
        quick.request("get_snapshot")
        close_earlier_panels(again, [panel])

        [said] = quick.finished()
        assert said["status"] == "interrupted"


def test_what_a_panel_was_stopped_from_sending_does_not_run_in_the_next(panel, client, monkeypatch):
    start, started = ReplyPublisher.start, []
    with monkeypatch.context() as patch:
        patch.setattr(ReplyPublisher, "start", lambda *given: started.append(given))
        panel.ask("hi", "slow")
    panel.displayed_by = (None, "an earlier run")

    with contextlib.closing(ChatPanel(client)) as again:
        close_earlier_panels(again, [panel])
        late = Front(again, "w")
        late.request("get_snapshot")
        start(*started[0])

        [said] = late.finished()
        assert said["status"] == "interrupted"


def test_python_asks_stops_and_exports_too(panel, front, tmp_path):
    asked = panel.ask("from python")
    front.finished()
    assert repr(asked) == "<asked 'from python': ok>"

    path = panel.export(tmp_path / "chat.md")

    assert "from python" in path.read_text()
    assert front.request("export")["text"] == path.read_text()
    panel.stop()  # nothing runs: nothing happens


def test_what_a_cell_asked_is_not_asked_again_by_the_panel(front, client, box):
    """It had a service, a system prompt, files of its own, and the panel knows none of them."""
    box.fail(Fault(status=400), agent="echo")
    with contextlib.suppress(errors.BadRequest):
        client.session().ask("hi", surface="cell", system="Be terse.", temperature=0)
    [failed] = front.finished()
    sent = len(box.requests)

    told = front.request("retry", key=failed["key"])

    assert told["error"] == "a cell asked this, with options of its own; run the cell again"
    assert len(box.requests) == sent


def test_what_a_cell_asked_in_python_is_not_edited_for_the_rest_of_its_run_stands_there_too(
    front, client, monkeypatch
):
    monkeypatch.setattr(client.means, "where", lambda: ("c1", "run 1"))
    for n in range(3):
        client.session().ask(f"question {n}")
    asked = front.finished(3)
    assert all(each["from_cell"] for each in asked)  # a view offers neither Edit nor Retry

    told = front.ask("another", key=asked[1]["key"])

    assert told["error"] == "a cell asked this, with options of its own; run the cell again"
    assert len(client.session().history()) == 3


def test_what_failed_in_a_cell_stands_beside_what_else_the_same_run_asked(
    front, client, box, monkeypatch
):
    monkeypatch.setattr(client.means, "where", lambda: ("c1", "run 1"))
    client.session().ask("one")
    box.fail(Fault(status=400), agent="echo")
    with contextlib.suppress(errors.BadRequest):
        client.session().ask("two")
    client.session().ask("three")
    box.fail(Fault(status=400), agent="echo")
    with contextlib.suppress(errors.BadRequest):
        client.session().ask("four")
    front.finished(4)

    front.request("get_snapshot")

    told = [(each["prompt"], each["status"]) for each in front.finished(4)]
    assert told == [("one", "ok"), ("two", "error"), ("three", "ok"), ("four", "error")]
    assert "still counts" not in front.finished(4)[3]["footer"]


def test_what_one_run_asks_stands_in_order_whichever_thread_tells_first(
    front, client, box, monkeypatch
):
    put, told = Chat._add, threading.Event()

    def late(chat, shown):
        if shown.prompt == "two":
            told.wait(WAIT)
        put(chat, shown)
        if shown.prompt == "three":
            told.set()

    monkeypatch.setattr(Chat, "_add", late)
    monkeypatch.setattr(client.means, "where", lambda: ("c1", "run 1"))
    client.session().ask("one")
    box.fail(Fault(status=400), agent="echo")
    with contextlib.suppress(errors.BadRequest):
        client.session().ask("two")
    client.session().ask("three")

    assert [each["prompt"] for each in front.finished(3)] == ["one", "two", "three"]


@pytest.fixture
def away(postgres_server, monkeypatch, tmp_path):
    """A ledger's server that a test may stop: it runs again afterwards."""
    monkeypatch.setenv("SWIFTASK_OUTBOX", str(tmp_path / "out"))
    monkeypatch.setattr("swiftask_jupyter.ledger.postgres.PAUSE", 0.0)
    monkeypatch.setenv("SWIFTASK_STORE", postgres_server.database())
    stopped = []

    def stop():
        postgres_server.stop()
        stopped.append(True)

    def start():
        if stopped:
            stopped.clear()
            postgres_server.start()

    yield SimpleNamespace(stop=stop, start=start)
    start()


def test_while_the_ledger_is_away_the_panel_asks_shows_and_is_free_again(away, client, capsys):
    with contextlib.closing(ChatPanel(client)) as panel:
        front = Front(panel)
        front.request("get_snapshot")
        front.ask("before")
        front.finished()
        away.stop()

        assert "error" not in front.ask("meanwhile")
        first, second = front.finished(2)

        assert (first["status"], second["status"], second["text"]) == ("ok", "ok", "meanwhile")
        assert "turns wait on this machine" in front.state["total"]
        assert "error" not in front.request("switch_session", name=None)
        assert "error" not in front.request("switch_session", name=front.state["sessions"][0])
        away.start()
        front.request("get_snapshot")
        assert [each["prompt"] for each in front.finished(2)] == ["before", "meanwhile"]
        front.ask("after")
        assert [each["text"] for each in front.finished(3)] == ["before", "meanwhile", "after"]
        assert front.state["total"].startswith("3 calls")


def test_an_answer_during_which_the_ledger_goes_away_ends_and_leaves_the_panel_free(
    away, client, gate
):
    with contextlib.closing(ChatPanel(client)) as panel:
        front = Front(panel)
        front.request("get_snapshot")
        front.ask("hi", "gate")
        gate.let.release()
        front.wait(lambda: front.order and text(front.views[front.order[0]].root))
        away.stop()

        gate.let.release(100)

        [said] = front.finished()
        assert said["status"] == "ok"


def let_fail(client, statement):
    """From now on a kind of statement fails in the ledger, as on a disk that is full."""
    with contextlib.closing(sqlite3.connect(client.store)) as ledger:
        ledger.execute(
            f"CREATE TRIGGER full BEFORE {statement} ON turns"
            " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )


def test_an_answer_whose_end_the_ledger_did_not_take_stays_in_view(front, client):
    front.ask("before")
    front.finished()
    let_fail(client, "UPDATE")

    front.ask("hi")

    _, said = front.finished(2)
    assert (said["status"], said["text"]) == ("ok", "hi")
    assert "its end is not in the ledger" in said["footer"]
    front.request("get_snapshot")
    assert [each["text"] for each in front.finished(2)] == ["before", "hi"]


def test_a_question_that_the_ledger_does_not_take_has_failed(front, client):
    let_fail(client, "INSERT")

    front.ask("hi")

    [said] = front.finished()
    assert said["status"] == "error"
    assert "database or disk is full" in said["error"]


def test_a_panel_is_opened_while_the_ledger_is_away_and_cells_run_without_a_word(
    away, client, shell, capsys
):
    away.stop()
    with contextlib.closing(ChatPanel(client)) as panel:
        front = Front(panel)
        assert "error" not in front.request("get_snapshot")
        shell.run_cell("'swiftask'")
        said = capsys.readouterr()
        assert "Error in callback" not in said.out + said.err
        front.ask("hi")
        assert front.finished()[0]["text"] == "hi"
    assert client.session().watchers == []


def test_what_was_attached_to_a_refused_question_goes_with_the_next(front, client, box):
    client.wanted = type(client.wanted)(box.url, box.token, "echo", "native")
    front.request("upload", [b"abc"], upload="f1", name="a.txt", size=3, offset=0)
    assert front.ask("  ", uploads=["f1"])["error"].startswith("the prompt is empty")

    assert "error" not in front.ask("look", uploads=["f1"])

    assert front.finished()[0]["files"] == ["a.txt"]
    assert "is not here" in front.ask("again", uploads=["f1"])["error"]


def test_the_limit_on_files_does_not_stop_one_that_is_on_its_way():
    uploads = Uploads()
    for n in range(MAX_FILES - 1):
        uploads.receive(f"f{n}", "a", 1, 0, b"x")
    uploads.receive("last", "b", 2, 0, b"x")

    uploads.receive("last", "b", 2, 1, b"y")

    assert uploads.get(["last"]) == [("b", b"xy")]
    with pytest.raises(errors.PromptError, match=f"and {MAX_FILES} files"):
        uploads.receive("one more", "c", 1, 0, b"x")


def test_files_that_a_page_left_when_it_was_loaded_again_make_room():
    uploads = Uploads()
    for n in range(MAX_FILES):
        uploads.receive(f"old.{n}", "a", 1, 0, b"x")

    for n in range(MAX_FILES):
        uploads.receive(f"new.{n}", "b", 1, 0, b"y")

    assert len(uploads.get([f"new.{n}" for n in range(MAX_FILES)])) == MAX_FILES
    with pytest.raises(errors.PromptError, match="is not here"):
        uploads.get([f"old.{MAX_FILES - 1}"])
    with pytest.raises(errors.PromptError, match=f"and {MAX_FILES} files"):
        uploads.receive("new.one more", "b", 1, 0, b"y")


def test_a_stop_that_comes_before_the_thread_watches_holds(panel, front, box, monkeypatch):
    start, started = ReplyPublisher.start, []
    monkeypatch.setattr(ReplyPublisher, "start", lambda *given: started.append(given))
    panel.ask("hi", "slow")

    panel.stop()
    start(*started[0])

    [said] = front.finished()
    assert said["status"] == "interrupted"
    assert not box.requests


def test_an_interrupt_while_a_question_is_told_leaves_the_panel_free(panel, front, box):
    send = panel._channel._send

    def strike(*_):
        panel._channel._send = send
        front.revision += 1  # a view that misses one asks for all of it
        raise KeyboardInterrupt

    panel._channel._send = strike
    with pytest.raises(KeyboardInterrupt):
        panel.ask("hi")

    assert "error" not in front.ask("again")
    struck, said = front.finished(2)
    assert (struck["status"], said["text"]) == ("interrupted", "again")
    assert len(box.requests) == 1


def test_a_stream_that_is_closed_first_sends_nothing(client, box):
    stream = client.stream("hi")
    stream.close()

    assert list(stream) == []
    assert not box.requests


def test_a_conversation_left_while_it_answers_goes_on_and_is_come_back_to(front, panel, gate, box):
    front.ask("hi", "gate")
    gate.let.release()
    front.wait(lambda: front.order and text(front.views[front.order[0]].root))
    main = front.state["session"]

    front.request("switch_session", name=None)
    assert (front.order, front.state["in_flight"]) == ([], None)
    told = len(front.messages)
    gate.let.release(2)
    asked = panel.switcher.open(main).in_flight
    until(lambda: "word2" in asked.exchange.reply.text)
    front.ask("beside it")
    front.finished()
    assert not [each for each in front.messages[told:] if each.get("key") == asked.exchange.key]

    front.request("switch_session", name=main)
    assert front.state["in_flight"] == front.order[0]
    front.wait(lambda: "word2" in front.exchange(front.order[0])["text"])
    gate.let.release(100)
    [said] = front.finished()
    assert said["status"] == "ok"
    assert box.wait_for(lambda: box.open_streams == 0) or box.open_streams == 0


def test_what_was_stopped_or_failed_is_there_on_coming_back(front, gate, box):
    front.ask("hi", "gate")
    gate.let.release()
    front.wait(lambda: front.order and text(front.views[front.order[0]].root))
    front.request("stop")
    front.finished()
    box.fail(Fault(status=400), agent="echo")
    front.ask("fails")
    before, main = front.finished(2), front.state["session"]

    front.request("switch_session", name=None)
    front.request("switch_session", name=main)

    assert front.finished(2) == before
    assert [each["status"] for each in before] == ["interrupted", "error"]


def test_a_cell_that_asks_in_a_conversation_that_is_not_shown_tells_the_views_nothing(
    front, client
):
    main = front.state["session"]
    front.request("switch_session", name=None)

    client.session(main).ask("elsewhere", surface="cell")

    assert front.order == []
    front.request("switch_session", name=main)
    assert [each["prompt"] for each in front.finished()] == ["elsewhere"]


def test_a_rating_of_an_answer_out_of_the_history_reaches_the_service_too(front, client, box):
    client.wanted = type(client.wanted)(box.url, box.client_token("echo"), "echo", "widget")
    front.ask("hi")
    front.finished()
    with contextlib.closing(ChatPanel(client)) as panel:
        again = Front(panel, "w")
        again.request("get_snapshot")

        assert "error" not in again.request("rate", key=again.order[0], liked=True)

    assert box.requests[-1].path.endswith("/widget/feedback")
    assert box.requests[-1].json["feedback"] == "POSITIVE"


def test_a_service_without_a_catalogue_offers_no_agents_and_that_is_no_error(front, box):
    box.fail(Fault(status=404), path="/public/bots", times=None)

    assert "error" not in front.request("list_agents")
    assert "error" not in front.request("list_agents")

    assert front.state["agents"] == []
    assert sum(seen.path == "/public/bots" for seen in box.requests) == 1


def test_agents_are_offered_only_by_the_service_that_has_them(front, client):
    front.request("list_agents")
    with Sandbox(agents={"other": "x"}) as other:
        client.wanted = type(client.wanted)(other.url, other.token, "other", "openai")
        front.request("get_snapshot")
        assert front.state["agents"] == []

        front.request("list_agents")

        assert "other" in {each["slug"] for each in front.state["agents"]}


def test_a_panel_of_any_client_takes_the_place_of_the_one_its_cell_showed_before(box):
    with Kernel({"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}) as kernel:
        kernel.run("from swiftask_jupyter import ChatPanel, Swiftask; client = Swiftask()", "a")
        for _ in range(3):
            assert kernel.run("ChatPanel(client)", "b").status == "ok"

        assert kernel.run("len(client.session().watchers)", "c").texts() == ["1"]


def test_the_total_counts_only_calls(front, client, tmp_path):
    session = client.session()
    session.ask("one two", cache="on", fresh=True)
    session.ask("one two", cache="on", fresh=True)
    session.read(session.export(tmp_path / "said.json"))
    front.ask("hi")

    front.finished(5)

    assert front.state["total"] == "2 calls · tokens not reported"


def test_the_total_says_how_many_turns_reported_nothing(front, client, box):
    front.ask("one two")
    front.finished()
    client.wanted = type(client.wanted)(box.url, box.token, "echo", "native")
    front.ask("one two")
    front.finished(2)

    assert front.state["total"].startswith("2 calls · ")
    assert front.state["total"].partition(" tokens")[2].startswith(" (1 not reported)")


def test_a_closed_panel_leaves_no_thread(client):
    panel = ChatPanel(client)
    front = Front(panel)
    front.request("get_snapshot")
    front.ask("hi")
    front.finished()
    mine = [each for each in threading.enumerate() if each.name == "swiftask-panel"]
    assert mine

    panel.close()

    for each in mine:
        each.join(WAIT)
        assert not each.is_alive()


def test_a_cell_that_asks_a_hundred_times_leaves_no_hundred_threads(front, client, monkeypatch):
    """What has ended beats until something else ends, whose heartbeats tell of both."""
    monkeypatch.setattr(
        "swiftask_jupyter.notebook.panel.reply_publisher.FINAL_HEARTBEATS", [0.1] * 10_000
    )

    for n in range(20):
        client.session().ask(f"question {n}", surface="cell")

    front.finished(20)
    until(lambda: [each.name for each in threading.enumerate()].count("swiftask-panel") == 1)


def test_an_answer_that_says_nothing_for_long_is_told_to_run():
    """So that a view which hears nothing at all can know that the kernel is gone."""
    told, now = [], [100.0]
    channel = Channel(lambda _, buffers: told.append(json.loads(buffers[0])["kind"]))
    shown = ExchangeView("hi", Reply("echo"))
    following = ReplyPublisher(shown, channel, None, lambda _: None, clock=lambda: now[0])

    for now[0] in (103.0, 107.0, 108.0, 114.0):
        following.publish_changes()
    shown.reply.apply([Delta("hello ")])
    for now[0] in (114.5, 116.0, 121.0):
        following.publish_changes()

    assert told == ["heartbeat", "heartbeat", "patch", "heartbeat"]


def test_a_heartbeat_does_not_overtake_what_it_tells_of():
    told = []

    def send(_, buffers):
        kind = json.loads(buffers[0])["kind"]
        if kind == "state":
            beats.start()
            beats.join(0.1)
        told.append(kind)

    channel = Channel(send)
    beats = threading.Thread(target=channel.heartbeat)
    channel.broadcast("state")
    beats.join(WAIT)

    assert told == ["state", "heartbeat"]


def test_a_conversation_whose_name_has_marks_is_gone_on_with_from_the_view(front, client):
    client.session("a\u200bb").ask("inside")
    front.request("get_snapshot")
    [told] = [name for name in front.state["sessions"] if name.startswith("a")]

    front.request("switch_session", name=told)

    assert [each["prompt"] for each in front.finished()] == ["inside"]


def test_files_of_a_turn_that_was_taken_back_are_let_go_and_come_back_with_what_it_replaced(
    front, client, box
):
    class Name(str):
        __slots__ = ("__weakref__",)

    client.wanted = type(client.wanted)(box.url, box.token, "echo", "native")
    name = Name("b.txt")
    gone = weakref.ref(name)
    front.panel.ask("one", files=[("a.txt", b"abc")])
    [said] = front.finished()
    front.ask("uno", key=said["key"])
    front.wait(lambda: said["key"] not in front.order)
    front.finished()
    client.session().undo()
    front.request("get_snapshot")
    [said] = front.finished()
    assert (said["prompt"], said["files"]) == ("one", ["a.txt"])

    front.panel.ask("two", files=[(name, b"de")])
    front.finished(2)
    del name
    client.session().undo()
    front.request("get_snapshot")

    front.finished()
    until(lambda: gc.collect() is not None and gone() is None)


def test_a_transcript_brings_its_style_once(front, panel):
    for n in range(3):
        front.ask(f"```python\nx = {n}\n```")
        front.finished(n + 1)

    assert transcript_mimebundle(panel.chat.exchanges)["text/html"].count("<style>") == 1
