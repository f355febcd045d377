"""The panel while the ledger cannot be reached, read or written."""

import contextlib
import sqlite3

from swiftask_jupyter import ChatPanel
from tests.support.frontends import HeadlessView


def make_ledger_fail(client, statement):
    """Let a kind of statement fail in the ledger from now on, as on a full disk."""
    with contextlib.closing(sqlite3.connect(client.store)) as ledger:
        ledger.execute(
            f"CREATE TRIGGER full BEFORE {statement} ON turns"
            " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )


def test_the_panel_works_while_the_ledger_cannot_be_reached(ledger_server, client, capsys):
    with contextlib.closing(ChatPanel(client)) as panel:
        view = HeadlessView(panel)
        view.request("get_snapshot")
        view.ask("before")
        view.finished()
        ledger_server.stop()

        assert "error" not in view.ask("meanwhile")
        first, second = view.finished(2)

        assert (first["status"], second["status"], second["text"]) == ("ok", "ok", "meanwhile")
        assert "turns wait on this machine" in view.state["total"]
        assert "error" not in view.request("switch_session", name=None)
        assert "error" not in view.request("switch_session", name=view.state["sessions"][0])
        ledger_server.start()
        view.request("get_snapshot")
        assert [each["prompt"] for each in view.finished(2)] == ["before", "meanwhile"]
        view.ask("after")
        assert [each["text"] for each in view.finished(3)] == ["before", "meanwhile", "after"]
        assert view.state["total"].startswith("3 calls")


def test_an_answer_ends_although_the_ledger_is_lost_while_it_streams(
    ledger_server, client, stepwise
):
    with contextlib.closing(ChatPanel(client)) as panel:
        view = HeadlessView(panel)
        view.request("get_snapshot")
        view.ask("hi", "stepwise")
        stepwise.step()
        view.wait_for_text()
        ledger_server.stop()

        stepwise.step(100)

        [exchange] = view.finished()
        assert exchange["status"] == "ok"


def test_an_answer_whose_end_the_ledger_did_not_take_stays_in_the_panel(view, client):
    view.ask("before")
    view.finished()
    make_ledger_fail(client, "UPDATE")

    view.ask("hi")

    _, exchange = view.finished(2)
    assert (exchange["status"], exchange["text"]) == ("ok", "hi")
    assert "its end is not in the ledger" in exchange["footer"]
    view.request("get_snapshot")
    assert [each["text"] for each in view.finished(2)] == ["before", "hi"]


def test_a_question_that_the_ledger_does_not_take_fails(view, client):
    make_ledger_fail(client, "INSERT")

    view.ask("hi")

    [exchange] = view.finished()
    assert exchange["status"] == "error"
    assert "database or disk is full" in exchange["error"]


def test_a_panel_can_be_opened_while_the_ledger_cannot_be_reached(
    ledger_server, client, shell, capsys
):
    """Cells that run meanwhile print no error of the panel's callback."""
    ledger_server.stop()
    with contextlib.closing(ChatPanel(client)) as panel:
        view = HeadlessView(panel)
        assert "error" not in view.request("get_snapshot")
        shell.run_cell("'swiftask'")
        printed = capsys.readouterr()
        assert "Error in callback" not in printed.out + printed.err
        view.ask("hi")
        assert view.finished()[0]["text"] == "hi"
    assert client.session().watchers == []
