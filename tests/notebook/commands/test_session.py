"""`%swiftask` commands for the conversation, in a shell and in a kernel that names its cells."""

import re
import sqlite3

import nbformat
import pytest
from IPython.core.error import UsageError
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from swiftask_jupyter import Swiftask, errors
from tests.support.cells import LOAD, contents, posts


def test_a_re_run_replaces_the_turn_of_its_cell(kernel, box):
    sent = []
    for cell, text in (("c1", "1"), ("c2", "2"), ("c1", "1'"), ("c5", "5"), ("c2", "2'")):
        assert kernel.run(f"%%swiftask echo\n{text}", cell=cell).status == "ok"
        sent.append([each for n, each in enumerate(contents(box)) if n % 2 == 0])
    held = kernel.run("h = %swiftask history\nlist(h['prompt']), list(h['stale'])")

    assert sent == [["1"], ["1", "2"], ["1'"], ["1'", "2", "5"], ["1'", "2'"]]
    assert held.texts() == ["([\"1'\", \"2'\", '5'], [False, False, True])"]


def test_two_questions_in_one_cell_are_both_kept_and_both_replaced(kernel, box):
    for texts in (("a", "b"), ("A", "B")):
        asks = "\n".join(f"%swiftask ask {text} echo" for text in texts)
        assert kernel.run(asks, cell="c1").status == "ok"

    assert contents(box) == ["A", "A", "B"]


def test_the_footer_says_which_answers_predate_an_edit(kernel):
    for cell, text in (("c1", "1"), ("c2", "2"), ("c3", "3")):
        kernel.run(f"%%swiftask echo\n{text}", cell=cell)

    ran = kernel.run("%%swiftask echo\nother", cell="c1")
    listed = kernel.run("%swiftask run stale")

    assert ran.texts()[1].endswith(" · turn 4 · 2 later answers predate this")
    assert re.findall(r"turn (\d)  echo  (\S+)", listed.texts()[0]) == [("2", "2"), ("3", "3")]


def test_a_python_turn_of_a_cell_fills_the_cells_slot(kernel, box):
    kernel.run("swiftask = %swiftask client")
    for text in ("one", "ONE"):
        kernel.run(f"swiftask.session().ask({text!r}, 'echo')", cell="c1")

    assert contents(box) == ["ONE"]


def test_history_is_a_frame_and_n_selects_its_last_rows(ask, command):
    for text in ("one", "two", "three"):
        ask("echo", text)

    frame = command("history")

    assert list(frame["prompt"]) == ["one", "two", "three"]
    assert frame["at"].dt.tz is not None
    assert list(command("history -n 2")["number"]) == [2, 3]
    assert list(command("history -n1")["answer"]) == ["three"]
    assert len(command("history -n 0")) == 0
    for wrong in ("2", "-n", "-n x", "-n -1", "-x 2", "-n1 2"):
        with pytest.raises(UsageError, match="history"):
            command(f"history {wrong}")


def test_commands_take_turns_out_and_say_which(ask, command, capsys):
    for text in ("one", "two", "three"):
        ask("echo", text)
    capsys.readouterr()

    command("undo")
    command("forget 1")
    command("purge 2")
    ask("echo", "four")
    command("reset")
    command("run stale")

    said = capsys.readouterr().out
    assert "turn 3 is taken back: three" in said
    assert "turn 1 has left the conversation: one" in said
    assert "erased from the ledger: the texts of 1 turn; " in said
    assert "anew; left to the ledger: 1 turn\n" in said
    assert "no answer predates" in said
    assert len(command("history")) == 0
    with pytest.raises(errors.ConfigurationError, match="nothing to undo"):
        command("undo")
    with pytest.raises(UsageError, match="'x' is no turn's number"):
        command("forget x")
    with pytest.raises(UsageError, match="only `run stale`"):
        command("run all")


