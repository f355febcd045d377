"""A value of any type is written in full, whatever display options are set, or is refused."""

import collections
import dataclasses
import datetime as dt
import decimal
import io
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from swiftask_jupyter.prompts.values import (
    MAX_CHARACTERS,
    NotWritable,
    TooLong,
    is_table,
    write_value,
)
from tests.support.values import shortening_displays

THIRDS = np.arange(1500) / 3


class Point(NamedTuple):
    """A named tuple with an array."""

    x: int
    y: object


@dataclasses.dataclass
class Measured:
    """A class whose `repr` writes an array."""

    values: object


class Spoken:
    """A class that says itself how it is written."""

    def __str__(self):
        return "to be continued..."


def text(value, limit=None):
    """Return the text of a value, written while every display is set to shorten it."""
    with shortening_displays():
        written, shortened = write_value(value, limit)
    assert not shortened
    return written


def refusal(value):
    """Return the reason for which a value is refused."""
    with shortening_displays(), pytest.raises(NotWritable) as refused:
        write_value(value)
    assert refused.value.advice
    return refused.value.reason


@pytest.mark.parametrize(
    "value",
    [
        None, True, 7, 0.1 + 0.2, float("nan"), 1 / 3 + 1j, "text", b"\xff", bytearray(b"x"),
        range(9), [], [1, "a", None], (1,), (), {"k": [b"x"]}, {1, 2}, set(), frozenset({1}),
        frozenset(), [["..."]], dt.date(2025, 1, 1), [dt.date(2025, 1, 1)],
        decimal.Decimal("1.10"), [decimal.Decimal("1.10")], pd.NaT, pd.NA,
        pd.Timestamp("2025-01-01 00:00:00.000000001"), Spoken(), pd.RangeIndex(99),
    ],
    ids=repr,
)  # fmt: skip
def test_what_python_writes_in_full_is_written_as_python_writes_it(value):
    assert text(value) == str(value)


