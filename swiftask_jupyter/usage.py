"""The ledger as a DataFrame."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from swiftask_jupyter.catalogue import Agent
from swiftask_jupyter.store import Turns
from swiftask_jupyter.store.turns import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {
    "input_tokens": "Int64",
    "output_tokens": "Int64",
    "total_tokens": "Int64",
    "reported_total": "Int64",
    "credits": "Float64",
    "attempts": "Int64",
    "seconds": "Float64",
    "first_token_seconds": "Float64",
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


def usage(turns: Turns) -> pd.DataFrame:
    """Return one row a call, oldest first.

    Columns: `turn` (its id), `at` (UTC, when the request left), `notebook` (path, or missing),
    `session`, `agent`, `dialect`, `status` (ok, error, interrupted, running; lost: its process
    died; refused: never sent), `input_tokens`, `output_tokens`, `total_tokens` (missing where
    the service did not report them), `reported_total` (a total as the service gave it, in the
    service's own unit), `credits` (`totalBotUsage` as it came: whether it counts the request or
    the session is undocumented), `usage_source` (api: in the answer's JSON, stream: in a usage
    event, none), `seconds` (request to end), `first_token_seconds` (request to first text),
    `attempts` (how many requests it took), `finish_reason`, `error`.

    Raises:
        StoreError: the ledger can't be read.
    """
    import pandas as pd

    columns = list(zip(*turns.rows(), strict=True)) or [()] * len(COLUMNS)
    frame = {}
    for name, values in zip(COLUMNS, columns, strict=True):
        if name == "at":
            at = pd.Series(values, dtype="float64")
            frame[name] = pd.to_datetime((at * 1e6).round().astype("int64"), unit="us", utc=True)
        else:
            frame[name] = pd.Series(values, dtype=_DTYPES.get(name, "string"))
    return pd.DataFrame(frame)
