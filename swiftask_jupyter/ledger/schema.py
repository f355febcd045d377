"""The columns of a turn, derived from the annotated fields of `Turn` and `Usage`.

The tables, their INSERT and UPDATE, the usage frame and the record in a notebook all read this
one list. At the end stand the predicates: questions about a turn that Python and SQL must answer
alike, each a function and an expression side by side.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from swiftask_jupyter.answers.turn import BLANKS, Column, Kind, Turn, Usage, is_empty
from swiftask_jupyter.support.structs import Struct, replace

LONGEST_RAW = 64 * 1024  # characters of the JSON that is kept of a response

_KINDS: dict[object, Kind] = {bool: "flag", int: "whole", float: "real", str: "text"}


class LedgerColumn(Struct, frozen=True):
    """A column of the ledger or of a usage frame, with the field of a turn that it holds.

    Attributes:
        name: its name in ledger and frame.
        kind: its dtype in a frame.
        unit: the unit of measure; empty if the value is no quantity.
        meaning: what the value says, and who said it.
        field: the field's name in `Turn`, or in `Usage`; empty if it is a field of neither.
        of_usage: whether the field is one of `Usage`.
        choices: the allowed values; empty if any value is allowed.
        table, written, null, in_frame, in_record, record_name: as in `Column`.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    field: str = ""
    of_usage: bool = False
    choices: tuple[str, ...] = ()
    table: str = ""
    written: str = ""
    null: object = ""
    in_frame: bool = True
    in_record: bool = True
    record_name: str = ""

    @property
    def path(self) -> str:
        """The attribute of a turn that holds the value, dotted."""
        return f"usage.{self.field}" if self.of_usage else self.field


@cache
def columns() -> tuple[LedgerColumn, ...]:
    """Return all columns, in the order of the fields."""
    return tuple(_columns_of(Turn))


@cache
def frame_columns() -> tuple[LedgerColumn, ...]:
    """Return the columns of a usage frame."""
    return tuple(column for column in columns() if column.in_frame)


# What a usage frame has on request, from elsewhere than a turn's own fields.
USER = LedgerColumn("user", "category", "", "whose call it was, in a ledger that several share")
RATINGS = (
    LedgerColumn("liked", "flag", "", "what the user thought of it, where it was rated in a panel"),
    LedgerColumn("comment", "text", "", "what the user said of it, in a panel"),
)


@cache
def text_columns() -> tuple[LedgerColumn, ...]:
    """Return the columns that a usage frame has when texts are asked for."""
    return (*(column for column in columns() if column.name in ("prompt", "answer")), *RATINGS)


@cache
def all_frame_columns() -> dict[str, LedgerColumn]:
    """Return every column that a usage frame can have, by name."""
    return {each.name: each for each in (*frame_columns(), USER, *text_columns())}


@cache
def kinds() -> dict[str, Kind]:
    """Return the kind of each column that a usage frame can have, by name."""
    return {name: each.kind for name, each in all_frame_columns().items()}


def _columns_of(kind: type[Struct]) -> Iterator[LedgerColumn]:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if hint is Usage:
            yield from (replace(each, of_usage=True) for each in _columns_of(Usage))
        elif get_origin(hint) is Annotated:
            value, *extras = get_args(hint)
            for column in extras:
                if isinstance(column, Column):
                    yield _resolved(column, name, value)


def _resolved(column: Column, field: str, hint: Any) -> LedgerColumn:
    """Fill in what the `Column` leaves to the field's name and type."""
    union = get_origin(hint) in (Union, types.UnionType)
    [first, *_] = [
        each for each in (get_args(hint) if union else (hint,)) if each is not type(None)
    ]
    choices = get_args(first) if get_origin(first) is Literal else ()
    name = column.name or field
    return LedgerColumn(
        name, column.kind or ("category" if choices else _KINDS[first]), column.unit,
        column.meaning, field, choices=choices, table=column.table, written=column.written,
        null=column.null, in_frame=column.in_frame, in_record=column.in_record,
        record_name=column.record_name or name,
    )  # fmt: skip


class Statement:
    """An INSERT or UPDATE of some columns of a turn.

    Attributes:
        sql: the statement, with `?` for each value.
    """

    def __init__(self, sql: str, written: Sequence[LedgerColumn]) -> None:
        self.sql = sql
        self._values = attrgetter(*(column.path for column in written))
        self._null = [column.null for column in written]
        self._store = [_STORE.get(column.kind) for column in written]

    def values(self, turn: Turn) -> tuple[Any, ...]:
        """Return the values of a turn as the ledger stores them."""
        return tuple(
            None if value is None or value == null else value if store is None else store(value)
            for value, null, store in zip(self._values(turn), self._null, self._store, strict=True)
        )


