"""`%swiftask usage` and `%swiftask budget`: what was spent, and what may be."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError

from swiftask_jupyter.conversation.notebook_file import address
from swiftask_jupyter.notebook.arguments import closest, options_of
from swiftask_jupyter.support.sanitize import in_line
from swiftask_jupyter.support.wording import quantity

if TYPE_CHECKING:
    import pandas as pd

    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.ledger.budgets import Budgets
    from swiftask_jupyter.notebook.magics import SwiftaskMagics
    from swiftask_jupyter.turns.budget import Budget

HELP = """\
%swiftask usage [--by day|agent|session|cell|notebook|surface|status] [--since 7d] [--agent A]
    [--session ID] [--notebook .|all|PATH] [--from "**/*.ipynb"] [--text] [--plot] [NAME <<]
                           every call as a DataFrame, or sums, or a picture
%swiftask budget [500 credits/day | raise … | drop … | drop all] [--agent A] [--notebook .|PATH]
                           what may be spent: credits, calls or tokens an hour, day … or session"""
MOST_WORDS = 99


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and ends nothing."""

    def error(self, message: str) -> NoReturn:
        word = message.rpartition(": ")[2].partition(" ")[0]
        hint = (
            closest(word, options_of(self)) if "unrecognized" in message else "; see %swiftask help"
        )
        raise UsageError(f"%swiftask {self.prog}: {message}{hint}")


def _usage_parser() -> _Parser:
    parser = _Parser("usage", add_help=False, allow_abbrev=False)
    parser.add_argument("--by", default="")
    for name in ("--since", "--agent", "--notebook", "--session", "--from"):
        parser.add_argument(name)
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--plot", action="store_true")
    return parser


def usage(magics: SwiftaskMagics, *words: str) -> object:
    """Return the usage frame, one row a call or one a group, or its picture."""
    target, words = _target(words)
    options = _usage_parser().parse_args(words)
    for name in ("text", "plot"):
        if options.by and getattr(options, name):
            raise UsageError(f"--by and --{name} don't go together: leave one of them out")
    client = magics.client
    from_files = getattr(options, "from")
    if from_files is not None:
        made = _from_files(client, from_files, options)
    else:
        wanted = {name: getattr(options, name) for name in ("since", "agent", "session", "text")}
        made = client.usage(options.by, notebook=options.notebook, **wanted)
    shown = made.swiftask.plot() if options.plot else made
    if target is not None:
        magics.ipython.user_ns[target] = shown
        return None
    return shown


def _target(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return the variable that `NAME <<` names, and the other words."""
    if not words or not words[-1].endswith("<<"):
        return None, words
    joined = " ".join(words[-2:]) if words[-1] == "<<" else words[-1]
    name = joined.removesuffix("<<").strip()
    if not name.isidentifier():
        raise UsageError("'<<' needs a variable's name before it: calls <<")
    return name, words[:-2] if words[-1] == "<<" else words[:-1]


def _from_files(client: Swiftask, pattern: str, options: argparse.Namespace) -> pd.DataFrame:
    """Return the turns that stand in saved notebooks, and say how many of the ledger's do not."""
    from swiftask_jupyter.usage.notebooks import read

    for name in ("since", "agent", "notebook", "session", "text"):
        if getattr(options, name):
            raise UsageError(f"--{name} and --from don't go together: files hold what they hold")
    found, notes = read(pattern)
    for note in notes:  # a warning would show a line of IPython's own code
        print(note, file=sys.stderr)
    known = client.usage()["turn"]
    missing = int((~known.isin(found["turn"])).sum())
    held = quantity(len(found), "turn")
    print(f"{held} in the files; {missing} of the ledger's {len(known)} not there")
    return found.swiftask.totals(options.by) if options.by else found


def budget(magics: SwiftaskMagics, *words: str) -> None:
    """Set, raise or drop a budget; without words, show what was spent of each."""
    parser = _Parser("budget", add_help=False, allow_abbrev=False)
    parser.add_argument("words", nargs="*")
    for name in ("--agent", "--notebook"):
        parser.add_argument(name)
    options = parser.parse_args(words)
    client = magics.client
    notebook = _notebook(client, options.notebook, known=options.words[:1] in (["raise"], ["drop"]))
    if options.words:
        _change(client.budgets, options.words, options.agent, notebook)
    for each in client.budgets.all():
        print(in_line(_spent(client, each)))
    if not client.budgets.all():
        print("no budget; set one: %swiftask budget 500 credits/day")


def _notebook(client: Swiftask, named: str | None, *, known: bool) -> str | None:
    """Return the path that `--notebook` names; a budget that there is may outlive its file."""
    if named != ".":
        path = address(named) if named else None
        if path and not known and not Path(path).is_file() and path != client.notebook:
            raise UsageError(f"there is no notebook {path}")
        return path
    if client.notebook is None:
        raise UsageError("which notebook this is, is not known; name its path")
    return client.notebook


def _change(budgets: Budgets, words: list[str], agent: str | None, notebook: str | None) -> None:
    """Set, raise or drop one budget, or drop all that are for that agent and that notebook."""
    from swiftask_jupyter.turns.budget import parse

    verbs = {"raise": budgets.increase, "drop": budgets.drop}
    verb, *said = words
    text = " ".join(said if verb in verbs else words)
    if verb in verbs and not text:
        raise UsageError(f"%swiftask budget {verb}: which one? write {verb} 500 credits/day")
    if verb == "drop" and text == "all":
        fitting = [
            each
            for each in budgets.all()
            if agent in (None, each.agent) and notebook in (None, each.notebook)
        ]
        if not fitting:
            raise UsageError("%swiftask budget drop: there is none to drop")
        for each in fitting:
            budgets.drop(each)
        return
    if verb == "drop" and not text[:1].isdigit():
        text = f"0 {text}"  # of what is dropped, the amount does not matter
    verbs.get(verb, budgets.set)(parse(text, agent, notebook))


def _spent(client: Swiftask, each: Budget) -> str:
    from swiftask_jupyter.turns.budget import shown

    spent = client.budgets.spent(each, client.place.session)
    line = f"{shown(spent.amount)} of {each}"
    if each.amount:
        line += f" ({100 * spent.amount / each.amount:.0f} %)"
    if spent.flying:
        line += f" · {quantity(spent.flying, 'call')} in flight"
    if spent.silent:
        line += f" · {spent.silent} of {quantity(spent.calls, 'call')} reported no {each.unit}"
    return line


# Each with the fewest and the most words it takes.
COMMANDS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "budget": (budget, 0, MOST_WORDS),
    "usage": (usage, 0, MOST_WORDS),
}
