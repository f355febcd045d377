"""The commands `%swiftask privacy` and `%swiftask purge`.

`privacy` reports what is sent and what is kept. `purge` erases texts from the ledger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from IPython.core.error import UsageError

from swiftask_jupyter.notebook.arguments import LineParser
from swiftask_jupyter.notebook.commands import Command
from swiftask_jupyter.notebook.context import NotebookContext
from swiftask_jupyter.options import Option, PurgeOptions, options_of
from swiftask_jupyter.support.wording import quantity

MOST_WORDS = 4
# What the command takes in addition to the options of `Swiftask.purge`.
YES = Option("erase; without it, --before and --all only count", ("--yes",), const=True)


def _privacy(context: NotebookContext) -> None:
    from swiftask_jupyter.notebook.privacy import describe

    for line in describe(context.client, input_history=_input_history(context)):
        print(line)


def _input_history(context: NotebookContext) -> Path | None:
    """Return the path of the file in which IPython keeps the source of each cell.

    If IPython keeps no sources, return `None`.
    """
    manager: Any = context.shell.history_manager
    if manager is None or not manager.enabled:
        return None
    path = Path(str(manager.hist_file))
    return path if path.is_file() else None


def _purge(context: NotebookContext, *words: str) -> None:
    parser = LineParser(prog="%swiftask purge: ", add_help=False, allow_abbrev=False)
    parser.add_argument("number", nargs="?")
    for name, option in {**options_of(PurgeOptions), "yes": YES}.items():
        parser.add_option(name, option)
    given = {name: value for name, value in vars(parser.parse_args(words)).items()
             if value is not None}  # fmt: skip
    client, confirmed = context.client, given.pop("yes", False)
    if len(given) != 1:
        raise UsageError("%swiftask purge takes a turn's number, --session, --before TIME or --all")
    if "number" in given:
        count = client.session().purge(turn_number(given["number"]))
    else:
        if "session" in given:
            given["session"] = given["session"] or client.current
        elif not confirmed:
            _refuse_unconfirmed(context, given)
        count = client.purge(**given)
    print(
        f"erased from the ledger: the texts of {quantity(count, 'turn')}; clear the cells and save"
    )
    print("to erase them from the notebook; what was sent stays with the service and in copies of")
    print("the ledger")
    for warning in client.runtime.ledger.store.pop_warnings():
        print(warning)


def _refuse_unconfirmed(context: NotebookContext, given: dict[str, Any]) -> None:
    """Raise an error that says how many turns a purge would erase.

    The command asks the user no question, because a question would stop Run All.

    Args:
        context: the shell and its client.
        given: the options of the purge.

    Raises:
        UsageError: always.
    """
    from swiftask_jupyter.usage.purge import purge_scope

    client = context.client
    scope = purge_scope(given, (), client.session)
    count = client.runtime.ledger.erasure.count(**scope)
    raise UsageError(
        f"this would erase the texts of {quantity(count, 'turn')}, of other notebooks too, for"
        " good; add --yes to do so"
    )


def turn_number(word: str) -> int:
    """Convert the argument of a command to the number of a turn.

    Raises:
        UsageError: the word is not a number.
    """
    if not word.isdecimal():
        raise UsageError(f"{word!r} is no turn's number; a footer and %swiftask history name it")
    return int(word)


COMMANDS = {
    "privacy": Command(
        _privacy, (("privacy", "what is sent where, what is kept where, and how to erase it"),)
    ),
    "purge": Command(
        _purge,
        (
            ("purge N", "erase the texts of turn N from the ledger"),
            ("purge --session [NAME]", "of all turns of the current conversation, or of another"),
            ("purge --before TIME --yes", "of all turns before 30d, 12h, 2026-01-31 …"),
            ("purge --all --yes", "of all turns; their counts stay"),
        ),
        1,
        MOST_WORDS,
    ),
}
