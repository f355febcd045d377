"""The record of a turn in a notebook: JSON with the values of the turn's row in the ledger.

A turn is a prompt and its answer. The record is saved in the output of the cell, so that usage can
be counted without the ledger. A record contains no prompt, no answer and no secret. Anyone may have
written a notebook, so each field of a record is checked before use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any

from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.ledger.schema import LedgerColumn, columns, frame_columns, storable
from swiftask_jupyter.support.sanitize import sanitize
from swiftask_jupyter.support.structs import Struct

VERSION = 1
MAX_TEXT = 2_000  # characters
MAX_NUMBER = 2**53  # the sum of a thousand of these still fits into 64 bits


class InvalidRecord(Exception):
    """Raised if a turn's record in a notebook is malformed or has an impossible value.

    The message names the problem.
    """


def record_of(turn: Turn) -> dict[str, Any]:
    """Return the record of a turn, a dict of JSON values for the output of a notebook cell."""
    record: dict[str, Any] = {"version": VERSION, "usage": {}}
    for column, read in _readers():
        value = read(turn)
        if column.kind == "moment":
            value = datetime.fromtimestamp(value, UTC).isoformat(timespec="microseconds")
        elif value == "" and column.record_name != column.name:
            value = None
        (record["usage"] if column.of_usage else record)[_key(column)] = value
    return record


class RecordedTurn(Struct, frozen=True):
    """The id and the digests of a turn, read from a record in a notebook.

    Attributes:
        id: the turn's id.
        content_digest: the digest of prompt and answer; empty if the record has none.
        request_digest: the digest of the whole request; empty if the record has none. Only an old
            record without a content digest is recognized by the request digest.
    """

    id: str
    content_digest: str
    request_digest: str


def recorded_turn(record: Any) -> RecordedTurn | None:
    """Return the id and the digests in a record; `None` if the id or both digests are missing."""
    if not isinstance(record, dict):
        return None
    values = [record.get(key) for key in ("turn", "content_digest", "request_sha256")]
    turn, content, request = (storable(each) if isinstance(each, str) else "" for each in values)
    return RecordedTurn(turn, content, request) if turn and (content or request) else None


def record_values(record: Any, notebook: str) -> tuple[Any, ...]:
    """Check a record, and return the values of the record in the order of `frame_columns`.

    The value of a missing optional field is `None`.

    Args:
        record: the unchecked record from the notebook.
        notebook: the path of the notebook, used as the value of the column `notebook`.

    Raises:
        InvalidRecord: the record is malformed, or a field has an impossible value.
    """
    if not isinstance(record, dict):
        raise InvalidRecord("it is no object")
    usage = record.get("usage", {})
    if not isinstance(usage, dict):
        raise InvalidRecord("usage is no object")
    if record.get("turn") in (None, ""):
        raise InvalidRecord("it names no turn")
    found = []
    for column in frame_columns():
        value = (usage if column.of_usage else record).get(_key(column))
        found.append(_checked(column, value if column.in_record else notebook))
    return tuple(found)


@cache
def _readers() -> tuple[tuple[LedgerColumn, Callable[[Turn], Any]], ...]:
    return tuple((column, attrgetter(column.path)) for column in columns() if column.in_record)


def _key(column: LedgerColumn) -> str:
    return column.field if column.of_usage else column.record_name


def _checked(column: LedgerColumn, value: Any) -> Any:
    """Return a value from a record, converted to the type that the ledger stores in this column.

    Raises:
        InvalidRecord: the value is not allowed in this column.
    """
    if column.choices and value not in column.choices:
        raise InvalidRecord(f"{column.name} {_shortened(value)} is unknown")
    if column.kind == "moment":
        return _timestamp(value)
    if value is None:
        return None
    try:
        return _CHECKS[column.kind](value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidRecord(f"{column.name} {_shortened(value)} is invalid") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise TypeError
    return sanitize(value)


def _integer(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise TypeError
    return value


def _real(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise TypeError
    return float(value)


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


_CHECKS = {"category": _text, "text": _text, "whole": _integer, "real": _real, "flag": _boolean}


def _timestamp(value: Any) -> float:
    """Convert an ISO 8601 time with a time zone to seconds since the epoch.

    Raises:
        InvalidRecord: the value is not an ISO 8601 time with a time zone.
    """
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC).timestamp()
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidRecord(f"at {_shortened(value)} is no time with a zone")


def _shortened(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else "of another type"
    return sanitize(text if len(text) <= 40 else text[:39] + "…")
