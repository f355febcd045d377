"""The columns of the ledger's tables, derived from the annotated fields of `Turn` and `Usage`.

The list of columns determines the INSERT and UPDATE statements, the usage frame and the record of a
turn in a notebook. A turn is a prompt and its answer. A usage frame is a DataFrame with one row for
each turn.

The end of the module defines predicates on turns, such as "this turn counts as a call". Each
predicate exists as a Python function and as an SQL expression. Both must give equal results.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from swiftask_jupyter.answers.turn import BLANKS, ColumnSpec, Kind, Turn, Usage, is_empty
from swiftask_jupyter.support.structs import Struct, replace

LONGEST_RAW = 64 * 1024  # the maximum number of characters of a response's JSON

_KINDS: dict[object, Kind] = {bool: "flag", int: "whole", float: "real", str: "text"}


class LedgerColumn(Struct, frozen=True):
    """The description of one column of the ledger or of a usage frame.

    Attributes:
        name: the name of the column, in the ledger and in the frame.
        kind: the kind of value, which determines the dtype in the frame.
        unit: the unit of measure; empty if the value is not a quantity.
        meaning: what the value means and where it comes from.
        field: the name of the field in `Turn` or `Usage`; empty if the column has no field.
        of_usage: whether the field belongs to `Usage`, not to `Turn`.
        choices: the allowed values; empty if any value is allowed.
        table: the ledger's table, `turns` or `texts`; empty if the column has no field.
        written: when the ledger stores the value: `begin` (before the request is sent), `end` (when
            the turn has ended) or `both`.
        null: a field value to store as NULL; `None` is always stored as NULL.
        in_frame: whether every usage frame has the column.
        in_record: whether the record of a turn in a notebook has the value.
        record_name: the name of the value in the record of a turn.
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
        """The dotted path from a `Turn` to the field, such as `seconds` or `usage.credits`."""
        return f"usage.{self.field}" if self.of_usage else self.field


@cache
def columns() -> tuple[LedgerColumn, ...]:
    """Return the columns of all annotated fields of `Turn` and `Usage`, in the fields' order."""
    return tuple(_columns_of(Turn))


@cache
def frame_columns() -> tuple[LedgerColumn, ...]:
    """Return the columns that every usage frame has."""
    return tuple(column for column in columns() if column.in_frame)


# Columns that only some usage frames have, and that come from no field of a turn.
USER = LedgerColumn("user", "category", "", "whose call it was, in a ledger that several share")
RATINGS = (
    LedgerColumn("liked", "flag", "", "what the user thought of it, where it was rated in a panel"),
    LedgerColumn("comment", "text", "", "what the user said of it, in a panel"),
)


@cache
def text_columns() -> tuple[LedgerColumn, ...]:
    """Return the columns that only a usage frame with texts has: prompt, answer and ratings."""
    return (*(column for column in columns() if column.name in ("prompt", "answer")), *RATINGS)


@cache
def all_frame_columns() -> dict[str, LedgerColumn]:
    """Return a dict that maps names to columns, for all columns that a usage frame can have."""
    return {each.name: each for each in (*frame_columns(), USER, *text_columns())}


@cache
def kinds() -> dict[str, Kind]:
    """Return a dict that maps the name of each possible usage frame column to the column's kind."""
    return {name: each.kind for name, each in all_frame_columns().items()}


def _columns_of(kind: type[Struct]) -> Iterator[LedgerColumn]:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if hint is Usage:
            yield from (replace(each, of_usage=True) for each in _columns_of(Usage))
        elif get_origin(hint) is Annotated:
            value, *extras = get_args(hint)
            for column in extras:
                if isinstance(column, ColumnSpec):
                    yield _resolved(column, name, value)


def _resolved(column: ColumnSpec, field: str, hint: Any) -> LedgerColumn:
    """Return the ledger column for a field.

    Args:
        column: the annotation of the field. An empty name or kind is derived from `field` and
            `hint`.
        field: the name of the field.
        hint: the type of the field.
    """
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


