"""A turn's record in a notebook, checked: what stands there may have been written by anyone."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from swiftask_jupyter.store.columns import COLUMNS, Column
from swiftask_jupyter.visible import visible

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
