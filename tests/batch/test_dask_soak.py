"""Two workers of a cluster, one ledger in PostgreSQL, and one of them killed in the middle."""

import os
import signal

import dask.dataframe as dd
import pandas as pd
import psycopg
import pytest
from distributed import Client, LocalCluster

from swiftask_jupyter import Swiftask
from tests.support.frames import asked

pytestmark = pytest.mark.soak

ROWS, CONCURRENCY = 2000, 8


def test_a_killed_worker_loses_no_row_and_doubles_none(box, postgres_server, monkeypatch, tmp_path):
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
        coming = dask.compute(lazy)
        assert box.wait_for(lambda: asked(box) > ROWS // 4, timeout=300)

        os.kill(cluster.workers[0].pid, signal.SIGKILL)

        out = coming.result(timeout=600)

    assert list(out["answer"]) == [f"row {n}" for n in range(ROWS)]
    with psycopg.connect(store) as connection:
        ((answered, different),) = connection.execute(
            "SELECT count(*), count(DISTINCT prompt) FROM turns JOIN texts USING (turn)"
            " WHERE status = 'ok'"
        ).fetchall()
    assert (answered, different) == (ROWS, ROWS)
    more = asked(box) - ROWS
    assert more <= CONCURRENCY
    print(f"{ROWS:,} rows, {more} asked twice, because the killed worker had lost the answer")  # noqa: T201
