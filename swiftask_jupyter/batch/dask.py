"""Batches over a Dask DataFrame: each worker of a cluster sends the prompts of its partitions.

The task graph contains no secret. A worker reads the token, and the address of a shared ledger,
from its environment variables. If a worker dies, Dask gives the partition to another worker. The
other worker finds the answered rows in the shared ledger, and does not send these rows again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from swiftask_jupyter.answers.schemas import parse_schema
from swiftask_jupyter.batch.options import BatchSettings
from swiftask_jupyter.batch.results import add_result_columns, check_columns
from swiftask_jupyter.batch.rows import RowTemplate, field_names
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.settings.connection import ConnectionOverrides


def is_dask_frame(frame: Any) -> bool:
    """Return whether an object is a Dask DataFrame."""
    return hasattr(frame, "map_partitions") and hasattr(frame, "npartitions")


def map_dask_frame(client: Any, frame: Any, text: str, options: Mapping[str, Any]) -> Any:
    """Return a lazy Dask DataFrame with answer columns; computing this DataFrame sends the prompts.

    Args:
        client: the `Swiftask` whose `map` was called. Each worker creates a client with the same
            settings.
        frame: the Dask DataFrame.
        text: the prompt, with `{{column}}` where the row's value is inserted.
        options: the agent and the options of `Swiftask.map`.

    Raises:
        ConfigurationError: an option is invalid. The error is also raised if a token was set in
            code or by `%config`, because a token is never sent to the workers.
        PromptError: the prompt cannot be filled from the columns of the frame.
    """
    settings = client.connections.overrides, client.connections.configured
    if any(each.token for each in settings):
        raise ConfigurationError(
            "a token does not travel to a cluster",
            advice="set SWIFTASK_API_KEY where its workers start",
        )
    batch = BatchSettings.from_options(
        None, {name: options[name] for name in options if name != "agent"}
    )
    used = field_names(text, frame.columns)
    names = {name: value for name, value in (batch.names or {}).items() if name in used}
    sample = frame._meta  # noqa: SLF001 - the only way to the columns without computing
    schema = None if batch.schema is None else parse_schema(batch.schema)
    RowTemplate(sample, text, files=batch.files, names=names)
    check_columns(sample, schema, batch.prefix)
    # A PostgreSQL address holds a password; the worker takes it from its environment.
    store = client.store if isinstance(client.store, Path) else None
    make_client = partial(client.__class__, store=store)
    given = {**options, "names": names, "concurrency": batch.concurrency}
    if client.runtime.cache_mode(None) == "strict":
        given.setdefault("cache", "strict")
    kept = client.connections.keep_texts
    meta = add_result_columns(sample, [], schema, batch.prefix)
    return frame.map_partitions(
        _map_partition, make_client, settings, text, given, keep_texts=kept, meta=meta
    )


def _map_partition(
    frame: Any,
    make_client: Callable[[], Any],
    settings: tuple[ConnectionOverrides, ConnectionOverrides],
    text: str,
    options: dict[str, Any],
    *,
    keep_texts: bool,
) -> Any:
    """Send the prompts of one partition on a worker; return the partition with answer columns."""
    with make_client() as client:
        client.connections.keep_texts = keep_texts
        client.connections.overrides, client.connections.configured = settings
        return client.map(frame, text, **_partition_options(options))


def _partition_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for the batch of one partition.

    The concurrency is divided by the number of partitions that run at the same time. The options
    `confirm`, `pilot` and `progress` are turned off.
    """
    concurrency = max(1, options["concurrency"] // _parallel_partitions())
    return {**options, "concurrency": concurrency, "confirm": False, "pilot": 0, "progress": False}


def _parallel_partitions() -> int:
    """Return how many partitions are computed at the same time.

    In a cluster, return the number of threads of all workers. Without a cluster, return the number
    of CPUs.
    """
    try:
        from distributed import get_client

        client: Any = get_client()  # of the cluster that runs this task
        return sum(client.nthreads().values()) or 1
    except (ImportError, ValueError):  # no cluster: Dask uses threads of this process
        return os.cpu_count() or 1