@cache
def insert(table: str, *extra: str) -> Statement:
    """Return the INSERT of what is known before a request leaves.

    Args:
        table: `turns` or `texts`.
        extra: further columns, whose values the caller adds.
    """
    written = _written(table, "begin")
    if table != "turns":
        written = (_identity(), *written)
    names = [*(column.name for column in written), *extra]
    marks = ", ".join("?" * len(names))
    return Statement(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", written)  # noqa: S608 - our own columns


@cache
def update(table: str) -> Statement:
    """Return the UPDATE of what is known at the end; the caller adds its WHERE."""
    written = _written(table, "end")
    names = ", ".join(f"{column.name} = ?" for column in written)
    return Statement(f"UPDATE {table} SET {names}", written)  # noqa: S608 - our own columns


def _written(table: str, moment: str) -> tuple[LedgerColumn, ...]:
    return tuple(
        column for column in columns()
        if column.table == table and column.written in (moment, "both")
    )  # fmt: skip


def _identity() -> LedgerColumn:
    return next(column for column in columns() if column.field == "id")


def _as_json(value: Any) -> str | None:
    """Return a response's further fields as JSON; `None` if they can't be written, or are huge."""
    try:
        written = json.dumps(value, ensure_ascii=True) if value else ""
    except (TypeError, ValueError, RecursionError):
        return None
    return written if written and len(written) <= LONGEST_RAW else None


Text = TypeVar("Text", str, str | None)


def storable(text: Text) -> Text:
    """Return the text without lone surrogates, which no database takes."""
    return text if not text or text.isascii() else text.encode("utf-8", "replace").decode()


def _stored_text(value: Any) -> str:
    return storable(value if isinstance(value, str) else str(value))


# How a value is stored that is not stored as it is, by the kind of its column.
_STORE: dict[Kind, Callable[[Any], Any]] = {
    "json": _as_json,
    "text": _stored_text,
    "category": _stored_text,
    "flag": int,
}


class Selection:
    """The columns of some tables, as a SELECT reads them and as a turn holds them.

    Attributes:
        sql: the columns, as the SELECT names them.
    """

    def __init__(self, tables: Sequence[str]) -> None:
        chosen = [column for column in columns() if column.table in tables]
        self.sql = ", ".join(f"{column.table}.{column.name}" for column in chosen)
        self._names = [column.field for column in chosen]
        self._loaders = [_LOADERS.get(column.kind or "text") for column in chosen]
        self._of_usage = [number for number, column in enumerate(chosen) if column.of_usage]

    def turn(self, row: Sequence[Any]) -> Turn:
        """Return the turn that a row holds; a missing value is the field's default."""
        fields = self._loaded(row)
        if self._of_usage:
            names = (self._names[number] for number in self._of_usage)
            fields["usage"] = Usage(**{n: fields.pop(n) for n in names if n in fields})
        return Turn(**fields)

    def fill(self, turn: Turn, row: Sequence[Any]) -> None:
        """Set the fields that a row of texts holds."""
        for name, value in self._loaded(row).items():
            setattr(turn, name, value)

    def _loaded(self, row: Sequence[Any]) -> dict[str, Any]:
        return {
            name: value if load is None else load(value)
            for name, load, value in zip(self._names, self._loaders, row, strict=True)
            if value is not None
        }


def _from_json(value: str) -> dict[str, Any]:
    found = json.loads(value)
    return found if isinstance(found, dict) else {}


_LOADERS: dict[str, Callable[[Any], Any]] = {"flag": bool, "json": _from_json}


@cache
def selection(*tables: str) -> Selection:
    """Return the selection of all columns of these tables."""
    return Selection(tables)


# Imported turns are history and no calls: neither a usage frame nor a sum holds them.
IS_IMPORTED = "coalesce(surface, '') = 'import'"
IS_CALL = f"status <> 'refused' AND coalesce(cached, 0) = 0 AND NOT ({IS_IMPORTED})"

# Measured on the live `/v1`: an apology with usage 0, 0 and a total of 1.
_UNCOUNTED = (
    "coalesce(usage_source, '') = 'stream' AND coalesce(reported_total, 0) = 1"
    " AND input_tokens IS NULL AND output_tokens IS NULL"
)
# Over `turns` and `texts`. How a list of files begins in the JSON that `schema` writes.
_HAS_CONTENT = f"""(trim(coalesce(answer, ''), '{BLANKS.replace("'", "''")}') <> ''
 OR coalesce(raw, '') LIKE '%"files": [{{%')"""
IS_SUSPECT = f"status = 'ok' AND ({_UNCOUNTED} OR NOT {_HAS_CONTENT})"
IS_REPLAYABLE = f"status = 'ok' AND NOT ({_UNCOUNTED}) AND {_HAS_CONTENT}"


def is_call(turn: Turn) -> bool:
    """Return whether a request was sent for this turn: it counts in usage and budgets."""
    return turn.status != "refused" and not turn.cached and turn.surface != "import"


def is_suspect(turn: Turn) -> bool:
    """Return whether this may be a failure that the service reported as a success.

    Measured on the live `/v1`: an apology with usage 0, 0 and a total of 1, and answers that
    are empty or nothing but quotes. The words are not looked at.
    """
    return turn.status == "ok" and (_is_uncounted(turn) or is_empty(turn.text, turn.raw))


def is_replayable(turn: Turn) -> bool:
    """Return whether the cache may show this answer again: no failure, and none suspected."""
    return turn.status == "ok" and not is_suspect(turn)


def _is_uncounted(turn: Turn) -> bool:
    usage = turn.usage
    tokens = usage.input_tokens, usage.output_tokens, usage.reported_total
    return usage.source == "stream" and tokens == (None, None, 1)
