"""The ledger as a DataFrame: one row a call, or one a group."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.schema import COLUMNS, TEXTS, USER
from swiftask_jupyter.ledger.usage import Accounts, Selection
from swiftask_jupyter.usage.frames import build, in_order, sums

if TYPE_CHECKING:
    import pandas as pd

Since = str | float | timedelta | date | None
SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def usage(
    accounts: Accounts,
    by: str | Sequence[str] = (),
    *,
    since: Since = None,
    agent: str | None = None,
    notebook: str | None = None,
    session: str | None = None,
    text: bool = False,
) -> pd.DataFrame:
    """Return one row a call, oldest first, or with `by` one row a group.

    What stands in each column, in which unit and on whose word: `frame.swiftask.columns()`. What a
    service did not report is missing, never 0. A group has `calls` (what left for the service),
    how they ended, `unreported` (calls of which neither is known), sums of tokens and
    credits over the others, and means of seconds; it is summed up where the rows are.

    Args:
        accounts: the ledger.
        by: `day`, `agent`, `session`, `cell`, `notebook`, `surface`, `status`, or several.
        since: a span back from now (`"7d"`, `"12h"`, `"30m"`, `"2w"`, a timedelta), a date or a
            time (without a zone, in this machine's).
        agent: only this one's calls.
        notebook: only the calls of the notebook at this path.
        session: only the calls of the conversation of this id.
        text: whether to add `prompt` and `answer`, and `liked` and `comment` of a panel.

    Raises:
        ConfigurationError: a group or a time is none.
        StoreError: the ledger can't be read.
    """
    from swiftask_jupyter.usage.accessor import groups

    shared = accounts.shared
    wanted = Selection(moment(since), agent, notebook, session)
    if keys := groups(by, (USER.name,) if shared else ()):
        if text:
            raise ConfigurationError("sums have no text", advice="leave out either by or text")
        return sums(keys, accounts.sums(keys, wanted))
    columns = [*COLUMNS, *([USER] if shared else []), *(TEXTS if text else ())]
    return frame(accounts, [column.name for column in columns], wanted)


def frame(accounts: Accounts, names: Sequence[str], wanted: Selection) -> pd.DataFrame:
    """Return the rows with these columns; through Arrow where that is installed and worth it."""
    from swiftask_jupyter.usage.arrow import through_arrow

    made = through_arrow(accounts, names, wanted)
    return in_order(build(names, accounts.rows(names, wanted)) if made is None else made)


def moment(since: Since) -> float | None:
    """Return a time in seconds since the epoch.

    Raises:
        ConfigurationError: it is none.
    """
    if since is None or isinstance(since, int | float):
        return since
    if isinstance(since, timedelta):
        return time.time() - since.total_seconds()
    try:
        return _moment(since)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{since!r} is no time", advice="write 7d, 12h, 2026-01-31 or 2026-01-31T09:00"
        ) from None


def _moment(since: Any) -> float:
    if isinstance(since, str):
        if span := re.fullmatch(r"(\d+)([mhdw])", since.strip()):
            return time.time() - int(span[1]) * SECONDS[span[2]]
        return datetime.fromisoformat(since.strip()).timestamp()
    if isinstance(since, datetime):  # pandas' own takes a time without a zone for UTC
        return datetime.combine(since.date(), since.timetz()).timestamp()
    if isinstance(since, date):
        return datetime(since.year, since.month, since.day).timestamp()  # noqa: DTZ001 - in this machine's zone
    raise ValueError
