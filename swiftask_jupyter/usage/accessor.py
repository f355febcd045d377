"""The pandas accessor `frame.swiftask`: totals, costs, plots and exports of a usage frame."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.schema import all_frame_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from swiftask_jupyter.usage.totals import LeftOut

REQUIRED_COLUMNS = (
    "turn", "at", "session", "agent", "dialect", "status", "seconds", "first_token_seconds",
    "input_tokens", "output_tokens", "total_tokens", "credits", "usage_source", "cached",
)  # fmt: skip
GROUPS = (
    "day", "agent", "session", "cell", "notebook", "surface", "status", "host", "connection",
)  # fmt: skip


@pd.api.extensions.register_dataframe_accessor("swiftask")
class UsageAccessor:
    """The methods of a usage frame, as `frame.swiftask`.

    `Swiftask.usage()` and `usage_from_notebooks()` return usage frames. A selection of rows is a
    usage frame too, and so are several concatenated usage frames.

    Args:
        frame: the frame, with one row for each turn.

    Raises:
        AttributeError: the frame lacks a column of a usage frame.

    Example:
        >>> from swiftask_jupyter import Sandbox, Swiftask
        >>> with Sandbox() as box, Swiftask(base_url=box.url, token=box.token) as swiftask:
        ...     answer = swiftask.ask("hello", agent="echo")
        ...     usage = swiftask.usage()
        >>> usage.swiftask.totals(by="agent", sandbox=True)[["agent", "calls", "ok", "error"]]
          agent  calls  ok  error
        0  echo      1   1      0
        >>> usage.swiftask.columns().loc["seconds", "unit"]
        's'
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        missing = [name for name in REQUIRED_COLUMNS if name not in frame]
        if missing:
            raise AttributeError(
                f"this frame has no column {missing[0]}: .swiftask is for what usage() returns,"
                " one row a call"
            )
        self._frame = frame

    def totals(self, by: str | Sequence[str] = (), *, sandbox: bool | None = None) -> pd.DataFrame:
        """Return a DataFrame of totals: calls, tokens, credits and times.

        The result has the columns of `by`, and these columns:

        - `calls`: the number of turns that were sent to a service;
        - `ok`, `error`, `interrupted`, `lost`, `running`: the number of calls with this status;
        - `refused`, `cached`: the number of turns that were not sent for this reason;
        - `unreported`: the number of calls that reported neither tokens nor credits;
        - `input_tokens`, `output_tokens`, `total_tokens`, `credits`: sums. If no call reported a
          value, the sum is missing, not 0;
        - `seconds`, `first_token_seconds`: means.

        Args:
            by: the columns to group by: `day`, `agent`, `session`, `cell`, `notebook`, `surface`,
                `status`, `host`, `connection`, and in a shared ledger `user`. Several columns are
                given as a list or separated by commas. The result has one row for each combination
                of values. If `by` is empty, the result has one row for all turns.
            sandbox: `True` counts calls to the sandbox. `False` leaves them out. `None` leaves them
                out too, and warns about the number of calls.

        Raises:
            ConfigurationError: a column to group by is unknown, or the frame lacks the column.
        """
        from swiftask_jupyter.usage.totals import totals

        names = parse_groups(by, ("user",) if "user" in self._frame else ())
        for name in names:
            if name != "day" and name not in self._frame:
                raise ConfigurationError(
                    f"this frame has no column {name}", advice="leave it out of by"
                )
        return totals(self._counted(sandbox=sandbox)[0], names)

    def _counted(self, *, sandbox: bool | None) -> tuple[pd.DataFrame, LeftOut]:
        """Return the rows to count, and how much of the sandbox is left out.

        If `sandbox` is `None`, a warning says how much is left out. Only public methods may call
        this method, because the warning names the line that called the public method.
        """
        from swiftask_jupyter.usage.totals import LeftOut, SandboxWarning, without_sandbox

        if sandbox:
            return self._frame, LeftOut(0, 0)
        frame, left_out = without_sandbox(self._frame)
        if sandbox is None and left_out.turns:
            warnings.warn(left_out.line("sandbox=True"), SandboxWarning, stacklevel=3)
        return frame, left_out

    def cost(self, *, sandbox: bool | None = None) -> pd.DataFrame:
        """Return the reported cost of each turn.

        The column `credits` has the value that the service reported; the value's unit is
        undocumented. The column `credits_difference` has the credits of a call minus the credits of
        the previous call in the session. The difference is the cost of the call if the service
        reports the credits of the whole session so far. The difference is missing if the credits do
        not grow with every call to the same agent in the session.

        Args:
            sandbox: whether calls to the sandbox are included; see `totals`.
        """
        from swiftask_jupyter.usage.totals import credit_differences

        frame, _ = self._counted(sandbox=sandbox)
        names = ["turn", "at", "session", "agent", "status", "total_tokens", "credits"]
        result = frame[[*names, "usage_source"]].copy()
        result.insert(len(names), "credits_difference", credit_differences(frame))
        return result

    def plot(
        self, theme: Literal["light", "dark"] | None = None, *, sandbox: bool | None = None
    ) -> Figure:
        """Return a matplotlib figure of credits, tokens, latency and outcomes.

        Args:
            theme: the color of the background; `None` for a transparent figure, which can be read
                on light and dark pages.
            sandbox: whether calls to the sandbox are drawn; see `totals`. If not, the figure says
                how many calls are left out.

        Raises:
            ConfigurationError: matplotlib is not installed, or the theme does not exist.
        """
        from swiftask_jupyter.usage.plots import plot

        frame, left_out = self._counted(sandbox=sandbox)
        return plot(frame, theme, left_out)

    def traces(self) -> pd.DataFrame:
        """Return a copy of the frame with the column names of OpenTelemetry's conventions for AI.

        For example, `input_tokens` becomes `gen_ai.usage.input_tokens`. A column that has no name
        in the conventions gets the prefix `swiftask.`.
        """
        from swiftask_jupyter.usage.otel import traces

        return traces(self._frame)

    def export(self, path: str | Path) -> Path:
        """Write the frame to a Parquet or CSV file, and return the path of the file.

        Args:
            path: the path of the file, ending in `.parquet` or `.csv`. A leading `~` stands for the
                user's home directory.

        Raises:
            ConfigurationError: the file cannot be written, the file name has another suffix, or the
                library that writes Parquet is not installed.
        """
        return export_frame(self._frame, path)

    def columns(self) -> pd.DataFrame:
        """Return a DataFrame that describes each column of the frame: dtype, unit and meaning.

        The meaning also says whether the service reported the value or this machine measured the
        value. Columns that do not belong to a usage frame are left out.
        """
        every = all_frame_columns()
        known = [every[name] for name in self._frame.columns if name in every]
        return pd.DataFrame(
            {
                "dtype": [str(self._frame[column.name].dtype) for column in known],
                "unit": [column.unit for column in known],
                "meaning": [column.meaning for column in known],
            },
            index=pd.Index([column.name for column in known], name="column"),
        )


