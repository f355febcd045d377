"""Run a `%%swiftask --over FRAME` cell, which sends a prompt for each row of a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from swiftask_jupyter.notebook.arguments import (
    MagicLine,
    line_options,
    request_options,
)
from swiftask_jupyter.notebook.context import NotebookContext
from swiftask_jupyter.options import BatchOptions
from swiftask_jupyter.support.suggest import did_you_mean

if TYPE_CHECKING:
    import pandas as pd


def ask_rows(context: NotebookContext, line: MagicLine, text: str) -> pd.DataFrame | None:
    """Run a cell with `--over`: send the prompt once for each row of a DataFrame.

    Args:
        context: the shell and its client.
        line: the parsed line of the cell.
        text: the prompt.

    Returns:
        A copy of the DataFrame with the answers as new columns. If the line names a variable, the
        copy is also assigned to the variable. With `NAME <<`, the result is `None`.

    Raises:
        UsageError: `--over` names no existing variable, or an option can't be combined with
            `--over`.
        SwiftaskError: no row was sent, or the whole batch failed.
    """
    names = context.names
    _check_options(line)
    frame = _variable(line.options["over"], names)
    options = request_options(line, BatchOptions, frame="--over names it")
    if (schema := options.get("schema")) is not None:  # a variable's name, or the schema itself
        options["schema"] = names.get(schema, schema)
    agent = next(iter(line.agents), None)
    result = context.client.map(frame, text, agent, **{"names": names, **options})
    if line.target is not None:
        names[line.target] = result
    return result if line.shown else None


def _check_options(line: MagicLine) -> None:
    for name, option in line_options().items():
        if name in line.options and not option.by_row:
            raise UsageError(f"{option.flags[-1]} does not go with --over")
    if (name := line.options.get("format", "md")) != "md":
        raise UsageError(f"-f {name} does not go with --over")
    if len(line.agents) > 1:
        raise UsageError("--over asks one agent")


def _variable(name: str, names: dict[str, Any]) -> Any:
    if hasattr(names.get(name), "columns"):
        return names[name]
    frames = [
        each for each, value in names.items() if each[:1] != "_" and hasattr(value, "columns")
    ]
    hint = f"there is: {', '.join(frames[:10])}" if frames else "there is no DataFrame"
    what = f"{name} is no DataFrame" if name in names else f"no variable {name}"
    raise UsageError(f"{what}; {did_you_mean(name, frames, otherwise=hint, cutoff=0.5)}")
