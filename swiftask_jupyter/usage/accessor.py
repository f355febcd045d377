"""`frame.swiftask`: what a usage frame can do beside what every DataFrame can.

A usage frame as a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.schema import EVERY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEEDED = (
    "turn", "at", "session", "agent", "dialect", "status", "seconds", "first_token_seconds",
    "input_tokens", "output_tokens", "total_tokens", "credits", "usage_source", "cached",
)  # fmt: skip
GROUPS = ("day", "agent", "session", "cell", "notebook", "surface", "status")


@pd.api.extensions.register_dataframe_accessor("swiftask")
class UsageAccessor:
    """Totals, cost, pictures and exports of a frame that `usage()` returned, or of some rows of it.

    Raises:
        AttributeError: it is no usage frame.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        missing = [name for name in NEEDED if name not in frame]
        if missing:
            raise AttributeError(
                f"this frame has no column {missing[0]}: .swiftask is for what usage() returns,"
                " one row a call"
            )
        self._frame = frame

    def totals(self, by: str | Sequence[str] = ()) -> pd.DataFrame:
        """Return calls, tokens, credits and how many calls reported nothing.

        Args:
            by: one row for each day, agent, session, cell, notebook, surface or status, or
                for each combination of several; without, one row for all.

        Raises:
            ConfigurationError: there is no such group.
        """
        from swiftask_jupyter.usage.totals import totals

        return totals(self._frame, groups(by, ("user",) if "user" in self._frame else ()))

    def cost(self) -> pd.DataFrame:
        """Return what each call is said to have cost, the credits raw and as a difference.

        `credits_difference` is by how much a call's credits exceed those of the call before it,
        and only there where they grow throughout one session with one agent: whether the service
        means the call or the session so far is undocumented.
        """
        from swiftask_jupyter.usage.totals import differences

        names = ["turn", "at", "session", "agent", "status", "total_tokens", "credits"]
        made = self._frame[[*names, "usage_source"]].copy()
        made.insert(len(names), "credits_difference", differences(self._frame))
        return made

    def plot(self, theme: Literal["light", "dark"] | None = None) -> Figure:
        """Draw credits, tokens, latency and outcomes; returns a matplotlib figure.

        Args:
            theme: what it is drawn for; without, for both, on whatever is behind it.

        Raises:
            ConfigurationError: matplotlib is not installed, or there is no such theme.
        """
        from swiftask_jupyter.usage.plots import plot

        return plot(self._frame, theme)

    def traces(self) -> pd.DataFrame:
        """Return the frame with OpenTelemetry's names, such as `gen_ai.usage.input_tokens`."""
        from swiftask_jupyter.usage.otel import traces

        return traces(self._frame)

    def export(self, path: str | Path) -> Path:
        """Write the frame to a `.parquet` or `.csv` file; returns its path.

        Raises:
            ConfigurationError: it can't be written, or what writes Parquet is not installed.
        """
        return export(self._frame, path)

    def columns(self) -> pd.DataFrame:
        """Return what each column of the frame is: its dtype, its unit, and who said it."""
        known = [EVERY[name] for name in self._frame.columns if name in EVERY]
        return pd.DataFrame(
            {
                "dtype": [str(self._frame[column.name].dtype) for column in known],
                "unit": [column.unit for column in known],
                "meaning": [column.meaning for column in known],
            },
            index=pd.Index([column.name for column in known], name="column"),
        )


def groups(by: str | Sequence[str], further: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what to group by; a text may name several, with commas.

    Raises:
        ConfigurationError: one of them is none.
    """
    known = (*GROUPS, *further)
    advice = "by " + ", ".join(known)
    names = list(by.split(",") if isinstance(by, str) else by if isinstance(by, Iterable) else [by])
    if any(not isinstance(name, str) for name in names):
        raise ConfigurationError(f"usage can't be grouped by {by!r}", advice=advice)
    wanted = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if names not in ([], [""]) and not wanted:
        raise ConfigurationError(f"{by!r} names nothing to group usage by", advice=advice)
    for name in wanted:
        if name not in known:
            raise ConfigurationError(f"usage can't be grouped by {name}", advice=advice)
    return wanted


def export(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a `.parquet` or `.csv` file; returns its path.

    Raises:
        ConfigurationError: it can't be written, or what writes Parquet is not installed.
    """
    file = Path(os.path.expanduser(path))  # noqa: PTH111 - unlike Path's, it leaves ~nobody alone
    try:
        if file.suffix == ".csv":
            frame.to_csv(file, index=False)
        elif file.suffix == ".parquet":
            frame.to_parquet(file, index=False)
        else:
            raise ConfigurationError(
                f"{file.name} names no format", advice="end it in .parquet or .csv"
            )
    except ImportError:
        raise ConfigurationError(
            "Parquet needs pyarrow", advice="pip install 'swiftask-jupyter[arrow]', or write .csv"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{file} can't be written ({error.strerror or error})", advice="name another place"
        ) from None
    return file