class WriteStatement:
    """An INSERT or UPDATE statement, and the fields of a turn that are the statement's parameters.

    Attributes:
        sql: the statement, with `?` for each parameter.
    """

    def __init__(self, sql: str, written: Sequence[LedgerColumn]) -> None:
        self.sql = sql
        self._values = attrgetter(*(column.path for column in written))
        self._null = [column.null for column in written]
        self._store = [_STORE.get(column.kind) for column in written]

    def values(self, turn: Turn) -> tuple[Any, ...]:
        """Return the statement's parameters, taken from a turn and converted for the database."""
        return tuple(
            None if value is None or value == null else value if store is None else store(value)
            for value, null, store in zip(self._values(turn), self._null, self._store, strict=True)
        )


@cache
def insert(table: str, *extra: str) -> WriteStatement:
    """Return the INSERT statement for the row of a new turn.

    The statement sets the columns whose `written` is `begin` or `both`.

    Args:
        table: `turns` or `texts`.
        extra: the names of additional columns. The caller appends the values of these columns to
            the parameters.
    """
    written = _written(table, "begin")
    if table != "turns":
        written = (_identity(), *written)
    names = [*(column.name for column in written), *extra]
    marks = ", ".join("?" * len(names))
    return WriteStatement(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", written)  # noqa: S608 - our own columns


@cache
def update(table: str) -> WriteStatement:
    """Return the UPDATE statement that stores the result of a turn that has ended.

    The statement sets the columns whose `written` is `end` or `both`. The caller appends the WHERE
    clause.

    Args:
        table: `turns` or `texts`.
    """
    written = _written(table, "end")
    names = ", ".join(f"{column.name} = ?" for column in written)
    return WriteStatement(f"UPDATE {table} SET {names}", written)  # noqa: S608 - our own columns


def _written(table: str, moment: str) -> tuple[LedgerColumn, ...]:
    return tuple(
        column for column in columns()
        if column.table == table and column.written in (moment, "both")
    )  # fmt: skip


def _identity() -> LedgerColumn:
    return next(column for column in columns() if column.field == "id")


def _as_json(value: Any) -> str | None:
    """Convert the additional fields of a response to JSON text.

    Return `None` if the value is empty, if the conversion fails, or if the text is longer than
    `LONGEST_RAW`.
    """
    try:
        written = json.dumps(value, ensure_ascii=True) if value else ""
    except (TypeError, ValueError, RecursionError):
        return None
    return written if written and len(written) <= LONGEST_RAW else None


Text = TypeVar("Text", str, str | None)


def storable(text: Text) -> Text:
    """Return the text with `?` instead of lone surrogates, which databases cannot store."""
    return text if not text or text.isascii() else text.encode("utf-8", "replace").decode()


def _stored_text(value: Any) -> str:
    return storable(value if isinstance(value, str) else str(value))


# For each kind of column whose values are converted before they are stored, the conversion.
_STORE: dict[Kind, Callable[[Any], Any]] = {
    "json": _as_json,
    "text": _stored_text,
    "category": _stored_text,
    "flag": int,
}


class SelectColumns:
    """The columns of a SELECT statement, with methods that convert a result row to a turn.

    Attributes:
        sql: the column names for the SELECT statement, separated by commas.
    """

    def __init__(self, tables: Sequence[str]) -> None:
        chosen = [column for column in columns() if column.table in tables]
        self.sql = ", ".join(f"{column.table}.{column.name}" for column in chosen)
        self._names = [column.field for column in chosen]
        self._loaders = [_LOADERS.get(column.kind or "text") for column in chosen]
        self._of_usage = [number for number, column in enumerate(chosen) if column.of_usage]

    def turn(self, row: Sequence[Any]) -> Turn:
        """Return a turn with the values of a result row.

        If a column is NULL, the field of the turn has its default value.
        """
        fields = self._loaded(row)
        if self._of_usage:
            names = (self._names[number] for number in self._of_usage)
            fields["usage"] = Usage(**{n: fields.pop(n) for n in names if n in fields})
        return Turn(**fields)

    def fill(self, turn: Turn, row: Sequence[Any]) -> None:
        """Set the fields of a turn to the values of a result row; NULL leaves a field unchanged."""
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
def selection(*tables: str) -> SelectColumns:
    """Return the columns of the named tables for a SELECT statement.

    Args:
        tables: `turns`, `texts` or both.
    """
    return SelectColumns(tables)


# Imported turns belong to a conversation but are no calls: usage frames and sums exclude them.
IS_IMPORTED = "coalesce(surface, '') = 'import'"
IS_CALL = f"status <> 'refused' AND coalesce(cached, 0) = 0 AND NOT ({IS_IMPORTED})"
# Rows of earlier versions do not say whether the sandbox was asked: they count as real calls.
IS_SANDBOX = "coalesce(sandbox, 0) = 1"

# Observed on the live API `/v1`: an apology with token counts of 0 and a total of 1.
_UNCOUNTED = (
    "coalesce(usage_source, '') = 'stream' AND coalesce(reported_total, 0) = 1"
    " AND input_tokens IS NULL AND output_tokens IS NULL"
)
# For `turns` joined with `texts`. The LIKE pattern finds a list of files in the JSON in `raw`.
_HAS_CONTENT = f"""(trim(coalesce(answer, ''), '{BLANKS.replace("'", "''")}') <> ''
 OR coalesce(raw, '') LIKE '%"files": [{{%')"""
# Finish reasons, in lower case, that say that an answer was withdrawn or failed.
_BAD_ENDS = ("content_filter", "error", "safety")
_ENDED_BADLY = f"lower(coalesce(finish_reason, '')) IN {_BAD_ENDS}"
IS_SUSPECT = f"status = 'ok' AND ({_UNCOUNTED} OR {_ENDED_BADLY} OR NOT {_HAS_CONTENT})"
IS_REPLAYABLE = f"status = 'ok' AND NOT ({_UNCOUNTED} OR {_ENDED_BADLY}) AND {_HAS_CONTENT}"


def sandbox_condition(*, sandbox: bool) -> str:
    """Return an SQL condition that selects turns.

    Args:
        sandbox: `True` selects the turns that were sent to a sandbox; `False` selects all other
            turns.
    """
    return IS_SANDBOX if sandbox else f"NOT ({IS_SANDBOX})"


def is_call(turn: Turn) -> bool:
    """Return whether a request was sent to the service for this turn.

    Only calls count in usage and budgets. A turn is no call if it was refused before sending,
    answered from the cache or imported from a file.
    """
    return turn.status != "refused" and not turn.cached and turn.surface != "import"


def is_suspect(turn: Turn) -> bool:
    """Return whether a turn with the status `ok` may be a failure.

    A turn is suspect in three cases. First, the answer is empty, or consists only of quotes and
    blanks. Second, a stream reported a total usage of 1 without any tokens. The live API `/v1` did
    so for an apology. Third, the finish reason says that a filter or an error ended the answer.
    """
    return turn.status == "ok" and (
        _is_uncounted(turn) or _ended_badly(turn) or is_empty(turn.text, turn.raw)
    )


def suspicion(turn: Turn) -> str:
    """Return in words why a turn is suspect (see `is_suspect`)."""
    if _ended_badly(turn):
        return f"ended by {turn.finish_reason}"
    calls = turn.raw.get("tool_calls")
    if isinstance(calls, list) and calls and is_empty(turn.text, turn.raw):
        return "no text, but calls of tools that only the caller could run: see raw['tool_calls']"
    return "empty, or a failure in disguise"


def is_replayable(turn: Turn) -> bool:
    """Return whether the cache may show the answer of this turn again.

    The turn must have the status `ok`, and must not be suspect (see `is_suspect`).
    """
    return turn.status == "ok" and not is_suspect(turn)


def _ended_badly(turn: Turn) -> bool:
    return (turn.finish_reason or "").lower() in _BAD_ENDS


def _is_uncounted(turn: Turn) -> bool:
    usage = turn.usage
    tokens = usage.input_tokens, usage.output_tokens, usage.reported_total
    return usage.source == "stream" and tokens == (None, None, 1)
