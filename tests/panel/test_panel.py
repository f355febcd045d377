"""ChatPanel: its Python methods, its snapshots, and where it can be displayed."""

import contextlib
import gc
import threading

import pytest

from swiftask_jupyter import ChatPanel, errors
from swiftask_jupyter.notebook.markdown import parser
from swiftask_jupyter.notebook.panel.panel import close_earlier_panels
from swiftask_jupyter.notebook.panel.reply_publisher import ReplyPublisher
from tests.support.frontends import WAIT, HeadlessView
from tests.support.kernels import Kernel
from tests.support.notebooks import ask_from


def test_client_chat_opens_a_panel_of_that_client(client):
    with contextlib.closing(client.chat("echo", transcript=False)) as panel:
        assert isinstance(panel, ChatPanel)
        assert panel.client is client
        assert panel.agent == "echo"


def test_the_first_snapshot_loads_the_markdown_parser(panel):
    parser._markdown_it.cache_clear()
    HeadlessView(panel).request("get_snapshot")
    assert parser._markdown_it.cache_info().currsize


def test_a_question_gets_an_answer_and_is_counted(live, view):
    assert "error" not in view.ask("hello *you*")

    [exchange] = view.finished()
    assert exchange["prompt"] == "hello *you*"
    assert (exchange["text"], exchange["agent"]) == ("hello you", "echo")
    assert exchange["status"] == "ok"
    assert "turn 1" in exchange["footer"]
    assert view.state["total"].startswith("1 call · ")
    assert view.request("get_source", key=exchange["key"])["text"] == "hello *you*"


def test_python_can_ask_stop_and_export(panel, view, tmp_path):
    asked = panel.ask("from python")
    view.finished()
    assert repr(asked) == "<asked 'from python': ok>"

    path = panel.export(tmp_path / "chat.md")

    assert "from python" in path.read_text()
    assert view.request("export")["text"] == path.read_text()
    panel.stop()  # nothing is in flight, so this does nothing


def test_a_refused_request_gets_one_line_and_changes_nothing(view, client):
    assert view.ask("   ")["error"].startswith("the prompt is empty")
    assert "your token" in view.ask(f"say {client.connections.overrides.token}")["error"]
    retried = view.request("retry", key="nosuch")
    assert retried["error"].startswith("that message is not in")
    assert "KeyError" in view.request("nonsense")["error"]
    assert view.order == []


def test_two_views_show_the_same_and_a_late_view_gets_everything(panel, view):
    view.ask("# one\n\n- a\n- b")
    view.finished()
    late = HeadlessView(panel, "w")

    late.request("get_snapshot")

    assert late.order == view.order
    assert late.exchange(late.order[0]) == view.exchange(view.order[0])
    late.ask("two")
    assert late.finished(2) == view.finished(2)


def test_a_long_conversation_is_sent_in_pages(panel, client):
    session = client.session()
    for n in range(45):
        ask_from(session, f"q{n}")
    view = HeadlessView(panel)
    view.request("get_snapshot")
    assert len(view.order) == 30
    assert view.messages[-1]["earlier_count"] == 15

    page = view.request("get_earlier", key=view.order[0])

    assert [each["prompt"] for each in page["exchanges"]] == [f"q{n}" for n in range(15)]
    assert page["earlier_count"] == 0


@pytest.mark.parametrize(("given", "named"), [((), "nothing"), ((5,), "int")])
def test_an_argument_that_is_no_client_is_refused_and_leaves_no_widget(given, named):
    with pytest.raises(errors.ConfigurationError, match=f"takes a client, not {named}; ChatPanel"):
        ChatPanel(*given)
    gc.collect()  # a half-made widget would warn when it is collected, which fails the test


def test_a_closed_panel_says_that_it_is_closed(shell, panel, capsys):
    panel.close()
    with pytest.raises(errors.ConfigurationError, match="this chat panel is closed; ChatPanel"):
        panel.ask("hello")

    shell.user_ns["panel"] = panel
    shell.run_cell("panel")
    assert capsys.readouterr().out.endswith(
        "this chat panel is closed; ChatPanel(client) opens another\n"
    )


def test_a_panel_in_a_terminal_says_that_it_needs_a_notebook(client, shell, capsys):
    with contextlib.closing(ChatPanel(client)) as panel:
        shell.user_ns["panel"] = panel
        shell.run_cell("panel")

    printed = capsys.readouterr().out
    assert printed.endswith("a chat panel needs a notebook; ask with %%swiftask\n")
    assert printed.count("\n") == 1


def test_a_closed_panel_leaves_no_thread(client):
    panel = ChatPanel(client)
    view = HeadlessView(panel)
    view.request("get_snapshot")
    view.ask("hi")
    view.finished()
    threads = [each for each in threading.enumerate() if each.name == "swiftask-panel"]
    assert threads

    panel.close()

    for each in threads:
        each.join(WAIT)
        assert not each.is_alive()


def test_a_cell_that_is_run_again_shows_stopped_answers_and_stops_running_ones(
    view, panel, client, stepwise
):
    view.ask("hi", "stepwise")
    stepwise.step()
    view.wait_for_text()
    view.request("stop")
    view.finished()
    view.ask("more", "slow")
    view.wait_for_text(1)
    panel.displayed_by = (None, "an earlier run")

    with contextlib.closing(ChatPanel(client)) as again:
        close_earlier_panels(again, [panel])
        late = HeadlessView(again, "w")
        late.request("get_snapshot")
        stopped, running = late.finished(2)

        assert (stopped["status"], running["status"]) == ("interrupted", "interrupted")
        assert all(late.exchange(key)["text"] for key in late.order)
        late.ask("and then")
        assert late.finished(3)[2]["status"] == "ok"


def test_a_view_that_connects_before_the_earlier_panel_is_closed_gets_its_exchanges(
    view, panel, client
):
    view.ask("more", "slow")
    view.wait_for_text()
    panel.displayed_by = (None, "an earlier run")

    with contextlib.closing(ChatPanel(client)) as again:
        early = HeadlessView(again, "w")
        early.request("get_snapshot")
        close_earlier_panels(again, [panel])

        [exchange] = early.finished()
        assert exchange["status"] == "interrupted"


def test_a_question_stopped_before_it_was_sent_does_not_run_in_the_next_panel(
    panel, client, monkeypatch
):
    start, started = ReplyPublisher.start, []
    with monkeypatch.context() as patch:
        patch.setattr(ReplyPublisher, "start", lambda *args: started.append(args))
        panel.ask("hi", "slow")
    panel.displayed_by = (None, "an earlier run")

    with contextlib.closing(ChatPanel(client)) as again:
        close_earlier_panels(again, [panel])
        late = HeadlessView(again, "w")
        late.request("get_snapshot")
        start(*started[0])

        [exchange] = late.finished()
        assert exchange["status"] == "interrupted"


def test_a_panel_replaces_the_panel_that_an_earlier_run_of_its_cell_displayed(box):
    with Kernel({"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}) as kernel:
        kernel.run("from swiftask_jupyter import ChatPanel, Swiftask; client = Swiftask()", "a")
        for _ in range(3):
            assert kernel.run("ChatPanel(client)", "b").status == "ok"

        assert kernel.run("len(client.session().watchers)", "c").texts() == ["1"]