@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "longdouble", "int8", "bool"])
def test_an_array_is_a_list_of_all_its_items_with_all_their_digits(kind):
    array = THIRDS.astype(kind)

    written = text(array)

    assert written.count(",") == 1499
    items = written.strip("[]").split(", ")
    assert (
        np.array([{"True": 1, "False": 0}.get(n, n) for n in items]).astype(kind) == array
    ).all()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.arange(4).reshape(2, 2), "[[0, 1], [2, 3]]"),
        (np.arange(8).reshape(2, 2, 2), "[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]"),
        (np.array(0.1 + 0.2), "0.30000000000000004"),
        (np.array("text"), "text"),
        (np.array([]), "[]"),
        (np.array([(1, 0.1)], dtype=[("a", "i4"), ("b", "f4")]), "[{'a': 1, 'b': 0.1}]"),
        (np.array([(1, 0.1)], dtype=[("a", "i4"), ("b", "f4")])[0], "{'a': 1, 'b': 0.1}"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), "[1.0, None]"),
        (np.ma.masked, "None"),
        (np.array(["2025-01-01", "NaT"], "M8[ns]"), "['2025-01-01T00:00:00.000000000', 'NaT']"),
        (np.array([1], "m8[s]"), "['1 seconds']"),
        (np.datetime64("2025-01-01"), "2025-01-01"),
        (np.array(["a", "b..."]), "['a', 'b...']"),
        (np.array([b"x"]), "[b'x']"),
        (np.array([1 + 0.1j], "c8"), "[(1+0.1j)]"),
        (np.array([np.arange(3), "x", None], object), "[[0, 1, 2], 'x', None]"),
        (np.float32(1 / 3), "0.33333334"),
        (np.float64(0.1 + 0.2), "0.30000000000000004"),
        (np.bool_(True), "True"),  # noqa: FBT003 - a value
        ([np.float64(0.5), np.str_("a")], "[0.5, 'a']"),
        ({"a": np.arange(3)}, "{'a': [0, 1, 2]}"),
        (Point(1, np.arange(3)), "Point(x=1, y=[0, 1, 2])"),
        (collections.OrderedDict(a="x..."), "{'a': 'x...'}"),
        (pd.Index([0.1 + 0.2, 2]), "[0.30000000000000004, 2.0]"),
        (pd.Categorical(["a", "b"]), "['a', 'b']"),
        (pd.array([1, None], dtype="Int64"), "[1, <NA>]"),
        (pd.MultiIndex.from_tuples([(1, "a")]), "[(1, 'a')]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_arrays_and_containers_of_them_are_written_as_lists(value, written):
    assert text(value) == written


@pytest.mark.parametrize("value", [pd.Index(range(500)).astype(float), pd.Categorical(["a"] * 500)])
def test_an_index_and_a_categorical_are_written_with_all_items(value):
    assert text(value).count(", ") == 499


def test_the_arrays_in_an_object_that_writes_itself_are_written_in_full():
    written = text(Measured(THIRDS))

    assert written.count(",") == 1499
    assert "3.3333333333333331e-01" in written
    assert text(Measured(pd.DataFrame({"x": THIRDS}))).count("\n") == 1500


def test_a_text_that_its_class_may_have_shortened_is_reported():
    assert write_value(Measured("abc..."))[1]
    assert not write_value(Measured("abc"))[1]


@pytest.mark.parametrize(
    "value",
    [
        (each for each in ()), object(), memoryview(b"x"), io.BytesIO(), lambda: 0, [object()],
        map(str, ()), {"f": lambda: 0}, pd.DataFrame({"x": [1]}).groupby("x"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_whose_text_says_nothing_of_it_is_refused(value):
    assert "says nothing of it" in refusal(value)


class ForeignArray:
    """An array of a library that is not known, whose text leaves values out."""

    @property
    def shape(self):
        """The shape."""

    dtype = shape

    def __str__(self):
        return "[0 1 ... 9]"


class LazyFrame:
    """A table whose columns must not be asked for, because that computes it."""

    @property
    def columns(self):
        """Raise."""
        raise AssertionError

    schema = columns


@pytest.mark.parametrize("value", [ForeignArray(), LazyFrame(), [ForeignArray()]])
def test_an_array_or_a_table_of_an_unknown_library_is_refused(value):
    assert "leaves values out" in refusal(value)


def test_a_frame_in_a_list_is_refused():
    assert refusal([pd.DataFrame()]) == "has a DataFrame in it"


def test_a_list_that_contains_itself_is_refused():
    cycle = [1]
    cycle.append(cycle)

    assert refusal(cycle) == "contains itself"
    same = [1]
    assert text([same, same]) == "[[1], [1]]"


@pytest.mark.parametrize(
    "value",
    [
        "x" * 11,
        list(range(5)),
        np.arange(5),
        np.broadcast_to(np.int64(7), 10**9),
        {"k": "x" * 9},
        Spoken(),
    ],
)
def test_a_text_above_the_limit_is_not_made(value):
    with pytest.raises(TooLong):
        write_value(value, 10)


def test_a_text_of_the_limit_is_written():
    assert text("x" * 10, 10) == "x" * 10
    assert text([1, 2, 3, 4], 12) == "[1, 2, 3, 4]"
    assert MAX_CHARACTERS == 100_000


def test_polars_and_pyarrow_are_recognized_without_an_import():
    code = (
        "import sys; from swiftask_jupyter.prompts.values import is_table, write_value\n"
        "assert not is_table([1]); write_value([1]); write_value({'a': b'x'})\n"
        "assert not {'pandas', 'numpy', 'polars', 'pyarrow'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
    assert is_table(pd.DataFrame())
    assert is_table(pd.Series())


def test_arrays_of_pyarrow_are_written_as_lists():
    pa = pytest.importorskip("pyarrow")

    assert text(pa.array([0.1 + 0.2] * 30)) == f"[{', '.join(['0.30000000000000004'] * 30)}]"
    assert text(pa.chunked_array([[1], [2, None]])) == "[1, 2, None]"
    assert text(pa.scalar([1] * 30)) == str([1] * 30)
    assert refusal(pa.array([1], pa.time64("ns"))) == "has times in nanoseconds"


def test_a_lazy_frame_of_polars_is_refused():
    pl = pytest.importorskip("polars")

    assert "LazyFrame of polars" in refusal(pl.LazyFrame({"a": [1]}))
