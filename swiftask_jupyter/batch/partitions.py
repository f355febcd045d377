"""The same over a Dask DataFrame: each partition is asked for by the worker that holds it.

Nothing secret is part of the graph: a worker has its token, and the address of a shared ledger,
from its own environment. A partition that a killed worker had begun is given to another, which
finds in the ledger what was answered before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from swiftask_jupyter.batch.outcomes import check_columns, with_answers
from swiftask_jupyter.batch.rows import Rows, named_in
from swiftask_jupyter.batch.schemas import schema_of
from swiftask_jupyter.batch.wishes import Wishes
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.settings import Wanted

# Asks for the rows of one partition: its frame, the client's own arguments, the text, options.
AskFor = Callable[[Any, dict[str, Any], str, dict[str, Any]], Any]


def is_partitioned(frame: Any) -> bool:
    """Tell whether it is a Dask DataFrame."""
    return hasattr(frame, "map_partitions") and hasattr(frame, "npartitions")


def partitioned(
    frame: Any,
    text: str,
    options: Mapping[str, Any],
    *,
    wanted: Wanted,
    store: object,
    ask: AskFor,
) -> Any:
    """Return the Dask DataFrame that has the answers beside the rows, once it is computed.

    Args:
        frame: a Dask DataFrame.
        text: the prompt.
        options: all that `map` takes.
        wanted: what the client was made with.
        store: the ledger's file, if it is one.
        ask: asks for one partition, in a worker.

    Raises:
        Refused: no row could be sent.
    """
    if wanted.token:
        raise ConfigurationError(
            "a token does not travel to a cluster",
            advice="set SWIFTASK_API_KEY where its workers start",
        )
    wishes = Wishes.of(None, {name: options[name] for name in options if name != "agent"})
    names = {name: value for name, value in (wishes.names or {}).items() if name in named_in(text)}
    sample = frame._meta  # noqa: SLF001 - no other way to know the columns without computing
    schema = None if wishes.schema is None else schema_of(wishes.schema)
    Rows(sample, text, files=wishes.files, names=names)
    check_columns(sample, schema, wishes.prefix)
    own = {
        "base_url": wanted.base_url, "agent": wanted.agent, "dialect": wanted.dialect,
        "connection": wanted.connection, "store": store,
    }  # fmt: skip
    given = {**options, "names": names, "concurrency": wishes.concurrency}
    made = with_answers(sample, [], schema, wishes.prefix)
    return frame.map_partitions(ask, own, text, given, meta=made)


def share(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of one partition: its part of the concurrency, and nobody to ask."""
    at_once = max(1, options["concurrency"] // _partitions_at_once())
    return {**options, "concurrency": at_once, "confirm": False, "pilot": 0, "progress": False}


def _partitions_at_once() -> int:
    """Return how many partitions the cluster works on at once."""
    try:
        from distributed import get_client

        client: Any = get_client()  # of the cluster whose task this is
        return sum(client.nthreads().values()) or 1
    except (ImportError, ValueError):  # no cluster: Dask's own threads
        return os.cpu_count() or 1
