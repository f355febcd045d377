"""Rows become a DataFrame with real dtypes, a chunk at a time.

What was used, as DataFrames: from the ledger, or from the notebooks themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.ledger.schema import EVERY, Kind
from swiftask_jupyter.ledger.usage import MEASURES
from swiftask_jupyter.turns.catalogue import Agent

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SECONDS_A_DAY = 86_400


def build(names: Sequence[str], chunks: Iterable[Sequence[Sequence[Any]]]) -> pd.DataFrame:
    """Return a frame of the named columns out of lists of rows.

    Each list is turned into columns as it comes, so that the rows of a large ledger never stand
    in memory all at once as Python objects.
    """
    import pandas as pd

    columns = [_BUILDERS[EVERY[name].kind]() for name in names]
    for rows in chunks:
        if rows:
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                column.add(values)
    frame = {name: column.series() for name, column in zip(names, columns, strict=True)}
    return pd.DataFrame(frame, columns=list(names), copy=False)


def sums(keys: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return a frame of sums: what each group is of, by which it is sorted, then the measures."""
    import pandas as pd

    names = (*keys, *MEASURES)
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    frame = {}
    for name, values in zip(names, columns, strict=True):
        column = _BUILDERS[_kind(name, keys)]()
        column.add([day * SECONDS_A_DAY for day in values] if name == "day" else values)
        frame[name] = column.series()
    made = pd.DataFrame(frame, columns=list(names))
    return made.sort_values(list(keys), ignore_index=True) if keys else made


def _kind(name: str, keys: Sequence[str]) -> Kind:
    """Return of which kind a column of sums is."""
    if name in keys:
        return "moment" if name == "day" else "category"
    return "real" if name in {"credits", "seconds", "first_token_seconds"} else "whole"


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows oldest first; a ledger mostly has them so already."""
    at = frame["at"].dt.tz_localize(None).to_numpy()
    if (at[1:] > at[:-1]).all():
        return frame
    return frame.sort_values(["at", "turn"], kind="stable", ignore_index=True)


def moments(seconds: np.ndarray[Any, Any]) -> pd.Series[Any]:
    """Return seconds since the epoch as UTC times, rounded as `datetime.fromtimestamp` does."""
    import numpy as np
    import pandas as pd

    fraction, whole = np.modf(seconds)
    microseconds = whole.astype("int64") * 1_000_000 + np.rint(fraction * 1e6).astype("int64")
    return pd.Series(microseconds.astype("datetime64[us]")).dt.tz_localize("UTC")


def category(codes: np.ndarray[Any, Any], values: Sequence[str]) -> pd.Series[Any]:
    """Return a categorical whose categories are sorted: equal contents are equal columns."""
    import numpy as np
    import pandas as pd

    order = sorted(range(len(values)), key=values.__getitem__)
    new = np.empty(len(values) + 1, dtype="int32")
    new[order] = np.arange(len(values))
    new[-1] = -1  # where the code is -1, for what is missing
    categories = pd.Index([values[number] for number in order], dtype="str")
    return pd.Series(pd.Categorical.from_codes(new[codes], categories=categories))


class _Texts:
    """Texts, each its own."""

    def __init__(self) -> None:
        self._chunks: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        import pandas as pd

        self._chunks.append(pd.Series(values, dtype="string"))

    def series(self) -> pd.Series[Any]:
        import pandas as pd

        chunks, self._chunks = self._chunks, []
        return pd.concat(chunks, ignore_index=True) if chunks else pd.Series(dtype="string")


class _Numbers:
    """Numbers or flags, any of them missing."""

    def __init__(self, plain: str) -> None:
        self._plain = plain
        self._chunks: list[Any] = []
        self._missing: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        import numpy as np

        numbers = np.array(values, dtype="float64")  # the fastest way past `None`, which is nan
        missing = np.isnan(numbers)
        numbers[missing] = 0
        if self._plain == "int64" and len(numbers) and np.abs(numbers).max() >= 2**53:
            numbers = np.array([value or 0 for value in values], "int64")  # no float holds them
        self._chunks.append(numbers.astype(self._plain))
        self._missing.append(missing)

    def series(self) -> pd.Series[Any]:
        import numpy as np
        import pandas as pd

        kinds = {"int64": pd.arrays.IntegerArray, "bool": pd.arrays.BooleanArray}
        numbers = np.concatenate([*self._chunks, np.empty(0, self._plain)])
        missing = np.concatenate([*self._missing, np.empty(0, "bool")])
        return pd.Series(kinds.get(self._plain, pd.arrays.FloatingArray)(numbers, missing))


class _Moments:
    """Seconds since the epoch."""

    def __init__(self) -> None:
        self._chunks: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        import numpy as np

        self._chunks.append(np.array(values, dtype="float64"))

    def series(self) -> pd.Series[Any]:
        import numpy as np

        return moments(np.concatenate(self._chunks) if self._chunks else np.empty(0))


class _Categories:
    """Texts that repeat: each is kept once."""

    def __init__(self) -> None:
        self._numbers = _Numbered()
        self._chunks: list[Any] = []

    def add(self, values: Sequence[Any]) -> None:
        import numpy as np

        codes = map(self._numbers.__getitem__, values)
        self._chunks.append(np.fromiter(codes, dtype="int32", count=len(values)))

    def series(self) -> pd.Series[Any]:
        import numpy as np

        codes = np.concatenate(self._chunks) if self._chunks else np.empty(0, dtype="int32")
        return category(codes, [value for value in self._numbers if value is not None])


class _Numbered(dict[str | None, int]):
    """Numbers each value that it is asked for; `None` is -1."""

    def __init__(self) -> None:
        super().__init__({None: -1})

    def __missing__(self, value: str) -> int:
        number = self[value] = len(self) - 1
        return number


_BUILDERS: dict[Kind, Callable[[], Any]] = {
    "moment": _Moments,
    "category": _Categories,
    "text": _Texts,
    "whole": lambda: _Numbers("int64"),
    "real": lambda: _Numbers("float64"),
    "flag": lambda: _Numbers("bool"),
}


def agents(catalogue: tuple[Agent, ...], pattern: str) -> pd.DataFrame:
    """Return the agents whose slug or name has the pattern in it: `slug`, `name`, `chat`."""
    import pandas as pd

    wanted = pattern.lower() if any(mark in pattern for mark in "*?[") else f"*{pattern.lower()}*"
    found = [
        (agent.slug, agent.name, agent.chat)
        for agent in catalogue
        if fnmatchcase(agent.slug.lower(), wanted) or fnmatchcase(agent.name.lower(), wanted)
    ]
    frame = pd.DataFrame(found, columns=["slug", "name", "chat"])
    return frame.astype({"slug": "string", "name": "string", "chat": "boolean"})
