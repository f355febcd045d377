"""Computes the totals of a usage frame, such as calls, tokens and credits.

By default, totals and plots leave out calls to the sandbox, because these calls cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from swiftask_jupyter.ledger.usage import MEASURES
from swiftask_jupyter.support.wording import quantity

if TYPE_CHECKING:
    import pandas as pd

STATUSES = ("ok", "error", "interrupted", "lost", "running")  # of calls; a refused turn is none
SUMS = ("input_tokens", "output_tokens", "total_tokens", "credits")
MEANS = ("seconds", "first_token_seconds")


class SandboxWarning(UserWarning):
    """Warns that calls to the sandbox were left out of totals or of a plot."""


class LeftOut(NamedTuple):
    """How much of the sandbox was left out of totals or of a plot.

    Attributes:
        calls: the number of calls.
        turns: the number of turns: the calls, the cached turns and the refused turns.
    """

    calls: int
    turns: int

    def line(self, remedy: str = "") -> str:
        """Return a one-line message about the left-out calls; empty if nothing was left out.

        Args:
            remedy: what the user can write to include the calls, such as `--sandbox`; may be empty.
        """
        if not self.turns:
            return ""
        what = quantity(self.calls, "call") if self.calls else quantity(self.turns, "unsent turn")
        them = "it" if (self.calls or self.turns) == 1 else "them"
        return f"{what} to the sandbox left out" + (f"; {remedy} adds {them}" if remedy else "")


def without_sandbox(frame: pd.DataFrame) -> tuple[pd.DataFrame, LeftOut]:
    """Return the rows of a usage frame that are not of the sandbox, and how much is left out.

    A frame from an earlier version has no column `sandbox`. No row of this frame is left out.
    """
    if "sandbox" not in frame:
        return frame, LeftOut(0, 0)
    sandbox = frame["sandbox"].eq(other=True).fillna(value=False).astype("bool")
    calls = int((_is_call(frame) & sandbox).sum())
    return frame[~sandbox], LeftOut(calls, int(sandbox.sum()))


def totals(frame: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return the totals of a usage frame, with the columns that `UsageAccessor.totals` describes.

    Args:
        frame: a usage frame, which has one row for each turn.
        by: the names of the columns to group by; the name `day` stands for the UTC day of a turn.
            The result has one row for each combination of values. If `by` is empty, the result has
            one row for all turns.
    """
    import pandas as pd

    called = _is_call(frame)
    flags: dict[str, Any] = {"calls": called, "cached": frame["cached"].fillna(value=False)}
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


def _is_call(frame: pd.DataFrame) -> pd.Series[Any]:
    return (frame["status"] != "refused") & ~frame["cached"].fillna(value=False)


def _key(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    return frame["at"].dt.floor("D").rename("day") if name == "day" else frame[name]


def credit_differences(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return a series: the credits of each call minus the credits of the previous call.

    Only calls with the same session, agent and protocol are compared. A difference is useful only
    if the service reports the credits of the whole session so far. In this case, the credits
    increase with every call. If the credits do not increase with every call, all differences are
    missing. The difference is also missing for the first call, and for a turn from the cache.
    """
    rows = frame.reset_index(drop=True)  # concatenated frames may have duplicate index labels
    called = rows["credits"].notna() & ~rows["cached"].fillna(value=False)
    calls = rows[called].sort_values(["at", "turn"], kind="stable")
    keys = [calls[name].astype("string") for name in ("session", "agent", "dialect")]
    steps = calls["credits"].groupby(keys, dropna=False).diff()
    grows = (steps > 0).fillna(value=True).groupby(keys, dropna=False).transform("all")
    differences = steps.where(grows.astype("bool")).reindex(rows.index)
    return differences.set_axis(frame.index)
