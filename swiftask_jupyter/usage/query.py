"""`Swiftask.usage`: the turns of the ledger as a DataFrame, one row for each turn or group."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from swiftask_jupyter.conversation.notebook_file import absolute_path
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.schema import USER, frame_columns, text_columns
from swiftask_jupyter.ledger.usage import UsageFilter, UsageQueries
from swiftask_jupyter.options import UsageOptions
from swiftask_jupyter.support.structs import replace
from swiftask_jupyter.usage.frames import build_frame, build_sums, sort_by_time
from swiftask_jupyter.usage.totals import LeftOut, SandboxWarning

if TYPE_CHECKING:
    import pandas as pd

Since = str | float | timedelta | date | None
_UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}  # seconds


def usage(
    queries: UsageQueries,
    by: str | Sequence[str] = (),
    *,
    current: str | None = None,
    **options: Unpack[UsageOptions],
) -> pd.DataFrame:
    """Return a frame of turns, oldest turn first, or with `by` a frame of totals.

    The frame of totals has the columns of `UsageAccessor.totals`, and one row for each group. The
    totals leave out calls to the sandbox, unless the option `sandbox` is `True`. If this option is
    `None`, a warning says how many calls are left out. In both frames, a value that the service did
    not report is missing, never 0.

    Args:
        queries: the queries of the ledger.
        by: the columns to group by; see `UsageAccessor.totals`.
        current: the path of the notebook for which the option `notebook="."` stands.
        **options: see `UsageOptions`.

    Raises:
        ConfigurationError: a group or the time is invalid.
        StoreError: the ledger cannot be read.
    """
    frame, left_out = read_usage(queries, by, current=current, **options)
    if left_out.turns and options.get("sandbox") is None:
        warnings.warn(left_out.line("sandbox=True"), SandboxWarning, stacklevel=3)
    return frame


def read_usage(
    queries: UsageQueries,
    by: str | Sequence[str] = (),
    *,
    current: str | None = None,
    **options: Unpack[UsageOptions],
) -> tuple[pd.DataFrame, LeftOut]:
    """Return the frame that `usage` returns, and how much of the sandbox is left out.

    Unlike `usage`, this function does not warn.
    """
    from swiftask_jupyter.usage.accessor import parse_groups

    shared = queries.shared
    text, sandbox = options.get("text"), options.get("sandbox")
    filters = UsageFilter(
        parse_since(options.get("since")), options.get("agent"),
        _notebook_path(options.get("notebook"), current), options.get("session"),
    )  # fmt: skip
    if keys := parse_groups(by, (USER.name,) if shared else ()):
        if text:
            raise ConfigurationError("sums have no text", advice="leave out either by or text")
        if sandbox:
            return build_sums(keys, queries.sums(keys, filters)), LeftOut(0, 0)
        left_out = LeftOut(*queries.count(replace(filters, sandbox=True)))
        sums = queries.sums(keys, replace(filters, sandbox=False))
        return build_sums(keys, sums), left_out
    columns = [*frame_columns(), *([USER] if shared else []), *(text_columns() if text else ())]
    return read_frame(queries, [column.name for column in columns], filters), LeftOut(0, 0)


def _notebook_path(named: str | Path | None, current: str | None) -> str | None:
    """Return the path for the option `notebook`; `None` selects every notebook.

    Args:
        named: the value of the option: a path, `.` for the current notebook, or `all`.
        current: the path of the current notebook; `None` if the path is not known.

    Raises:
        ConfigurationError: `named` is `.`, and the path of the current notebook is not known.
    """
    if named != ".":
        return None if named in (None, "all") else absolute_path(named)
    if current is None:
        raise ConfigurationError(
            "which notebook this is, is not known", advice="name its path, or leave it out"
        )
    return current


def read_frame(queries: UsageQueries, names: Sequence[str], filters: UsageFilter) -> pd.DataFrame:
    """Return a DataFrame with these columns of the selected turns, oldest turn first.

    A large SQLite ledger is read through Arrow, if Arrow is installed. The result does not depend
    on Arrow.

    Raises:
        StoreError: the ledger cannot be read.
    """
    from swiftask_jupyter.usage.arrow import read_with_arrow

    frame = read_with_arrow(queries, names, filters)
    if frame is None:
        frame = build_frame(names, queries.rows(names, filters))
    return sort_by_time(frame)


def parse_since(since: Since) -> float | None:
    """Convert a start time to seconds since the epoch.

    Args:
        since: a time span before now, a date, a time, or seconds since the epoch. `None` means no
            start time, and gives `None`.

    Raises:
        ConfigurationError: the value is not a time.
    """
    if since is None or isinstance(since, int | float):
        return since
    if isinstance(since, timedelta):
        return time.time() - since.total_seconds()
    try:
        return _timestamp(since)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{since!r} is no time", advice="write 7d, 12h, 2026-01-31 or 2026-01-31T09:00"
        ) from None


def _timestamp(since: Any) -> float:
    if isinstance(since, str):
        if span := re.fullmatch(r"(\d+)([mhdw])", since.strip()):
            return time.time() - int(span[1]) * _UNITS[span[2]]
        return datetime.fromisoformat(since.strip()).timestamp()
    if isinstance(since, datetime):
        # For a time without a zone, the method `timestamp` of the subclass in pandas assumes UTC,
        # and that of datetime assumes this machine's zone.
        return datetime.combine(since.date(), since.timetz()).timestamp()
    if isinstance(since, date):
        return datetime(since.year, since.month, since.day).timestamp()  # noqa: DTZ001 - in this machine's zone
    raise ValueError
