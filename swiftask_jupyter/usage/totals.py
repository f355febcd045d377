"""Totals of a usage frame: calls, tokens, credits, and how many calls reported nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.ledger.usage import MEASURES

if TYPE_CHECKING:
    import pandas as pd

STATUSES = ("ok", "error", "interrupted", "lost", "running")  # of a call; `refused` is none
SUMS = ("input_tokens", "output_tokens", "total_tokens", "credits")
MEANS = ("seconds", "first_token_seconds")


def totals(frame: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return the totals of a usage frame, as the ledger would compute them.

    `calls` counts the turns that were sent to a service; `refused` and `cached` turns were not.
    `unreported` counts the calls of which neither tokens nor credits are known; the sums do not
    include them. A sum is missing, not 0, if no call reported a value. `seconds` and
    `first_token_seconds` are means.

    Args:
        frame: a usage frame.
        by: the columns to group by, or `day`; the result has one row for each combination of
            their values. Empty: one row for all turns.
    """
    import pandas as pd

    cached = frame["cached"].fillna(value=False)
    called = (frame["status"] != "refused") & ~cached
    flags: dict[str, Any] = {"calls": called, "cached": cached}
    for status in STATUSES:
        flags[status] = called & (frame["status"] == status)
    flags["refused"] = frame["status"] == "refused"
    reported = frame[["input_tokens", "output_tokens", "credits"]].notna().any(axis="columns")
    flags["unreported"] = called & ~reported
    values = pd.DataFrame({name: flag.astype("Int64") for name, flag in flags.items()})
    for name in (*SUMS, *MEANS):
        values[name] = frame[name].where(called)
    keys = [_key(frame, name) for name in by] or [pd.Series(0, index=frame.index, name="all")]
    groups = values.groupby(keys, observed=True, dropna=False, sort=True)
    parts = [groups[name].sum() for name in flags]
    parts += [groups[name].sum(min_count=1) for name in SUMS]
    parts += [groups[name].mean() for name in MEANS]
    result = pd.concat(parts, axis=1)[list(MEASURES)]
    return result.reset_index(drop=not by)


def _key(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    return frame["at"].dt.floor("D").rename("day") if name == "day" else frame[name]


def credit_differences(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return the difference between the credits of each call and of the call before it.

    It is undocumented whether a service reports the credits of the call or of the session so far.
    They are taken for a running sum only if they grow with every call throughout a session with
    one agent. Elsewhere, and for the first call of a session, the difference is missing. Cached
    turns are not compared: they were no calls, and their 0 is no part of a running sum.
    """
    rows = frame.reset_index(drop=True)  # concatenated frames may repeat a label
    called = rows["credits"].notna() & ~rows["cached"].fillna(value=False)
    calls = rows[called].sort_values(["at", "turn"], kind="stable")
    keys = [calls[name].astype("string") for name in ("session", "agent", "dialect")]
    steps = calls["credits"].groupby(keys, dropna=False).diff()
    grows = (steps > 0).fillna(value=True).groupby(keys, dropna=False).transform("all")
    differences = steps.where(grows.astype("bool")).reindex(rows.index)
    return differences.set_axis(frame.index)
