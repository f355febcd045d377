"""The commands of `%swiftask`: how a line is understood, and the help."""

import pytest
from IPython.core.error import UsageError

from swiftask_jupyter.notebook.arguments import line_parser
from swiftask_jupyter.notebook.commands.registry import COLUMN, COMMANDS, WIDTH, help_text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("usge", "to ask: %%swiftask usge; did you mean usage"),
        ("sandbx", "did you mean sandbox"),
        ("config everything", "takes nothing"),
        ("usage everything", "unknown argument everything"),
        ("usage --sinse 7d", "did you mean --since"),
        ("usage <<", "needs a variable's name"),
        ("use", "takes 1 word;"),
        ("chat echo mirror", "takes at most 1 word;"),
        ("ask", "takes 1 to 2 words"),
        ('ask "open', "can't be read"),
    ],
)
def test_a_mistake_is_refused_with_the_nearest_command(connected, line, message):
    with pytest.raises(UsageError, match=message):
        connected.run_line_magic("swiftask", line)


def test_help_names_every_command_and_flag(connected, capsys):
    connected.run_line_magic("swiftask", "help")

    printed = capsys.readouterr().out
    flags = line_parser().flags()
    assert len(flags) > 20
    assert [flag for flag in flags if flag not in printed] == []
    for command in COMMANDS:
        assert f"%swiftask {command}".strip() in printed


def test_help_is_shown_behind_any_command(connected, box, capsys):
    connected.run_line_magic("swiftask", "ask --help")

    assert "%swiftask doctor" in capsys.readouterr().out
    assert box.requests == []


def test_a_prompt_behind_one_percent_sign_is_refused_with_the_cell_magic(connected):
    with pytest.raises(UsageError, match=r"%%swiftask echo"):
        connected.run_line_magic("swiftask", "echo hello")


def test_the_help_has_two_columns_and_fits_the_screen():
    lines = help_text().split("\n")

    assert [line for line in lines if len(line) > WIDTH] == []
    assert {
        line[COLUMN - 1] for line in lines[3:] if line.startswith("  -") and len(line) > COLUMN
    } == {" "}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_usage_of_a_command_begins_with_its_name(name):
    command = COMMANDS[name]

    assert command.usage
    assert {written.split()[0] if written else "" for written, _ in command.usage} == {name}
    assert command.least <= command.most