def parse_groups(by: str | Sequence[str], further: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of the columns to group by, without duplicates.

    Args:
        by: a name, several names separated by commas, or a list of names.
        further: additional allowed names; the names in `GROUPS` are always allowed.

    Raises:
        ConfigurationError: a name is not allowed.
    """
    known = (*GROUPS, *further)
    advice = "by " + ", ".join(known)
    given = list(by.split(",") if isinstance(by, str) else by if isinstance(by, Iterable) else [by])
    if any(not isinstance(name, str) for name in given):
        raise ConfigurationError(f"usage can't be grouped by {by!r}", advice=advice)
    names = tuple(dict.fromkeys(name.strip() for name in given if name.strip()))
    if given not in ([], [""]) and not names:
        raise ConfigurationError(f"{by!r} names nothing to group usage by", advice=advice)
    for name in names:
        if name not in known:
            raise ConfigurationError(f"usage can't be grouped by {name}", advice=advice)
    return names


def export_frame(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a DataFrame to a `.parquet` or `.csv` file, and return the path of the file.

    Raises:
        ConfigurationError: the file cannot be written, the file name has another suffix, or the
            library that writes Parquet is not installed.
    """
    file = Path(os.path.expanduser(path))  # noqa: PTH111 - Path's raises for ~nobody
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
