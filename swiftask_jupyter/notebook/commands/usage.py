"""The commands `%swiftask usage` and `%swiftask budget`.

`usage` shows the cost of calls. `budget` limits the cost of calls.
"""

from __future__ import annotations

import argparse
import sys
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from swiftask_jupyter.conversation.notebook_file import absolute_path
from swiftask_jupyter.notebook.arguments import LineParser
from swiftask_jupyter.notebook.commands import Command
from swiftask_jupyter.notebook.context import NotebookContext
from swiftask_jupyter.options import Option, UsageOptions, options_of
from swiftask_jupyter.support.sanitize import sanitize_line
from swiftask_jupyter.support.wording import quantity

if TYPE_CHECKING:
    import pandas as pd

    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.ledger.budgets import Budgets
    from swiftask_jupyter.turns.budget import Budget
    from swiftask_jupyter.usage.totals import LeftOut

MOST_WORDS = 99
# The options of `%swiftask usage` that are not in `UsageOptions`.
COMMAND_OPTIONS = {
    "by": Option("sum up by these columns", ("--by",), "day|agent|session|host|…"),
    "from_files": Option("read saved notebooks instead", ("--from",), '"**/*.ipynb"'),
    "plot": Option("show a picture", ("--plot",), const=True),
}


def _parser(command: str, options: dict[str, Option]) -> LineParser:
    parser = LineParser(prog=f"%swiftask {command}: ", add_help=False, allow_abbrev=False)
    for name, option in options.items():
        parser.add_option(name, option)
    return parser


def usage_options() -> dict[str, Option]:
    """Return a dict that maps each option name of `%swiftask usage` to its description.

    The options are in the order of the help text.
    """
    return {"by": COMMAND_OPTIONS["by"], **options_of(UsageOptions), **COMMAND_OPTIONS}


def _usage(context: NotebookContext, *words: str) -> object:
    """Run `%swiftask usage`: return the calls and their cost as a DataFrame, or as a plot.

    If the words end with `NAME <<`, assign the result to the variable NAME and return `None`.
    """
    target, words = _split_target(words)
    options = _parser("usage", usage_options()).parse_args(words)
    for name in ("text", "plot"):
        if options.by and getattr(options, name):
            raise UsageError(f"--by and --{name} don't go together: leave one of them out")
    if options.from_files is not None:
        result, left_out = _usage_from_files(context.client, options)
    else:
        result, left_out = _usage_of_ledger(context.client, options)
    if line := left_out.line("--sandbox"):
        print(line)
    if target is not None:
        context.names[target] = result
        return None
    return result


