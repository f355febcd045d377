"""The usage frame of saved notebooks, read without a kernel, a ledger or the network.

A usage frame is a DataFrame with one row for each turn (a prompt and its answer). The output of
each answer in a notebook contains a record of its turn. Anyone may have written a notebook, so
every field of a record is checked. A record with an impossible value is skipped. One warning for
each notebook reports the skipped records.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from functools import cache
from glob import has_magic, iglob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.conversation.notebook_file import read_records
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.notebook_record import InvalidRecord, record_values
from swiftask_jupyter.ledger.schema import frame_columns
from swiftask_jupyter.support.sanitize import sanitize
from swiftask_jupyter.usage.frames import build_frame, sort_by_time

if TYPE_CHECKING:
    import pandas as pd


class NotebookWarning(UserWarning):
    """Warns that a notebook or record was skipped, or that two notebooks differ in a turn."""


def usage_from_notebooks(pattern: str | Path) -> pd.DataFrame:
    """Return a DataFrame of the turns that are recorded in saved notebooks, oldest turn first.

    The DataFrame has one row for each turn, with the columns of `Swiftask.usage()`. The column
    `notebook` is the path of the file that contains the turn. If several files contain a turn, such
    as a notebook and its copy, only the first file counts. A file or a record that cannot be read
    is skipped with a `NotebookWarning`.

    Args:
        pattern: a path, or a glob pattern such as `**/*.ipynb`.

    Raises:
        ConfigurationError: no file matches the pattern.

    Example:
        >>> from swiftask_jupyter import usage_from_notebooks
        >>> usage = usage_from_notebooks("example_notebooks/03_*.ipynb")
        >>> by_agent = usage.swiftask.totals(by="agent")
        >>> list(by_agent.columns[:3])
        ['agent', 'calls', 'ok']
    """
    from swiftask_jupyter.usage import accessor  # noqa: F401 - registers `frame.swiftask`

    frame, notes = read_notebooks(pattern)
    for note in notes:
        warnings.warn(note, NotebookWarning, stacklevel=2)
    return frame


def read_notebooks(pattern: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Return a usage frame of the turns in saved notebooks, and a list of messages.

    Each message is one line. A message reports a skipped file, a skipped record, or a turn whose
    records in two files differ.

    Args:
        pattern: a path, or a glob pattern.

    Raises:
        ConfigurationError: no file matches the pattern.
    """
    turns: dict[str, tuple[Any, ...]] = {}
    notes: list[str] = []
    for path in _files(os.path.expanduser(pattern)):  # noqa: PTH111 - Path's raises for ~nobody
        for values in _rows(path, notes):
            first = turns.setdefault(values[0], values)
            if _comparable(first) != _comparable(values):
                conflict = "is recorded before with other values, which count"
                notes.append(_note(path, f"turn {values[0]} {conflict}"))
    return sort_by_time(build_frame(_names(), [list(turns.values())])), notes


@cache
def _names() -> tuple[str, ...]:
    return tuple(column.name for column in frame_columns())


def _files(pattern: str) -> list[Path]:
    """Return the files that match a path or glob pattern, sorted by path.

    Jupyter's checkpoint files are left out. A glob pattern without a suffix matches only files that
    end in `.ipynb`.

    Raises:
        ConfigurationError: no file matches.
    """
    if os.path.isfile(pattern):  # noqa: PTH113 - Path's raises for an invalid file name
        return [Path(pattern).absolute()]  # the file name may contain brackets
    paths = {Path(name).absolute() for name in iglob(pattern, recursive=True)}  # noqa: PTH207 - Path's takes no absolute pattern
    if has_magic(pattern) and Path(pattern).suffix in ("", ".*"):
        paths = {path for path in paths if path.suffix == ".ipynb"}
    found = [path for path in paths if ".ipynb_checkpoints" not in path.parts and path.is_file()]
    if not found:
        raise ConfigurationError(
            f"no file fits {pattern!r}", advice="write a path or a pattern such as **/*.ipynb"
        )
    return sorted(found)


def _comparable(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the values of a record, for a comparison with another record of the same turn.

    The path of the notebook is removed, because the records may come from two files. A missing
    value for `sandbox` becomes `False`, because records of earlier versions have no such value.
    """
    row = dict(zip(_names(), values, strict=True))
    return row | {"notebook": None, "sandbox": bool(row["sandbox"])}


def _rows(path: Path, notes: list[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of each valid record in a notebook file; leave out imported turns.

    If the file can't be read, add a message to `notes`. If the file has invalid records, add one
    message about all of them.
    """
    try:
        records = read_records(path)
    except (OSError, ValueError) as error:
        reason = (error.strerror or "no access") if isinstance(error, OSError) else error
        notes.append(_note(path, f"it can't be read: {reason}"))
        return
    reasons, surface = [], _names().index("surface")
    for record in records:
        try:
            values = record_values(record, str(path))
        except InvalidRecord as error:
            reasons.append(str(error))
            continue
        if values[surface] != "import":  # an imported turn in a panel is not a call
            yield values
    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        notes.append(_note(path, f"a turn's record is left out: {reasons[0]}{more}"))


def _note(path: Path, message: str) -> str:
    return sanitize(f"{path}: {message}")
