"""A turn's record in a notebook, checked: what stands there may have been written by anyone.

The usage frame out of saved notebooks alone: no kernel, no ledger, no network.

The files may come from anyone. What a record claims is checked field by field, and what can't be
true is left out with one warning, so that a forged or broken file costs only itself.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from glob import has_magic, iglob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.conversation import notebook_file as ipynb
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.schema import COLUMNS, Column
from swiftask_jupyter.support.sanitize import visible
from swiftask_jupyter.usage.frames import build, in_order

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 2_000  # characters of a text
LARGEST = 2**53  # many of which can still be summed up
STATUSES = ("running", "ok", "error", "interrupted", "lost", "refused")
SOURCES = ("api", "stream", "none")
# These stand in a folder of the record's own.
USAGE = ("input_tokens", "output_tokens", "total_tokens", "reported_total", "credits")


class Unusable(Exception):
    """What was read can't be what it claims to be."""


def row(record: Any, notebook: str) -> tuple[Any, ...]:
    """Return the record's values in the order of the frame's columns.

    Raises:
        Unusable: a field can't be true.
    """
    if not isinstance(record, dict):
        raise Unusable("it is no object")
    usage = record.get("usage", {})
    if not isinstance(usage, dict):
        raise Unusable("usage is no object")
    values = {**record, **{name: usage.get(name) for name in USAGE}, "notebook": notebook}
    values |= {"usage_source": usage.get("source"), "key": record.get("request_sha256")}
    if record.get("turn") in (None, ""):
        raise Unusable("it names no turn")
    for name, allowed in (("status", STATUSES), ("usage_source", SOURCES)):
        if values.get(name) not in allowed:
            raise Unusable(f"{name} {_short(values.get(name))} is none of ours")
    return tuple(_checked(column, values.get(column.name)) for column in COLUMNS)


def _checked(column: Column, value: Any) -> Any:
    """Return the value as the ledger would hold it."""
    if column.kind == "moment":
        return _seconds(value)
    if value is None:
        return None
    try:
        return _CHECKS[column.kind](value)
    except (TypeError, ValueError, OverflowError):
        raise Unusable(f"{column.name} {_short(value)} can't be") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise TypeError
    return visible(value)


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise TypeError
    return value


def _real(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise TypeError
    return float(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _seconds(value: Any) -> float:
    """Return an ISO time that says its zone as seconds since the epoch."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC).timestamp()
    except (TypeError, ValueError, OverflowError):
        pass
    raise Unusable(f"at {_short(value)} is no time")


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else "of another type"
    return visible(text if len(text) <= 40 else text[:39] + "…")


_CHECKS = {"category": _text, "text": _text, "whole": _whole, "real": _real, "flag": _flag}


NAMES = tuple(column.name for column in COLUMNS)
SURFACE = NAMES.index("surface")


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
    from swiftask_jupyter.usage import accessor  # noqa: F401 - what makes it `frame.swiftask`

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
    for path in _files(os.path.expanduser(pattern)):  # noqa: PTH111 - unlike Path's, it leaves ~nobody alone
        for values in _rows(path, notes):
            known = found.setdefault(values[0], values)
            if _told(known) != _told(values):
                turn = f"turn {values[0]} is told differently before, and that counts"
                notes.append(_note(path, turn))
    return in_order(build(NAMES, [list(found.values())])), notes


def _files(pattern: str) -> list[Path]:
    """Return the files that fit; where the pattern leaves the kind of file open, notebooks."""
    if os.path.isfile(pattern):  # noqa: PTH113 - Path's is an error for what can be no name
        return [Path(pattern).absolute()]  # a name may hold brackets
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
        records = ipynb.records(path)
    except (OSError, ValueError) as error:
        why = (error.strerror or "no access") if isinstance(error, OSError) else error
        notes.append(_note(path, f"it can't be read: {why}"))
        return
    reasons = []
    for record in records:
        try:
            values = row(record, str(path))
        except Unusable as error:
            reasons.append(str(error))
            continue
        if values[SURFACE] != "import":  # a panel tells of those too, which were no calls here
            yield values
    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        notes.append(_note(path, f"a turn's record is left out: {reasons[0]}{more}"))


def _note(path: Path, what: str) -> str:
    from swiftask_jupyter.support.sanitize import visible

    return visible(f"{path}: {what}")
