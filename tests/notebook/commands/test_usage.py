"""`%swiftask usage` and `%swiftask budget`: frames, sums, pictures and saved notebooks."""

import nbformat
import pandas as pd
import pytest
from IPython.core.error import UsageError
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_notebook, new_output

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.ledger.notebook_record import record_of
from swiftask_jupyter.notebook.commands.registry import help_text
from swiftask_jupyter.notebook.commands.usage import usage_options

pytestmark = pytest.mark.usefixtures("live")


@pytest.fixture
def spent(connected):
    """A shell that has asked two agents."""
    connected.run_cell_magic("swiftask", "echo --dialect openai one <<", "hello")
    connected.run_cell_magic("swiftask", "lorem --dialect native two <<", "hello")
    return connected


def test_the_help_names_every_option():
    flags = [flag for option in usage_options().values() for flag in option.flags]

    assert len(flags) == 9
    assert [flag for flag in flags if f"[{flag}" not in help_text()] == []


def test_usage_is_a_frame(connected):
    connected.run_cell_magic("swiftask", "echo", "hello\n")

    connected.run_cell("f = %swiftask usage")

    assert list(connected.user_ns["f"]["agent"]) == ["echo"]


def test_the_frame_can_be_assigned_in_two_ways(spent, command):
    frame = command("usage")
    spent.run_cell("f = %swiftask usage --agent echo")

    assert command("usage --by agent calls <<") is None
    assert frame["agent"].tolist() == ["echo", "lorem"]
    assert spent.user_ns["f"]["agent"].tolist() == ["echo"]
    assert spent.user_ns["calls"]["calls"].tolist() == [1, 1]


@pytest.mark.parametrize("name", ["class", "1st", "a.b"])
def test_what_is_no_name_takes_no_frame(spent, command, name):
    with pytest.raises(UsageError, match="needs a variable's name"):
        command(f"usage {name} <<")


def test_options_select_and_group_calls(spent, command):
    assert command("usage --since 1h --by day,agent")["agent"].tolist() == ["echo", "lorem"]
    assert command("usage --since 2300-01-01").empty
    assert command("usage --text")["prompt"].tolist() == ["hello", "hello"]
    assert len(command("usage --notebook all")) == 2
    with pytest.raises(errors.ConfigurationError, match="which notebook this is, is not known"):
        command("usage --notebook .")


@pytest.mark.parametrize("option", ["--text", "--plot", "--plot --from x.ipynb"])
def test_options_that_do_not_go_together_are_refused(spent, command, option):
    with pytest.raises(UsageError, match="don't go together"):
        command(f"usage --by agent {option}")


def test_plot_is_a_figure(spent, command):
    assert isinstance(command("usage --plot"), Figure)
    assert plt.get_fignums() == []


def test_from_files_says_how_many_turns_of_the_ledger_are_not_there(
    spent, command, capsys, tmp_path
):
    reply = spent.user_ns["two"].reply
    output = new_output("display_data", {TURN_MIME_TYPE: record_of(reply)})
    path = tmp_path / "a b.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("", outputs=[output])]), path)
    capsys.readouterr()

    frame = command(f'usage --from "{path}"')
    sums = command(f'usage --by agent --from "{path}"')

    line = "1 turn in the files; 1 of the ledger's 2 not there\n"
    assert capsys.readouterr().out == line * 2
    pd.testing.assert_series_equal(frame["credits"], command("usage --agent lorem")["credits"])
    assert sums["calls"].tolist() == [1]
    with pytest.raises(UsageError, match="--since and --from don't go together"):
        command(f'usage --since 7d --from "{path}"')


def test_a_file_that_can_not_be_read_is_one_line_without_code(command, capsys, tmp_path):
    (tmp_path / "a.ipynb").write_text("nothing")

    command(f"usage --from {tmp_path}/**")

    assert capsys.readouterr().err == f"{tmp_path}/a.ipynb: it can't be read: it is not JSON\n"


def test_a_budget_is_set_raised_shown_and_dropped(command, capsys):
    for line in (
        "budget",
        "budget 5 calls/day",
        "budget raise 7 calls/day",
        "budget drop calls/day",
    ):
        command(line)

    assert capsys.readouterr().out.splitlines() == [
        "no budget; set one: %swiftask budget 500 credits/day",
        "0 of 5 calls/day (0 %)",
        "0 of 7 calls/day (0 %)",
        "no budget; set one: %swiftask budget 500 credits/day",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("budget raise", "which one"),
        ("budget drop all", "none to drop"),
        ("budget 5 calls/day --notebook nowhere.ipynb", "there is no notebook"),
        ("budget 5 calls/day --notebook .", "which notebook this is, is not known"),
        ("budget 5 calls/day --agnt x", "did you mean --agent"),
    ],
)
def test_a_mistake_in_a_budget_is_explained(command, line, message):
    with pytest.raises(UsageError, match=message):
        command(line)
