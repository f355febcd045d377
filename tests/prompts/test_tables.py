"""Frames, series and tables are written as CSV with all that they hold, or refused."""

import csv
import datetime as dt
import io

import numpy as np
import pandas as pd
import pytest

from swiftask_jupyter.prompts.tables import csv_of, row_count, write_csv
from swiftask_jupyter.prompts.values import NotWritable
from tests.support.values import shortening_displays

THIRD = 0.1 + 0.2
NANOSECOND = pd.Timestamp("2025-01-01 00:00:00.000000001")


def cells(table, rows=None):
    """Return the cells of a table's CSV, written while every display is set to shorten it."""
    with shortening_displays():
        written = csv_of(table, rows)
    return list(csv.reader(io.StringIO(written, newline="")))


def refusal(table):
    """Return the reason for which a table is refused."""
    with shortening_displays(), pytest.raises(NotWritable) as refused:
        csv_of(table)
    assert refused.value.advice
    return refused.value.reason


@pytest.mark.parametrize(
    ("column", "written"),
    [
        ([THIRD, 1e-300], ["0.30000000000000004", "1e-300"]),
        (np.array([1 / 3, 1e-9], "f4"), ["0.33333334", "1e-09"]),
        (pd.array([2**63 - 1, None], dtype="Int64"), ["9223372036854775807", ""]),
        ([NANOSECOND, pd.NaT], [str(NANOSECOND), ""]),
        (pd.to_timedelta([1, 2]), ["0 days 00:00:00.000000001", "0 days 00:00:00.000000002"]),
        (pd.Categorical([THIRD, None]), ["0.30000000000000004", ""]),
        (["y" * 300, 'a\n,"b'], ["y" * 300, 'a\n,"b']),
        ([[1.5, "a"], None], ["[1.5, 'a']", ""]),
        ([np.arange(1500) / 3, ()], [str((np.arange(1500) / 3).tolist()), "()"]),
        ([{"a": np.array([THIRD])}, b"x"], ["{'a': [0.30000000000000004]}", "b'x'"]),
        ([pd.Interval(THIRD, 1), np.float32(0.5)], ["(0.30000000000000004, 1]", "0.5"]),
    ],
    ids=lambda value: str(getattr(value, "dtype", ""))[:20],
)  # fmt: skip
def test_a_column_of_any_type_is_written_in_full(column, written):
    frame = pd.DataFrame({"x": column})

    assert [row[1] for row in cells(frame)[1:]] == written
    assert [row[1] for row in cells(frame["x"])[1:]] == written


def test_all_columns_and_rows_are_written_or_the_first_rows():
    frame = pd.DataFrame(np.arange(3000).reshape(30, 100) / 3)

    assert [
        [float(cell) for cell in row[1:]] for row in cells(frame)[1:]
    ] == frame.to_numpy().tolist()
    assert len(cells(frame, 20)) == 21
    assert row_count(frame) == 30
    assert row_count(frame[0]) == 30


def test_the_index_comes_first_with_all_its_levels_and_digits():
    index = pd.MultiIndex.from_tuples([(THIRD, NANOSECOND)])

    assert cells(pd.DataFrame({"x": [1]}, index=index))[1] == [str(THIRD), str(NANOSECOND), "1"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_carriage_return_in_a_text_begins_no_new_row(library):
    frame = pytest.importorskip(library).DataFrame({"x": ["a\rb", "\r"]})

    assert [row[-1] for row in cells(frame)] == ["x", "a\rb", "\r"]


def test_columns_of_one_name_keep_their_own_values():
    frame = pd.DataFrame([[[1], [2]]], columns=["a", "a"])

    assert cells(frame) == [["", "a", "a"], ["0", "[1]", "[2]"]]
    assert frame.iloc[0, 0] == [1], "the user's own frame is not changed"


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (object(), "has a column 'x' that is an object, whose text says nothing of it"),
        (pd.DataFrame(), "has a column 'x' that has a DataFrame in it"),
        ([lambda: 0], "has a column 'x' that is a function, whose text says nothing of it"),
    ],
)
def test_a_cell_that_cannot_be_written_refuses_the_table_and_names_the_column(cell, reason):
    assert refusal(pd.DataFrame({"x": ["fine", cell]})) == reason