def _split_target(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Remove `NAME <<` from the end of the words; return NAME and the remaining words.

    If the words do not end with `<<`, return `None` and all words.

    Raises:
        UsageError: there is no valid variable name before `<<`.
    """
    if not words or not words[-1].endswith("<<"):
        return None, words
    joined = " ".join(words[-2:]) if words[-1] == "<<" else words[-1]
    name = joined.removesuffix("<<").strip()
    if not name.isidentifier() or iskeyword(name):
        raise UsageError("'<<' needs a variable's name before it: calls <<")
    return name, words[:-2] if words[-1] == "<<" else words[:-1]


def _usage_of_ledger(client: Swiftask, options: argparse.Namespace) -> tuple[object, LeftOut]:
    """Return the usage in the ledger, and how much of the sandbox is left out.

    The usage is a usage frame, a frame of sums, or a plot, as the options ask.
    """
    from swiftask_jupyter.usage.query import read_usage

    given: Any = {name: getattr(options, name) for name in options_of(UsageOptions)}
    frame, left_out = read_usage(
        client.runtime.ledger.usage_queries, options.by or (), current=client.notebook, **given
    )
    return _summed(frame, options) if options.plot else (frame, left_out)


def _summed(frame: pd.DataFrame, options: argparse.Namespace) -> tuple[object, LeftOut]:
    """Return the usage in a usage frame, and how much of the sandbox is left out.

    The usage is the frame itself, a frame of sums, or a plot, as the options ask.
    """
    from swiftask_jupyter.usage.totals import LeftOut, without_sandbox

    if not (options.by or options.plot):
        return frame, LeftOut(0, 0)
    left_out = LeftOut(0, 0) if options.sandbox else without_sandbox(frame)[1]
    included = bool(options.sandbox)  # not `None`, which warns: the command prints a line
    if options.plot:
        return frame.swiftask.plot(sandbox=included), left_out
    return frame.swiftask.totals(options.by, sandbox=included), left_out


def _usage_from_files(client: Swiftask, options: argparse.Namespace) -> tuple[object, LeftOut]:
    """Return the usage in saved notebooks, and how much of the sandbox is left out.

    The function also prints how many turns of the ledger are missing in the notebooks. The usage is
    a usage frame, a frame of sums, or a plot, as the options ask.
    """
    from swiftask_jupyter.usage.notebooks import read_notebooks

    for name in options_of(UsageOptions):
        if getattr(options, name) and name != "sandbox":
            raise UsageError(f"--{name} and --from don't go together: files hold what they hold")
    frame, notes = read_notebooks(options.from_files)
    for note in notes:  # a warning would show a line of IPython's own code
        print(note, file=sys.stderr)
    known = client.usage()["turn"]
    missing = int((~known.isin(frame["turn"])).sum())
    turns = quantity(len(frame), "turn")
    print(f"{turns} in the files; {missing} of the ledger's {len(known)} not there")
    return _summed(frame, options)


def _budget(context: NotebookContext, *words: str) -> None:
    """Run `%swiftask budget`: set, raise or drop budgets, then print the use of each budget.

    Without words, the function only prints.
    """
    scope = options_of(UsageOptions)
    parser = _parser("budget", {name: scope[name] for name in ("agent", "notebook", "sandbox")})
    parser.add_argument("words", nargs="*")
    options = parser.parse_args(words)
    client = context.client
    exists = options.words[:1] in (["raise"], ["drop"])
    notebook = _notebook_path(client, options.notebook, exists=exists)
    if options.words:
        _change_budget(client.budgets, options, notebook)
    for each in client.budgets.all():
        print(sanitize_line(_spent(client, each)))
    if not client.budgets.all():
        print("no budget; set one: %swiftask budget 500 credits/day")


def _notebook_path(client: Swiftask, named: str | None, *, exists: bool) -> str | None:
    """Return the absolute path of the notebook that `--notebook` names.

    Without `--notebook`, return `None`.

    Args:
        client: the client, which has the path of the current notebook.
        named: the value of `--notebook`; `.` means the current notebook; `None` without
            `--notebook`.
        exists: whether the budget already exists. The notebook of an existing budget may have been
            deleted.

    Raises:
        UsageError: the notebook does not exist, or the path of the current notebook is not known.
    """
    if named != ".":
        path = absolute_path(named) if named else None
        if path and not exists and not Path(path).is_file() and path != client.notebook:
            raise UsageError(f"there is no notebook {path}")
        return path
    if client.notebook is None:
        raise UsageError("which notebook this is, is not known; name its path")
    return client.notebook


def _change_budget(budgets: Budgets, options: argparse.Namespace, notebook: str | None) -> None:
    """Set, raise or drop a budget. The words `drop all` drop all budgets that match the options.

    Args:
        budgets: the budgets of the ledger.
        options: the words and the options of `%swiftask budget`.
        notebook: the path of the notebook that the budget limits; `None` for every notebook.
    """
    from swiftask_jupyter.turns.budget import parse_budget

    verbs = {"raise": budgets.increase, "drop": budgets.drop}
    agent, sandbox = options.agent, bool(options.sandbox)
    verb, *rest = options.words
    text = " ".join(rest if verb in verbs else options.words)
    if verb in verbs and not text:
        raise UsageError(f"%swiftask budget {verb}: which one? write {verb} 500 credits/day")
    if verb == "drop" and text == "all":
        matching = [
            each
            for each in budgets.all()
            if agent in (None, each.agent)
            and notebook in (None, each.notebook)
            and (each.sandbox or not sandbox)
        ]
        if not matching:
            raise UsageError("%swiftask budget drop: there is none to drop")
        for each in matching:
            budgets.drop(each)
        return
    if verb == "drop" and not text[:1].isdigit():
        text = f"0 {text}"  # the amount of a budget to drop does not matter
    verbs.get(verb, budgets.set)(parse_budget(text, agent, notebook, sandbox=sandbox))


def _spent(client: Swiftask, budget: Budget) -> str:
    """Return a line about the use of a budget, such as `120 of 500 credits/day (24 %)`.

    The line also tells the number of running calls and the number of calls without a reported cost.
    """
    from swiftask_jupyter.turns.budget import format_amount

    spent = client.budgets.spent(budget, client.session().id)
    line = f"{format_amount(spent.amount)} of {budget}"
    if budget.amount:
        line += f" ({100 * spent.amount / budget.amount:.0f} %)"
    if spent.in_flight:
        line += f" · {quantity(spent.in_flight, 'call')} in flight"
    if spent.unreported:
        calls = quantity(spent.calls, "call")
        line += f" · {spent.unreported} of {calls} reported no {budget.unit}"
    if spent.left_out:
        line += f" · {quantity(spent.left_out, 'call')} to the sandbox not counted"
    return line


def _usage_line() -> str:
    """Return the syntax of `%swiftask usage` with all options, for the help text."""
    options = (
        f"[{option.flags[0]} {option.metavar}".rstrip() + "]" for option in usage_options().values()
    )
    return " ".join(("usage", *options, "[NAME <<]"))


_BUDGET_HELP = (
    "what may be spent: credits, calls or tokens an hour, day … or session; calls to the sandbox"
    " count only towards a budget with --sandbox"
)

COMMANDS = {
    "usage": Command(
        _usage,
        ((_usage_line(), "every call as a DataFrame, or sums, or a picture"),),
        0,
        MOST_WORDS,
    ),
    "budget": Command(
        _budget,
        (
            ("budget [500 credits/day] [--agent SLUG] [--notebook PATH] [--sandbox]",
             _BUDGET_HELP),
            ("budget raise|drop …|all", "change a budget, or drop one or all"),
        ),
        0,
        MOST_WORDS,
    ),
}  # fmt: skip
