"""Builds DataFrames with typed columns from database rows, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.answers.turn import Kind
from swiftask_jupyter.ledger.schema import kinds
from swiftask_jupyter.ledger.usage import MEASURES
from swiftask_jupyter.turns.catalogue import CatalogueAgent

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SECONDS_PER_DAY = 86_400


def build_frame(names: Sequence[str], chunks: Iterable[Sequence[Sequence[Any]]]) -> pd.DataFrame:
    """Return a usage frame (a DataFrame with one row for each turn) from database rows.

    Each chunk of rows is converted to columns before the next chunk is read. So the rows of a large
    ledger are never all in memory at once.

    Args:
        names: the names of the columns, in the order of the values in each row.
        chunks: lists of rows, as `UsageQueries.rows` yields them.
    """
    import pandas as pd

    columns = [_BUILDERS[kinds()[name]]() for name in names]
    for rows in chunks:
        if rows:
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                column.add(values)
    series = {name: column.series() for name, column in zip(names, columns, strict=True)}
    return pd.DataFrame(series, columns=list(names), copy=False)


def build_sums(keys: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return a DataFrame from sums that the database computed for groups of turns.

    The DataFrame is sorted by the values of `keys`.

    Args:
        keys: the columns by which the turns are grouped.
        rows: one row for each group, with the values of `keys` and then the values of `MEASURES`.
            The value of the key `day` is the number of days since the epoch.
    """
    import pandas as pd

    names = (*keys, *MEASURES)
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    series = {}
    for name, values in zip(names, columns, strict=True):
        column = _BUILDERS[_kind_of_sum(name, keys)]()
        column.add([day * SECONDS_PER_DAY for day in values] if name == "day" else values)
        series[name] = column.series()
    frame = pd.DataFrame(series, columns=list(names))
    return frame.sort_values(list(keys), ignore_index=True) if keys else frame


def _kind_of_sum(name: str, keys: Sequence[str]) -> Kind:
    if name in keys:
        return "moment" if name == "day" else "category"
    return "real" if name in {"credits", "seconds", "first_token_seconds"} else "whole"


