"""The table of all `%swiftask` commands, the function that runs a command, and the help text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap

from IPython.core.error import UsageError

from swiftask_jupyter.notebook.arguments import (
    line_options,
    split_words,
    suggestion,
    without_comment,
)
from swiftask_jupyter.notebook.commands import (
    Command,
    agents,
    privacy,
    sandbox,
    session,
    settings,
    usage,
)
from swiftask_jupyter.notebook.context import NotebookContext
from swiftask_jupyter.options import AGENT, BatchOptions, Option, options_of
from swiftask_jupyter.support.wording import quantity

HELP_WORDS = ("help", "--help", "-h")
WIDTH = 98
COLUMN = 28  # where the explanations begin

_HEAD = """\
%%swiftask [AGENT …] [-a FILE] [-o KEY=VALUE] [-c NAME] [options] [NAME << | NAME =<<] [# …]
prompt, with {{name}}, {{name.attribute}}, {{name["key"]}}, {{number:.2f}},
{{frame:all}} filled in
"""
_TARGETS = (
    ("NAME <<", "put the answer into a variable and show only its footer"),
    ("NAME =<<", "put it into a variable and show it"),
)
_FOOT = """\
Of the settings, the first counts: a cell's options; %config SwiftaskMagics, or a command if it
came later; SWIFTASK_API_KEY, SWIFTASK_AGENT_SLUG, SWIFTASK_BASE_URL, SWIFTASK_DIALECT; .env;
[tool.swiftask] in pyproject.toml; your config.toml."""


def run_command(context: NotebookContext, line: str) -> object:
    """Run a command of `%swiftask`, and return the value of the cell.

    Args:
        context: the shell and its client.
        line: the command's name and arguments. An empty line runs the command that shows the
            status.

    Raises:
        UsageError: the command does not exist, or the command has too few or too many arguments.
    """
    word, _, rest = without_comment(line).strip().partition(" ")
    word = "help" if word in HELP_WORDS else word
    if word not in COMMANDS:
        hint = suggestion(word, COMMANDS)
        raise UsageError(f"no command {word}; to ask: %%swiftask {word}{hint}")
    words = split_words(rest)
    if {"--help", "-h"} & {*words}:
        word, words = "help", []
    command = COMMANDS[word]
    if not command.least <= len(words) <= command.most:
        raise UsageError(f"%swiftask {word} takes {_number(command)}; see %swiftask help")
    return command.run(context, *words)


def refuse_command(line: str) -> None:
    """Raise an error if the user has written a command after `%%swiftask` instead of `%swiftask`.

    Args:
        line: the text after `%%swiftask` in a cell without a prompt.

    Raises:
        UsageError: the line begins with a command.
    """
    line = without_comment(line).strip()
    if line.partition(" ")[0] in [*filter(None, COMMANDS)]:
        raise UsageError(f"a command has one percent sign: %swiftask {line}")


def _number(command: Command) -> str:
    """Return the allowed number of arguments of a command as text, such as `1 to 2 words`."""
    least, most = command.least, command.most
    if not most:
        return "nothing"
    words = quantity(most, "word")
    if most == least:
        return words
    return f"{least} to {words}" if least else f"at most {words}"


def help_text() -> str:
    """Return the text of `%swiftask help`: all options of `%%swiftask`, and all commands."""
    batch = (
        name
        for name, option in options_of(BatchOptions).items()
        if not option.flags and not option.is_field
    )
    options = [
        ("AGENT", AGENT.help),
        *((_written(each), each.flag_help or each.help) for each in line_options().values()),
        ("-o … with --over", f"sets these too: {', '.join(batch)}"),
        *_TARGETS,
    ]
    commands = [
        (f"%swiftask {written}".rstrip(), meaning)
        for command in COMMANDS.values()
        for written, meaning in command.usage
    ]
    return "\n".join([_HEAD, *_rows(options, indent=2), "", *_rows(commands), "", _FOOT])


def _written(option: Option) -> str:
    """Return an option as written in the help text, such as `-c, --connection NAME`."""
    return f"{', '.join(option.flags)} {option.metavar}".rstrip()


def _rows(rows: Iterable[tuple[str, str]], *, indent: int = 0) -> Iterator[str]:
    """Format pairs of texts as a table with two columns, and yield the lines of the table.

    If the left text is too long for its column, the right text begins on the next line.
    """
    for left, right in rows:
        margin = " " * COLUMN
        lines = wrap(right, WIDTH, initial_indent=margin, subsequent_indent=margin)
        first, *others = wrap(" " * indent + left, WIDTH, subsequent_indent="    ")
        if not others and len(first) < COLUMN:
            yield first.ljust(COLUMN) + lines.pop(0).lstrip()
        else:
            yield from (first, *others)
        yield from lines


def _help(_: NotebookContext) -> None:
    print(help_text())


COMMANDS: dict[str, Command] = {
    "": settings.STATUS,
    **agents.COMMANDS,
    **session.COMMANDS,
    **privacy.COMMANDS,
    **usage.COMMANDS,
    **settings.COMMANDS,
    **sandbox.COMMANDS,
    "help": Command(_help, (("help", "this text"),)),
}
