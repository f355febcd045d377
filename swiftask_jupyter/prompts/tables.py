"""Writes tables of pandas, polars and pyarrow as CSV.

Numbers are written with all digits, and times with all fractions of a second. The module `values`
writes lists, dicts and arrays in cells in full. A missing value is written as an empty field.
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
    """Return the number of rows of a table of pandas, polars or pyarrow."""
    return int(table.num_rows) if is_a(table, "pyarrow", "Table", "RecordBatch") else len(table)


def csv_of(table: Any, rows: int | None = None) -> str:
    """Return a table as CSV text.

    Args:
        table: a table of pandas, polars or pyarrow.
        rows: the number of rows to write, from the first row; `None` writes all rows.

    Raises:
        NotWritable: the value of a cell can't be written in full.
    """
    file = BytesIO()
    if rows is not None:
        pyarrow = is_a(table, "pyarrow", "Table", "RecordBatch")
        table = table.slice(0, rows) if pyarrow else table.head(rows)
    write_csv(table, file)
    return file.getvalue().decode("utf-8")


def write_csv(table: Any, file: BytesIO) -> None:
    """Write a table to a file as CSV.

    The encoding is UTF-8. Each line ends with a line feed. The index of a pandas table is written
    before the columns.

    Raises:
        NotWritable: the value of a cell can't be written in full, or `table` is no table.
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
    _check_labels(table)
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
    """Convert a pyarrow table to a pandas frame that keeps the pyarrow types.

    Raises:
        NotWritable: a column has times in nanoseconds.
    """
    for column in table.schema:
        try:
            check_time_unit(str(column.type))
        except NotWritable as error:
            raise _of_column(error, column.name) from None
    return table.to_pandas(ignore_metadata=True, types_mapper=_arrow_dtype)


def _arrow_dtype(dtype: Any) -> Any:
    """Return the pandas dtype for a pyarrow type. The dtype keeps all values unchanged."""
    return sys.modules["pandas"].ArrowDtype(dtype)


def _check_labels(frame: Any) -> None:
    """Refuse a pandas frame with a label that can't be written in full.

    Raises:
        NotWritable: there is such a label of a row or of a column.
    """
    for axis, kind in ((frame.columns, "column"), (frame.index, "row")):
        for labels in getattr(axis, "levels", (axis,)):
            for label in labels if labels.dtype.kind == "O" else ():
                if _is_plain(label):
                    continue
                try:
                    _, shortened = write_value(label)
                except NotWritable as error:
                    raise NotWritable(f"has a {kind} label that {error.reason}") from None
                if shortened:
                    raise NotWritable(f"has a {kind} label whose text may be shortened")


def _pandas_with_texts(frame: Any) -> Any:
    """Return a pandas frame with texts in place of lists, arrays and other objects."""
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
    """Return a polars frame with texts in place of values that polars can't write as CSV."""
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
    """Return the value to write for a cell: a simple value unchanged, any other value as text.

    Args:
        cell: the value of the cell.
        column: the label of the cell's column, for error messages.

    Raises:
        NotWritable: the value can't be written in full.
    """
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
    """Return a new error that also names the column.

    Args:
        error: the error for the value of a cell.
        column: the label of the cell's column.
    """
    return NotWritable(f"has a column {column!r} that {error.reason}", error.advice)