def sort_by_time(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a usage frame with its rows sorted by time, oldest first."""
    at = frame["at"].dt.tz_localize(None).to_numpy()
    if (at[1:] > at[:-1]).all():  # the usual order in a ledger
        return frame
    return frame.sort_values(["at", "turn"], kind="stable", ignore_index=True)


def to_utc(seconds: np.ndarray[Any, Any]) -> pd.Series[Any]:
    """Convert seconds since the epoch to UTC times, rounded to microseconds."""
    import numpy as np
    import pandas as pd

    fraction, whole = np.modf(seconds)
    microseconds = whole.astype("int64") * 1_000_000 + np.rint(fraction * 1e6).astype("int64")
    return pd.Series(microseconds.astype("datetime64[us]")).dt.tz_localize("UTC")


def to_categorical(codes: np.ndarray[Any, Any], values: Sequence[str]) -> pd.Series[Any]:
    """Return a categorical series with sorted categories.

    Because of the sorting, two series with equal values have equal dtypes.

    Args:
        codes: for each row, the index of the row's value in `values`; -1 for a missing value.
        values: the distinct values, in any order.
    """
    import numpy as np
    import pandas as pd

    order = sorted(range(len(values)), key=values.__getitem__)
    new_codes = np.empty(len(values) + 1, dtype="int32")
    new_codes[order] = np.arange(len(values))
    new_codes[-1] = -1  # the code -1 of a missing value selects this last element
    categories = pd.Index([values[number] for number in order], dtype="str")
    return pd.Series(pd.Categorical.from_codes(new_codes[codes], categories=categories))


class _TextColumn:
    """Builds a column of texts from chunks of values, for texts that rarely repeat."""

    def __init__(self) -> None:
        self._chunks: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        import pandas as pd

        self._chunks.append(pd.Series(values, dtype="string"))

    def series(self) -> pd.Series[Any]:
        import pandas as pd

        chunks, self._chunks = self._chunks, []
        return pd.concat(chunks, ignore_index=True) if chunks else pd.Series(dtype="string")


class _NumberColumn:
    """Builds a column of numbers or booleans from chunks of values; a value may be `None`.

    Args:
        dtype: the numpy dtype of the values: `int64`, `float64` or `bool`.
    """

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._chunks: list[Any] = []
        self._missing: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        import numpy as np

        numbers = np.array(values, dtype="float64")  # the fastest conversion of `None`, to NaN
        missing = np.isnan(numbers)
        numbers[missing] = 0
        if self._dtype == "int64" and len(numbers) and np.abs(numbers).max() >= 2**53:
            numbers = np.array([value or 0 for value in values], "int64")  # floats round these
        self._chunks.append(numbers.astype(self._dtype))
        self._missing.append(missing)

    def series(self) -> pd.Series[Any]:
        import numpy as np
        import pandas as pd

        arrays = {"int64": pd.arrays.IntegerArray, "bool": pd.arrays.BooleanArray}
        numbers = np.concatenate([*self._chunks, np.empty(0, self._dtype)])
        missing = np.concatenate([*self._missing, np.empty(0, "bool")])
        return pd.Series(arrays.get(self._dtype, pd.arrays.FloatingArray)(numbers, missing))


class _TimeColumn:
    """Builds a column of UTC times from chunks of values, given in seconds since the epoch."""

    def __init__(self) -> None:
        self._chunks: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        import numpy as np

        self._chunks.append(np.array(values, dtype="float64"))

    def series(self) -> pd.Series[Any]:
        import numpy as np

        return to_utc(np.concatenate(self._chunks) if self._chunks else np.empty(0))


class _CategoryColumn:
    """Builds a categorical column from chunks of values; stores each distinct text only once."""

    def __init__(self) -> None:
        self._codes = _Codes()
        self._chunks: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        import numpy as np

        codes = map(self._codes.__getitem__, values)
        self._chunks.append(np.fromiter(codes, dtype="int32", count=len(values)))

    def series(self) -> pd.Series[Any]:
        import numpy as np

        codes = np.concatenate(self._chunks) if self._chunks else np.empty(0, dtype="int32")
        return to_categorical(codes, [value for value in self._codes if value is not None])


class _Codes(dict[str | None, int]):
    """A dict that assigns each new key the next integer, from 0; the key `None` has value -1."""

    def __init__(self) -> None:
        super().__init__({None: -1})

    def __missing__(self, value: str) -> int:
        code = self[value] = len(self) - 1
        return code


_BUILDERS: dict[Kind, Callable[[], Any]] = {
    "moment": _TimeColumn,
    "category": _CategoryColumn,
    "text": _TextColumn,
    "whole": lambda: _NumberColumn("int64"),
    "real": lambda: _NumberColumn("float64"),
    "flag": lambda: _NumberColumn("bool"),
}


def agents_frame(catalogue: tuple[CatalogueAgent, ...], pattern: str) -> pd.DataFrame:
    """Return a DataFrame of the agents whose slug or name matches a pattern.

    The columns are `slug`, `name` and `chat`.

    Args:
        catalogue: the agents to search.
        pattern: a part of the slug or the name. If the pattern contains `*`, `?` or `[`, it is a
            glob pattern for the whole slug or name. Case is ignored.
    """
    import pandas as pd

    lowered = pattern.lower()
    glob = lowered if any(mark in pattern for mark in "*?[") else f"*{lowered}*"
    found = [
        (agent.slug, agent.name, agent.chat)
        for agent in catalogue
        if fnmatchcase(agent.slug.lower(), glob) or fnmatchcase(agent.name.lower(), glob)
    ]
    frame = pd.DataFrame(found, columns=["slug", "name", "chat"])
    return frame.astype({"slug": "string", "name": "string", "chat": "boolean"})
