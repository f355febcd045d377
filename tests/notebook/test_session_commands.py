"""The conversation in a shell and in a kernel: options, commands, several agents at once."""

import re
import sqlite3

import nbformat
import pytest
from IPython.core.error import UsageError
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.kernels import Kernel

LOAD = "%load_ext swiftask_jupyter"


@pytest.fixture
def ask(shell, box, monkeypatch):
    """Runs a cell of the shell; what is sent stands in `box.requests`."""
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    return lambda line, text: shell.run_cell_magic("swiftask", line, text)


@pytest.fixture
def command(shell, ask):
    return lambda line: shell.run_line_magic("swiftask", line)


@pytest.fixture
def kernel(box):
    environment = {"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    with Kernel(environment) as kernel:
        kernel.run(LOAD)
        yield kernel


def contents(box):
    return [each["content"] for each in box.requests[-1].json["messages"]]


def posts(box):
    return [seen for seen in box.requests if seen.method == "POST"]


def test_the_story_of_a_notebook_in_a_kernel_that_names_its_cells(kernel, box):
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


def test_the_footer_says_what_predates_an_edit(kernel):
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


def test_options_of_a_cell_say_what_is_sent(ask, box):
    ask("echo", "one")
    ask("echo --fresh", "two")
    assert contents(box) == ["two"]
    ask("echo --no-history", "three")
    assert contents(box) == ["three"]
    ask("echo --last 1", "four")
    assert contents(box) == ["two", "two", "four"]
    ask("echo -s other", "five")
    assert contents(box) == ["five"]


def test_the_history_is_a_frame_and_n_its_last_rows(ask, command):
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


def test_a_purge_says_so_while_another_reader_keeps_what_it_erased(
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


def test_a_conversation_is_written_and_read(ask, command, tmp_path, capsys, box):
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


def test_one_cell_may_show_an_earlier_answer_again(ask, box):
    ask("echo", "one")

    assert ask("echo --fresh --cache", "one").reply.cached
    assert not ask("echo --fresh", "one").reply.cached
    assert len(posts(box)) == 2


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


def test_earlier_inputs_and_outputs_are_names_like_others(kernel, box):
    kernel.run("6 * 7")

    kernel.run("%%swiftask echo\n{{In[2]}} is {{Out[2]}}")

    assert contents(box)[-1] == "6 * 7 is 42"


# Several agents


def test_several_agents_answer_side_by_side(kernel, box):
    kernel.run("%%swiftask echo\nhello", cell="c1")
    ran = kernel.run("%%swiftask echo mirror lorem\ntwo", cell="c2")
    shape = kernel.run("_.frame()[['agent', 'status']].values.tolist(), _['echo'].text")

    assert ran.status == "ok"
    [shown] = ran.outputs
    assert [record["agent"] for record in shown["data"][TURN_MIME_TYPE]] == [
        "echo",
        "mirror",
        "lorem",
    ]
    assert shown["data"]["text/html"].count("<table>") == 1
    assert shape.texts() == ["([['echo', 'ok'], ['mirror', 'ok'], ['lorem', 'ok']], 'two')"]
    assert all(
        [each["content"] for each in seen.json["messages"]] == ["hello", "hello", "two"]
        for seen in posts(box)[1:]
    )
    kernel.run("%%swiftask echo\nthree", cell="c3")
    assert contents(box) == ["hello", "hello", "three"]
    assert kernel.run("%swiftask pick echo", cell="c4").status == "ok"
    kernel.run("%%swiftask echo\nfour", cell="c4")
    assert contents(box)[::2] == ["hello", "three", "two", "four"]


def test_a_compared_variable_shows_its_columns_in_a_later_cell(kernel):
    made = kernel.run("%%swiftask echo lorem cmp <<\nhello")
    later = kernel.run("cmp")

    assert "hello" not in made.texts()[0]
    [shown] = later.outputs
    assert shown["data"]["text/html"].count('<div style="flex') == 2
    assert shown["data"]["text/plain"].startswith("echo:\nhello\necho · ")


def test_what_comes_beside_a_compared_text_is_shown_too(kernel):
    ran = kernel.run("%%swiftask image echo\na cat")

    [shown] = ran.outputs
    [url] = re.findall(r'<a href="(http[^"]*/files/[^"]*)"', shown["data"]["text/html"])
    assert f"- file: picture.png {url}\nimage · " in shown["data"]["text/plain"]


def test_what_comes_beside_is_not_shown_where_the_answers_go_into_a_variable(kernel):
    ran = kernel.run("%%swiftask image echo cmp <<\na cat")

    assert "picture.png" not in str(ran.outputs)


def test_an_agent_that_was_not_compared_is_named_in_one_line(ask):
    compared = ask("echo lorem", "hello")

    with pytest.raises(errors.ConfigurationError, match=r"'nope' is not .*echo, lorem"):
        compared["nope"]


def test_an_agent_asked_twice_that_failed_twice_is_no_answer(ask, box):
    box.fail(Fault(status=400), agent="echo", times=None)

    with pytest.raises(errors.BadRequest):
        ask("echo echo", "hello")


def test_an_agent_that_fails_leaves_the_others_shown_and_fails_the_cell(kernel):
    ran = kernel.run("%%swiftask echo nobody both <<\nhello")

    assert ran.status == "error"
    assert ran.error.startswith("ServiceError: 1 of 2 answered; nobody: 400: ")
    assert [record["status"] for record in ran.outputs[0]["data"][TURN_MIME_TYPE]] == [
        "ok",
        "error",
    ]
    assert kernel.run("both['echo'].text").texts() == ["'hello'"]


def test_an_interrupt_stops_them_all(kernel, box):
    asked = kernel.send("%%swiftask slow lorem\nhello")
    assert box.wait_for(lambda: len(posts(box)) == 2 and posts(box)[-1].first_byte)
    kernel.interrupt()
    ran = kernel.finish(asked)

    assert ran.error.startswith("Interrupted: stopped; ")
    assert box.wait_for(lambda: box.open_streams == 0)
    statuses = [record["status"] for record in ran.outputs[0]["data"][TURN_MIME_TYPE]]
    assert statuses[0] == "interrupted"


def test_several_agents_in_a_terminal(ask, capsys, box):
    box.fail(Fault(status=500), agent="mirror", times=None)

    compared = ask("echo lorem", "hello")

    said = capsys.readouterr().out
    assert said.startswith("echo:\nhello\necho · ")
    assert "lorem:\n# The garden" in said
    assert repr(compared) == "<Comparison of echo, lorem>"
    assert len(compared) == 2


def test_a_compared_variable_shows_itself_in_a_terminal_once_a_cell(shell, ask, capsys):
    shell.run_cell("%%swiftask echo lorem\nhello", store_history=True)
    assert capsys.readouterr().out.count("echo:\nhello\n") == 1

    shell.run_cell("%%swiftask echo lorem cmp <<\nhello", store_history=True)
    assert "echo:" not in capsys.readouterr().out
    shell.run_cell("cmp", store_history=True)
    assert "echo:\nhello\necho · " in capsys.readouterr().out


def test_an_agent_compared_with_itself_is_picked_by_the_turns_number(ask, command, capsys):
    ask("echo echo", "hello")

    command("pick 1")

    assert capsys.readouterr().out.endswith("turn 1 of echo is in the conversation: hello\n")
    assert command("history")["number"].tolist() == [1]
