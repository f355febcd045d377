"""Writes tables as CSV: frames and series of pandas and polars, and pyarrow tables.

Numbers are written with all their digits and times with all their fractions. A list, a dict or an
array in a cell is written in full, as `values` writes it. A missing cell is an empty field.
"""

from __future__ import annotations

import csv
import re
import sys
from functools import partial
from io import BytesIO
from typing import Any

from swiftask_jupyter.prompts.values import (
    NotWritable,
    check_time_unit,
    is_a,
    is_simple,
    is_table,
    write_value,
)

# Types of polars in a list or a struct that Python's types would cut off after microseconds.
_NANOSECONDS = re.compile(r"'ns'|\bTime\b")


def row_count(table: Any) -> int:
    """Return the number of rows of a table."""
    return int(table.num_rows) if is_a(table, "pyarrow", "Table", "RecordBatch") else len(table)


def csv_of(table: Any, rows: int | None = None) -> str:
    """Return the first rows of a table as CSV, or all of them.

    Args:
        table: a value that `values.is_table` recognizes.
        rows: how many rows; `None` for all.

    Raises:
        NotWritable: a cell has no complete text.
    """
    file = BytesIO()
    if rows is not None:
        pyarrow = is_a(table, "pyarrow", "Table", "RecordBatch")
        table = table.slice(0, rows) if pyarrow else table.head(rows)
    write_csv(table, file)
    return file.getvalue().decode("utf-8")


def write_csv(table: Any, file: BytesIO) -> None:
    """Write a table as CSV in UTF-8, with lines that end in a line feed.

    A pandas index is the first column; polars and pyarrow have none.

    Raises:
        NotWritable: a cell has no complete text, or the value is no table.
    """
    if not is_table(table):
        raise NotWritable(f"is no table but {type(table).__name__}")
    if is_a(table, "polars", "DataFrame", "Series"):
        _polars_with_texts(table).write_csv(file)
        return
    index = True
    if is_a(table, "pyarrow", "Table", "RecordBatch"):
        table, index = _pandas_from_arrow(table), False
    if is_a(table, "pandas", "Series"):
        table = table.to_frame()  # a series without a name is the column 0, as in `to_csv`
    write = partial(
        _pandas_with_texts(table).to_csv,
        file, mode="wb", encoding="utf-8", lineterminator="\n", index=index,
    )  # fmt: skip
    begin = file.tell()
    write()
    if (
        b"\r" in file.getvalue()[begin:]
    ):  # pandas quotes no carriage return, and readers split there
        file.seek(begin)
        file.truncate()
        write(quoting=csv.QUOTE_NONNUMERIC)


def _pandas_from_arrow(table: Any) -> Any:
    """Return a pyarrow table as a pandas frame of the same types."""
    for column in table.schema:
        try:
            check_time_unit(str(column.type))
        except NotWritable as error:
            raise _of_column(error, column.name) from None
    return table.to_pandas(ignore_metadata=True, types_mapper=_arrow_dtype)


def _arrow_dtype(dtype: Any) -> Any:
    """Return the pandas type that keeps the values of a pyarrow type as they are."""
    return sys.modules["pandas"].ArrowDtype(dtype)


def _pandas_with_texts(frame: Any) -> Any:
    """Return a frame in which lists, arrays and other objects are replaced by their texts."""
    changed = frame
    for number, dtype in enumerate(frame.dtypes):
        texts_only = getattr(dtype, "type", None) is str
        cells = () if texts_only or dtype.kind != "O" else frame.iloc[:, number].array
        if all(_is_plain(cell) for cell in cells):
            continue
        if changed is frame:
            changed = frame.copy(deep=False)
        texts = [_cell_text(cell, frame.columns[number]) for cell in cells]
        series = sys.modules["pandas"].Series(texts, index=frame.index, dtype=object)
        changed.isetitem(number, series)
    return changed


def _polars_with_texts(table: Any) -> Any:
    """Return a polars frame in which the types that its CSV writer lacks are replaced by texts."""
    polars: Any = sys.modules["polars"]
    frame = table.to_frame() if is_a(table, "polars", "Series") else table
    texts = []
    for column in frame.get_columns():
        name, dtype = column.name, column.dtype
        if dtype == polars.Duration:
            texts.append(column.dt.to_string("iso"))
        elif dtype.is_nested() or dtype in {polars.Object, polars.Binary}:
            if _NANOSECONDS.search(str(dtype)):
                error = NotWritable("has times in nanoseconds in it", "cast them to String")
                raise _of_column(error, name)
            cells = [_cell_text(cell, name) for cell in column.to_list()]
            cells = [cell if cell is None else str(cell) for cell in cells]
            texts.append(polars.Series(name, cells, dtype=polars.String))
    return frame.with_columns(texts)


def _is_plain(cell: Any) -> bool:
    return is_simple(cell) or is_a(cell, "numpy", "number", "bool_", "datetime64")


def _cell_text(cell: Any, column: object) -> Any:
    """Return what a CSV writer is to write for a cell: simple values as they are, else a text."""
    if _is_plain(cell):
        return cell
    try:
        if is_table(cell):
            raise NotWritable(f"has a {type(cell).__name__} in it")  # noqa: TRY301 - named below
        text, shortened = write_value(cell)
        if shortened:
            raise NotWritable("has texts that may be shortened (…)")  # noqa: TRY301 - as above
    except NotWritable as error:
        raise _of_column(error, column) from None
    return text


def _of_column(error: NotWritable, column: object) -> NotWritable:
    """Return an error about a cell as one about the table."""
    return NotWritable(f"has a column {column!r} that {error.reason}", error.advice)