def test_a_value_that_is_no_table_is_refused():
    with pytest.raises(NotWritable, match="no table but list"):
        write_csv([1], io.BytesIO())


def test_a_frame_of_polars_is_written_in_full_without_an_index():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {
            "f": [THIRD, None, 1.0] * 10,
            "s": ["y" * 300, None, ""] * 10,
            "l": [[THIRD] * 30, None, []] * 10,
            "d": [{"a": 1, "b": "x"}, None, {"a": 2, "b": "y"}] * 10,
            "b": [b"x", None, b"\xff"] * 10,
            "t": pl.Series([1, None, 2] * 10).cast(pl.Datetime("ns")),
            "u": pl.Series([1, None, 2] * 10).cast(pl.Duration("ns")),
        }
    )

    rows = cells(frame)

    assert (rows[0], len(rows), row_count(frame)) == (frame.columns, 31, 30)
    assert rows[1] == [
        str(THIRD), "y" * 300, str([THIRD] * 30), "{'a': 1, 'b': 'x'}", "b'x'",
        "1970-01-01T00:00:00.000000001", "PT0.000000001S",
    ]  # fmt: skip
    assert rows[2] == [""] * 7
    assert cells(frame["f"], 1) == [["f"], [str(THIRD)]]


def test_nanoseconds_in_a_list_of_polars_are_refused():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"t": [[1]]}, schema={"t": pl.List(pl.Datetime("ns"))})

    assert refusal(frame) == "has a column 't' that has times in nanoseconds in it"


@pytest.mark.parametrize("kind", ["table", "record_batch"])
def test_a_table_of_pyarrow_is_written_in_full(kind):
    pa = pytest.importorskip("pyarrow")
    table = getattr(pa, kind)(
        {
            "i": pa.array([2**63 - 1, None] * 15),
            "f": pa.array([THIRD, None] * 15),
            "l": pa.array([[THIRD] * 30, None] * 15),
            "t": pa.array([1, None] * 15, pa.timestamp("ns")),
            "d": pa.array([dt.date(2025, 1, 1), None] * 15),
        }
    )

    rows = cells(table)

    assert (rows[0], len(rows), row_count(table)) == (table.schema.names, 31, 30)
    assert rows[1] == [
        "9223372036854775807", str(THIRD), str([THIRD] * 30), "1970-01-01 00:00:00.000000001",
        "2025-01-01",
    ]  # fmt: skip
    assert rows[2] == [""] * 5
    assert len(cells(table, 20)) == 21


def test_times_of_pyarrow_that_python_would_cut_are_refused():
    pa = pytest.importorskip("pyarrow")

    assert refusal(pa.table({"t": pa.array([1], pa.time64("ns"))})) == (
        "has a column 't' that has times in nanoseconds"
    )


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (pd.DataFrame({"x": [1]}, index=[object()]), "row"),
        (pd.DataFrame([[1]], columns=[object()]), "column"),
        (pd.DataFrame({"x": [1]}, index=pd.MultiIndex.from_tuples([("a", object())])), "row"),
        (pd.Series([1], index=[lambda: 0]), "row"),
    ],
)
def test_a_label_that_cannot_be_written_refuses_the_table(frame, kind):
    with pytest.raises(NotWritable, match=f"has a {kind} label that is an? "):
        csv_of(frame)


def test_labels_of_other_kinds_are_written():
    labels = ["text", 2020, 1.5, None, ("a", 1), pd.Timestamp("2026-01-01"), b"x"]

    assert csv_of(pd.DataFrame({"x": range(7)}, index=pd.Index(labels, tupleize_cols=False)))
