"""The same over a Dask DataFrame: each partition is asked for by the worker that holds it.

Nothing secret is part of the graph: a worker has its token, and the address of a shared ledger,
from its own environment. A partition that a killed worker had begun is given to another, which
finds in the ledger what was answered before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from swiftask_jupyter.answers.schemas import parse_schema
from swiftask_jupyter.batch.options import BatchSettings
from swiftask_jupyter.batch.results import check_columns, with_answers
from swiftask_jupyter.batch.rows import Rows, named_in
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.settings.connection import ConnectionOverrides


def is_partitioned(frame: Any) -> bool:
    """Tell whether it is a Dask DataFrame."""
    return hasattr(frame, "map_partitions") and hasattr(frame, "npartitions")


def partitioned(client: Any, frame: Any, text: str, options: Mapping[str, Any]) -> Any:
    """Return the Dask DataFrame that has the answers beside the rows, once it is computed.

    Args:
        client: the `Swiftask` that is asked; each worker makes one like it.
        frame: a Dask DataFrame.
        text: the prompt.
        options: all that `map` takes.

    Raises:
        Refused: no row could be sent.
    """
    settings = client.wanted, client.configured
    if any(each.token for each in settings):
        raise ConfigurationError(
            "a token does not travel to a cluster",
            advice="set SWIFTASK_API_KEY where its workers start",
        )
    wishes = BatchSettings.of(None, {name: options[name] for name in options if name != "agent"})
    names = {name: value for name, value in (wishes.names or {}).items() if name in named_in(text)}
    sample = frame._meta  # noqa: SLF001 - no other way to know the columns without computing
    schema = None if wishes.schema is None else parse_schema(wishes.schema)
    Rows(sample, text, files=wishes.files, names=names)
    check_columns(sample, schema, wishes.prefix)
    store = client.store if isinstance(client.store, Path) else None
    make = partial(client.__class__, store=store)
    given = {**options, "names": names, "concurrency": wishes.concurrency}
    if client.means.cache == "strict":
        given.setdefault("cache", "strict")
    made = with_answers(sample, [], schema, wishes.prefix)
    return frame.map_partitions(_ask, make, settings, text, given, meta=made)


def _ask(
    frame: Any,
    make: Callable[[], Any],
    settings: tuple[ConnectionOverrides, ConnectionOverrides],
    text: str,
    options: dict[str, Any],
) -> Any:
    """Ask for the rows of one partition, in a worker of a cluster."""
    with make() as client:
        client.wanted, client.configured = settings
        return client.map(frame, text, **_share(options))


def _share(options: Mapping[str, Any]) -> dict[str, Any]:
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
