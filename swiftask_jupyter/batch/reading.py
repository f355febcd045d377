"""The JSON object in an answer, however an agent has dressed it, and its values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

_FENCED = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_LARGEST = 2**63  # what a column of integers holds
# An answer may hold any number of braces; after so many that begin no object, there is none.
_LOOKS = 1000


class Mismatch(Exception):
    """An answer is not what its schema says; the text says why, for people and for agents."""


def find_object(text: str) -> dict[str, Any]:
    """Return the JSON object of an answer: alone, in a fence, or with words around it.

    Raises:
        Mismatch: there is none.
    """
    empty = None
    for part in (*_FENCED.findall(text), text):
        for found in _objects(part):
            if found:
                return found
            empty = found  # more likely a piece of code than the answer
    if empty is None:
        raise Mismatch("the answer holds no JSON object")
    return empty


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    at = text.find("{")
    for _ in range(_LOOKS):
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield found
        at = text.find("{", end)


def as_text(value: Any) -> str:
    """Return a text; a number or a truth value is written out."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise Mismatch(f"must be a text, not {_shown(value)}")


def as_int(value: Any) -> int:
    """Return a whole number, which may stand in quotes or end in `.0`."""
    number = as_float(value)
    exact = value if isinstance(value, int) else _whole(value, number)
    if exact is None or not -_LARGEST <= exact < _LARGEST:
        raise Mismatch(f"must be a whole number, not {_shown(value)}")
    return exact


def _whole(value: Any, number: float) -> int | None:
    try:
        if isinstance(value, str):
            return int(value)  # beyond 2**53 a float would round it
    except ValueError:
        pass
    return int(number) if number.is_integer() else None


def as_float(value: Any) -> float:
    """Return a finite number, which may stand in quotes."""
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise Mismatch(f"must be a number, not {_shown(value)}")


def as_bool(value: Any) -> bool:
    """Return a truth value, which may stand in quotes."""
    said = value.strip().lower() if isinstance(value, str) else value
    if said is True or said == "true":
        return True
    if said is False or said == "false":
        return False
    raise Mismatch(f"must be true or false, not {_shown(value)}")


def as_datetime(value: Any) -> datetime:
    """Return a date with its time, written as ISO 8601."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError:
            pass
    raise Mismatch(f"must be an ISO 8601 date, not {_shown(value)}")


def as_list(value: Any) -> list[Any]:
    """Return a list, whatever is in it."""
    if isinstance(value, list):
        return value
    raise Mismatch(f"must be a list, not {_shown(value)}")


def _shown(value: Any) -> str:
    written = json.dumps(value, ensure_ascii=False)
    return written if len(written) <= 40 else written[:39] + "…"
