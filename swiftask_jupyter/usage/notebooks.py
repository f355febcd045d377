"""The usage frame out of saved notebooks alone: no kernel, no ledger, no network.

The files may come from anyone. What a record claims is checked field by field, and what can't be
true is left out with one warning, so that a forged or broken file costs only itself.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from glob import has_magic, iglob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.store.columns import COLUMNS
from swiftask_jupyter.usage.frames import build, in_order
from swiftask_jupyter.usage.records import Unusable, row

if TYPE_CHECKING:
    import pandas as pd

RECORD = "application/vnd.swiftask.turn+json"
LARGEST = 256 * 1024 * 1024  # bytes of one notebook
NAMES = tuple(column.name for column in COLUMNS)


class NotebookWarning(UserWarning):
    """A saved notebook holds something that is left out."""


def usage_from_notebooks(pattern: str | Path) -> pd.DataFrame:
    """Return the turns whose output stands in saved notebooks, as `usage` would.

    `notebook` is the file in which a turn was found. A turn that stands in several files (a copy
    of a notebook) is one row.

    Args:
        pattern: a path, or a pattern such as `**/*.ipynb`.

    Raises:
        ConfigurationError: no file fits the pattern.
    """
    found, notes = read(pattern)
    for note in notes:
        warnings.warn(note, NotebookWarning, stacklevel=2)
    return found


def read(pattern: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the turns, and what there is to say of what is left out.

    Raises:
        ConfigurationError: no file fits the pattern.
    """
    found: dict[str, tuple[Any, ...]] = {}
    notes: list[str] = []
    for path in _files(str(pattern)):
        for values in _rows(path, notes):
            known = found.setdefault(values[0], values)
            if _told(known) != _told(values):
                turn = f"turn {values[0]} is told differently in another file, which counts"
                notes.append(_note(path, turn))
    return in_order(build(NAMES, [list(found.values())])), notes


def _files(pattern: str) -> list[Path]:
    """Return the files that fit; where the pattern leaves the kind of file open, notebooks."""
    paths = {Path(name).absolute() for name in iglob(pattern, recursive=True)}  # noqa: PTH207 - the pattern may be absolute
    if has_magic(pattern) and Path(pattern).suffix in ("", ".*"):
        paths = {path for path in paths if path.suffix == ".ipynb"}
    found = [path for path in paths if ".ipynb_checkpoints" not in path.parts and path.is_file()]
    if not found:
        raise ConfigurationError(
            f"no file fits {pattern!r}", advice="write a path or a pattern such as **/*.ipynb"
        )
    return sorted(found)


def _told(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what a record says: all but the file in which it stands."""
    return tuple(value for name, value in zip(NAMES, values, strict=True) if name != "notebook")


def _rows(path: Path, notes: list[str]) -> Iterator[tuple[Any, ...]]:
    """Yield what the file's usable records say, and note once what is wrong with the rest."""
    try:
        records = list(_records(path))
    except Unusable as error:
        notes.append(_note(path, f"it can't be read: {error}"))
        return
    reasons = []
    for record in records:
        try:
            yield row(record, str(path))
        except Unusable as error:
            reasons.append(str(error))
    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        notes.append(_note(path, f"a turn's record is left out: {reasons[0]}{more}"))


def _records(path: Path) -> Iterator[Any]:
    """Yield each record; one output holds several where a cell asked several agents."""
    for output in _outputs(_content(path)):
        bundle = output.get("data") if isinstance(output, dict) else None
        if isinstance(bundle, dict) and RECORD in bundle:
            value = bundle[RECORD]
            yield from value if isinstance(value, list) else [value]


def _outputs(content: Any) -> Iterator[Any]:
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise Unusable("it is no notebook")
    for cell in cells:
        outputs = cell.get("outputs") if isinstance(cell, dict) else None
        if isinstance(outputs, list):
            yield from outputs


def _content(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST:
            raise Unusable(f"it is larger than {LARGEST // 1024**2} MB")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise Unusable(error.strerror or "no access") from None
    except (ValueError, RecursionError):
        raise Unusable("it is not JSON") from None


def _note(path: Path, what: str) -> str:
    from swiftask_jupyter.visible import visible

    return visible(f"{path}: {what}")
