"""Sums of a usage frame: what was spent, and how many calls did not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.ledger.usage import MEASURES

if TYPE_CHECKING:
    import pandas as pd

STATUSES = ("ok", "error", "interrupted", "lost", "running")
SUMS = ("input_tokens", "output_tokens", "total_tokens", "credits")
MEANS = ("seconds", "first_token_seconds")


def totals(frame: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return one row for each group of calls, or one for all.

    `calls` left for the service; `refused` and `cached` turns did not. Of `unreported` calls
    neither tokens nor credits are known: the sums are without them. A sum of nothing reported
    is missing, not 0. `seconds` and `first_token_seconds` are means.
    """
    import pandas as pd

    cached = frame["cached"].fillna(value=False)
    called = (frame["status"] != "refused") & ~cached
    marks: dict[str, Any] = {"calls": called, "cached": cached}
    for status in STATUSES:
        marks[status] = called & (frame["status"] == status)
    marks["refused"] = frame["status"] == "refused"
    told = frame[["input_tokens", "output_tokens", "credits"]].notna().any(axis="columns")
    marks["unreported"] = called & ~told
    work = pd.DataFrame({name: values.astype("Int64") for name, values in marks.items()})
    for name in (*SUMS, *MEANS):
        work[name] = frame[name].where(called)
    keys = [_key(frame, name) for name in by] or [pd.Series(0, index=frame.index, name="all")]
    groups = work.groupby(keys, observed=True, dropna=False, sort=True)
    parts = [groups[name].sum() for name in marks]
    parts += [groups[name].sum(min_count=1) for name in SUMS]
    parts += [groups[name].mean() for name in MEANS]
    made = pd.concat(parts, axis=1)[list(MEASURES)]
    return made.reset_index(drop=not by)


def differences(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return by how much the credits of each call exceed those of the one before it.

    Whether the service's figure is of the call or of the whole session is undocumented. It is
    taken for a growing sum only where it grows from call to call throughout one session with one
    agent; everywhere else, and for the first call, the difference is missing. What was shown again
    was no call: its 0 says nothing of a sum.
    """
    rows = frame.reset_index(drop=True)  # of frames put together, several rows have one label
    called = rows["credits"].notna() & ~rows["cached"].fillna(value=False)
    known = rows[called].sort_values(["at", "turn"], kind="stable")
    keys = [known[name].astype("string") for name in ("session", "agent", "dialect")]
    steps = known["credits"].groupby(keys, dropna=False).diff()
    grows = (steps > 0).fillna(value=True).groupby(keys, dropna=False).transform("all")
    made = steps.where(grows.astype("bool")).reindex(rows.index)
    return made.set_axis(frame.index)


def _key(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    return frame["at"].dt.floor("D").rename("day") if name == "day" else frame[name]
