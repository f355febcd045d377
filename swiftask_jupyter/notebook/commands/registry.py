"""The list of all commands of `%swiftask`, how one is run, and the help on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap

from IPython.core.error import UsageError

from swiftask_jupyter.notebook.arguments import line_options, split_words, suggestion
from swiftask_jupyter.notebook.commands import (
    Command,
    agents,
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
%%swiftask [AGENT …] [-a FILE] [-o KEY=VALUE] [-c NAME] [options] [NAME << | NAME =<<]
prompt, with {{name}}, {{name.attribute}}, {{name["key"]}}, {{number:.2f}} filled in
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
    """Run the line of `%swiftask`: a command, then its own words.

    Raises:
        UsageError: there is no such command, or it takes another number of words.
    """
    word, _, rest = line.strip().partition(" ")
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


def _number(command: Command) -> str:
    """Return how many words a command takes, in words."""
    least, most = command.least, command.most
    if not most:
        return "nothing"
    words = quantity(most, "word")
    if most == least:
        return words
    return f"{least} to {words}" if least else f"at most {words}"


def help_text() -> str:
    """Return the help on the options of `%%swiftask` and on every command."""
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
    """Return the flags of an option and the word for its value, as the help shows them."""
    return f"{', '.join(option.flags)} {option.metavar}".rstrip()


def _rows(rows: Iterable[tuple[str, str]], *, indent: int = 0) -> Iterator[str]:
    """Yield the lines of a table of two columns; a long left cell has a line for itself."""
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
    **usage.COMMANDS,
    **settings.COMMANDS,
    **sandbox.COMMANDS,
    "help": Command(_help, (("help", "this text"),)),
}
