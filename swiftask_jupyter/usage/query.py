"""`Swiftask.usage`: the turns of the ledger as a DataFrame, one row for each turn or group."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.schema import USER, frame_columns, text_columns
from swiftask_jupyter.ledger.usage import UsageFilter, UsageQueries
from swiftask_jupyter.usage.frames import build_frame, build_sums, sort_by_time

if TYPE_CHECKING:
    import pandas as pd

Since = str | float | timedelta | date | None
_UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}  # seconds


def usage(
    queries: UsageQueries,
    by: str | Sequence[str] = (),
    *,
    since: Since = None,
    agent: str | None = None,
    notebook: str | None = None,
    session: str | None = None,
    text: bool = False,
) -> pd.DataFrame:
    """Return a DataFrame with one row for each turn, oldest first; with `by`, one for each group.

    `frame.swiftask.columns()` gives the unit and the source of each column. A value that a service
    did not report is missing, never 0. With `by`, the columns are those of `UsageAccessor.totals`,
    and the database computes the sums.

    Args:
        queries: the queries of the ledger.
        by: the columns to group by: `day`, `agent`, `session`, `cell`, `notebook`, `surface`,
            `status`, and in a shared ledger `user`; for several of these, a list or a text with
            commas.
        since: the earliest time of a turn: a time span before now (`"7d"`, `"12h"`, `"30m"`, `"2w"`
            or a timedelta), a date, a time, or seconds since the epoch. A time without a zone is in
            the time zone of this machine.
        agent: only turns of the agent with this slug.
        notebook: only turns of the notebook at this absolute path.
        session: only turns of the session with this id.
        text: whether to add the columns `prompt`, `answer`, `liked` and `comment`; the last two
            are ratings from a chat panel. It cannot be combined with `by`.

    Raises:
        ConfigurationError: a group or the time is invalid, or both `by` and `text` are given.
        StoreError: the ledger cannot be read.
    """
    from swiftask_jupyter.usage.accessor import parse_groups

    shared = queries.shared
    filters = UsageFilter(parse_since(since), agent, notebook, session)
    if keys := parse_groups(by, (USER.name,) if shared else ()):
        if text:
            raise ConfigurationError("sums have no text", advice="leave out either by or text")
        return build_sums(keys, queries.sums(keys, filters))
    columns = [*frame_columns(), *([USER] if shared else []), *(text_columns() if text else ())]
    return read_frame(queries, [column.name for column in columns], filters)


def read_frame(queries: UsageQueries, names: Sequence[str], filters: UsageFilter) -> pd.DataFrame:
    """Return these columns of the selected turns as a DataFrame, oldest first.

    A large SQLite ledger is read through Arrow if it is installed. The result is the same either
    way.

    Raises:
        StoreError: the ledger cannot be read.
    """
    from swiftask_jupyter.usage.arrow import read_with_arrow

    frame = read_with_arrow(queries, names, filters)
    if frame is None:
        frame = build_frame(names, queries.rows(names, filters))
    return sort_by_time(frame)


def parse_since(since: Since) -> float | None:
    """Convert a start time to seconds since the epoch; `None`, which means no limit, stays `None`.

    Args:
        since: a time span before now, a date, a time, or seconds since the epoch.

    Raises:
        ConfigurationError: the value is none of these.
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
