"""`%%swiftask --over FRAME`: the short form of `Swiftask.map`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from swiftask_jupyter.notebook.arguments import MagicLine, closest, fields, for_client

if TYPE_CHECKING:
    import pandas as pd

    from swiftask_jupyter.notebook.magics import SwiftaskMagics

# What belongs to a conversation, and what the rows say themselves.
NOT_HERE = ("session", "fresh", "no_history", "last", "cache", "replay", "attach", "raw", "dry_run")


def over(magics: SwiftaskMagics, line: MagicLine, text: str) -> pd.DataFrame | None:
    """Ask what the cell holds once for each row; return the frame or put it into a variable.

    Raises:
        UsageError: there is no such frame, or an option makes no sense for rows.
    """
    options, names = line.options, magics.ipython.user_ns
    for name in NOT_HERE:
        if getattr(options, name):
            raise UsageError(f"--{name.replace('_', '-')} does not go with --over")
    if options.format != "md":
        raise UsageError(f"-f {options.format} does not go with --over")
    if len(options.agent) > 1:
        raise UsageError("--over asks one agent")
    frame = _named(options.over, names)
    wishes = {
        "schema": _schema(options.schema, names),
        "names": names,
        **for_client(options),
        **fields(options.option, frame="--over names it"),
    }
    agent = next(iter(options.agent), None)
    made = magics.client.map(frame, text, agent, **wishes)
    if line.target is not None:
        names[line.target] = made
    return made if line.shown else None


def _named(name: str, names: dict[str, Any]) -> Any:
    if name not in names:
        frames = [each for each, value in names.items() if hasattr(value, "columns")]
        raise UsageError(f"no variable {name}{closest(name, frames)}")
    return names[name]


def _schema(given: str | None, names: dict[str, Any]) -> Any:
    """Return what `--schema` says, or the variable of that name: a dict, a model."""
    return names.get(given, given) if given is not None else None
