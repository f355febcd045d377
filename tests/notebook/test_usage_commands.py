"""`%swiftask usage`: the frame, its groups, its picture, and what the files hold."""

import nbformat
import pandas as pd
import pytest
from IPython.core.error import UsageError
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_notebook, new_output

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.ledger.record import record_of
from swiftask_jupyter.ledger.turns import Turns
from swiftask_jupyter.notebook.commands.registry import help_text
from swiftask_jupyter.notebook.commands.usage import usage_options


@pytest.fixture
def connected(shell, box, monkeypatch):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    shell.run_cell_magic("swiftask", "echo --dialect openai one <<", "hello")
    shell.run_cell_magic("swiftask", "lorem --dialect native two <<", "hello")
    return shell


def said(shell, line):
    return shell.run_line_magic("swiftask", line)


def test_the_help_names_every_option():
    flags = [flag for option in usage_options().values() for flag in option.flags]

    assert len(flags) == 8
    assert [flag for flag in flags if f"[{flag}" not in help_text()] == []


def test_a_line_gives_the_frame_and_may_be_assigned_either_way(connected):
    frame = said(connected, "usage")
    connected.run_cell("f = %swiftask usage --agent echo")

    assert said(connected, "usage --by agent calls <<") is None
    assert frame["agent"].tolist() == ["echo", "lorem"]
    assert connected.user_ns["f"]["agent"].tolist() == ["echo"]
    assert connected.user_ns["calls"]["calls"].tolist() == [1, 1]


def test_options_choose_and_group(connected):
    assert said(connected, "usage --since 1h --by day,agent")["agent"].tolist() == ["echo", "lorem"]
    assert said(connected, "usage --since 2300-01-01").empty
    assert said(connected, "usage --text")["prompt"].tolist() == ["hello", "hello"]
    assert len(said(connected, "usage --notebook all")) == 2
    with pytest.raises(errors.ConfigurationError, match="which notebook this is, is not known"):
        said(connected, "usage --notebook .")


@pytest.mark.parametrize("option", ["--text", "--plot", "--plot --from x.ipynb"])
def test_of_two_options_none_is_passed_over(connected, option):
    with pytest.raises(UsageError, match="don't go together"):
        said(connected, f"usage --by agent {option}")


def test_plot_is_a_figure(connected):
    assert isinstance(said(connected, "usage --plot"), Figure)
    assert plt.get_fignums() == []


def test_from_files_says_how_many_turns_of_the_ledger_are_not_there(connected, capsys, tmp_path):
    reply = connected.user_ns["two"].reply
    output = new_output("display_data", {TURN_MIME_TYPE: record_of(reply)})
    path = tmp_path / "a b.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("", outputs=[output])]), path)
    capsys.readouterr()

    frame = said(connected, f'usage --from "{path}"')
    sums = said(connected, f'usage --by agent --from "{path}"')

    line = "1 turn in the files; 1 of the ledger's 2 not there\n"
    assert capsys.readouterr().out == line * 2
    pd.testing.assert_series_equal(
        frame["credits"], said(connected, "usage --agent lorem")["credits"]
    )
    assert sums["calls"].tolist() == [1]
    with pytest.raises(UsageError, match="--since and --from don't go together"):
        said(connected, f'usage --since 7d --from "{path}"')


def test_nothing_is_written_between_the_request_and_the_first_text(client, box, monkeypatch):
    written, texts = [], []
    for name in ("begin", "complete", "refuse"):
        real = getattr(Turns, name)

        def noted(self, reply, *others, real=real, name=name):
            written.append((name, len(box.requests), len(texts)))
            return real(self, reply, *others)

        monkeypatch.setattr(Turns, name, noted)
    begun = []
    write = type(client._ledger.store).write
    monkeypatch.setattr(
        type(client._ledger.store), "write", lambda self: begun.append(len(texts)) or write(self)
    )
    client.session()  # its own row is written when it is first asked for
    client.place  # noqa: B018 - as above
    begun.clear()

    for event in client.session().stream("hello there"):
        texts += [event]

    assert written == [("begin", 0, 0), ("complete", 1, written[1][2])]
    assert begun[0] == 0
    assert len(begun) == 2


def test_a_file_that_can_not_be_read_is_one_line_with_no_code_of_ours(connected, capsys, tmp_path):
    (tmp_path / "a.ipynb").write_text("nothing")

    said(connected, f"usage --from {tmp_path}/**")

    assert capsys.readouterr().err == f"{tmp_path}/a.ipynb: it can't be read: it is not JSON\n"
