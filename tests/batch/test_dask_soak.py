"""A batch of two Dask workers with one ledger in PostgreSQL: one worker is killed half-way."""

import os
import signal

import dask.dataframe as dd
import pandas as pd
import psycopg
import pytest
from distributed import Client, LocalCluster

from swiftask_jupyter import Swiftask
from tests.support.frames import request_count

pytestmark = pytest.mark.soak

ROWS, CONCURRENCY = 2000, 8


def test_every_row_is_answered_once_if_a_worker_is_killed(
    box, postgres_server, monkeypatch, tmp_path
):
    store = postgres_server.database()
    for name, value in {
        "BASE_URL": box.url, "API_KEY": box.token, "STORE": store, "OUTBOX": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"SWIFTASK_{name}", value)
    rows = dd.from_pandas(pd.DataFrame({"n": range(ROWS)}), npartitions=20)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as dask,
        Swiftask(agent="echo", dialect="openai") as client,
    ):
        lazy = client.map(rows, "row {{n}}", concurrency=CONCURRENCY)
        future = dask.compute(lazy)
        assert box.wait_for(lambda: request_count(box) > ROWS // 4, timeout=300)

        os.kill(cluster.workers[0].pid, signal.SIGKILL)

        out = future.result(timeout=600)

    assert list(out["answer"]) == [f"row {n}" for n in range(ROWS)]
    with psycopg.connect(store) as connection:
        ((answered, different),) = connection.execute(
            "SELECT count(*), count(DISTINCT prompt) FROM turns JOIN texts USING (turn)"
            " WHERE status = 'ok'"
        ).fetchall()
    assert (answered, different) == (ROWS, ROWS)
    repeated = request_count(box) - ROWS
    assert repeated <= CONCURRENCY
    print(f"{ROWS:,} rows, {repeated} sent twice, because the killed worker had lost the answer")  # noqa: T201