def test_a_purge_warns_while_another_reader_keeps_the_erased_text(
    ask, command, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite.CHECKPOINT_SECONDS", 0.0)
    ask("echo", "correct horse")
    reader = sqlite3.connect(tmp_path / "turns.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM turns").fetchone()

    command("purge 1")

    def kept():
        return [file.name for file in tmp_path.glob("*") if b"correct horse" in file.read_bytes()]

    assert kept() == ["turns.db-wal"]
    assert "gone from turns.db-wal when all who have the ledger open" in capsys.readouterr().out
    reader.close()
    command("purge 1")
    assert kept() == []
    assert "turns.db-wal" not in capsys.readouterr().out


def test_conversations_are_named_listed_and_begun(ask, command, capsys):
    command("session study")
    ask("echo", "one")
    command("session new")
    command("session")
    command("session list")

    said = capsys.readouterr().out
    assert "study: 0 turns" in said
    assert said.count("new-2: 0 turns") == 2
    assert said.endswith("  study\n* new-2\n")
    with pytest.raises(UsageError, match="no name of a conversation"):
        command("session -x")


def test_a_conversation_is_exported_and_imported(ask, command, tmp_path, capsys, box):
    ask("echo", "one")
    command(f"export {tmp_path / 'talk.md'}")
    command("session other")
    command(f"import {tmp_path / 'talk.md'}")
    ask("echo", "two")

    assert contents(box) == ["one", "one", "two"]
    assert "1 turn of " in capsys.readouterr().out


def test_the_cache_is_turned_on_cleared_and_counted(ask, command, capsys, box):
    command("cache on")
    ask("echo", "one")
    command("undo")
    answer = ask("echo", "one")
    assert (answer.text, answer.reply.cached, len(posts(box))) == ("one", True, 1)
    command("cache stats")
    command("cache clear")
    command("cache strict")
    with pytest.raises(errors.Refused, match="strict asks nobody"):
        ask("echo", "one")
    command("cache off")
    ask("echo", "one")

    said = capsys.readouterr().out
    assert "cache on; 1 answer can be shown again, shown so far: 1\n" in said
    assert " · cached · turn 2" in said
    assert len(posts(box)) == 2
    with pytest.raises(UsageError, match="did you mean strict"):
        command("cache strct")


def test_run_all_twice_with_the_cache_sends_nothing_the_second_time(box, monkeypatch, tmp_path):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    cells = [f"{LOAD}\n%swiftask cache on", "%%swiftask lorem\none", "%%swiftask math\n6 * 7",
             "%%swiftask mirror\nthree"]  # fmt: skip
    runs, counts = [], []
    for _ in range(2):
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
        NotebookClient(notebook, timeout=60).execute()
        nbformat.validate(notebook)
        runs.append([cell.outputs[0]["data"]["text/plain"] for cell in notebook.cells[1:]])
        counts.append(len(box.requests))
    monkeypatch.setenv("SWIFTASK_CACHE", "strict")
    monkeypatch.setenv("SWIFTASK_API_KEY", "")
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in [LOAD, *cells[1:]]])
    NotebookClient(notebook, timeout=60).execute()

    assert runs[0] == runs[1]
    assert counts[0] == counts[1] == len(box.requests)
    assert [cell.outputs[0]["data"]["text/plain"] for cell in notebook.cells[1:]] == runs[0]


def test_pin_writes_a_turn_as_the_next_cell(connected, command, ask, monkeypatch):
    written = []
    monkeypatch.setattr(connected, "set_next_input", written.append)
    ask("echo --raw", "a {{b}}")

    command("pin 1")

    assert written == ["%%swiftask echo --raw\na {{b}}"]
    with pytest.raises(UsageError, match="no turn 2"):
        command("pin 2")


def test_a_chat_needs_a_notebook(command):
    with pytest.raises(errors.ConfigurationError, match="needs a notebook"):
        command("chat")


def test_adopt_goes_on_with_what_the_name_stood_for_before_and_says_how_to_go_back(
    ask, command, capsys, monkeypatch, tmp_path
):
    path = tmp_path / "nb.ipynb"
    path.write_text('{"cells": []}')
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    with Swiftask(agent="echo", notebook=path) as earlier:
        earlier.session().ask("one")
        former = earlier.session().id
    path.unlink()
    path.write_text('{"cells": []}')  # another file
    ask("echo", "two")
    capsys.readouterr()

    command("session adopt")

    first, second = capsys.readouterr().out.splitlines()
    assert first == f"main goes on with the conversation main of {path}: 1 turn"
    command("history")
    assert list(command("history")["prompt"]) == ["one"]
    assert second.startswith("to go back: %swiftask session adopt main-")
    command(second.removeprefix("to go back: %swiftask "))
    assert list(command("history")["prompt"]) == ["two"]
    command(f"session adopt {former}")
    assert list(command("history")["prompt"]) == ["one"]
    with pytest.raises(errors.ConfigurationError, match="no other conversation 'nobody'"):
        command("session adopt nobody")
    with pytest.raises(UsageError, match="takes one name"):
        command("session one two")
