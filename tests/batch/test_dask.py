"""A prompt for every row of a Dask DataFrame, by the workers of a cluster."""

import asyncio
import json
import pickle

import dask.dataframe as dd
import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.settings.connection import ConnectionOverrides
from tests.support.frames import answered_twice, prompts_of


@pytest.fixture
def client(box, monkeypatch):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    with Swiftask(agent="echo", dialect="openai") as client:
        yield client


@pytest.fixture
def frame():
    return pd.DataFrame({"n": range(30)}, index=range(100, 130))


def test_it_is_asked_for_when_it_is_computed_and_has_the_same_columns(client, box, frame):
    lazy = client.map(dd.from_pandas(frame, npartitions=3), "row {{n}}", schema="x: int?")
    assert prompts_of(box) == []

    out = lazy.compute(scheduler="threads")

    assert list(lazy.columns) == list(out.columns) == ["n", "x", *out.columns[2:]]
    assert (lazy.dtypes == out.dtypes).all()
    assert out.index.equals(frame.index)
    assert len(prompts_of(box)) == 60
    assert (out["attempts"] == 2).all()  # an echo is no JSON


def test_what_was_answered_before_is_not_sent_again(client, box, frame):
    rows = dd.from_pandas(frame, npartitions=3)
    client.map(rows, "row {{n}}").compute(scheduler="threads")

    out = client.map(rows.repartition(npartitions=2), "row {{n}}").compute(scheduler="threads")

    assert list(out["answer"]) == [f"row {n}" for n in range(30)]
    assert len(prompts_of(box)) == 30
    assert answered_twice(client.store) == []


def test_a_running_loop_gets_the_same(client, frame):
    lazy = asyncio.run(client.map_async(dd.from_pandas(frame, npartitions=2), "row {{n}}"))

    assert list(lazy.compute(scheduler="threads")["status"]) == ["ok"] * 30


def test_what_config_says_counts_on_the_workers_too(client, frame):
    client.wanted, client.configured = (
        ConnectionOverrides(),
        ConnectionOverrides(agent="mirror", dialect="openai"),
    )

    out = client.map(dd.from_pandas(frame[:2], npartitions=1), "row {{n}}").compute()

    assert [json.loads(answer)[-1]["content"] for answer in out["answer"]] == ["row 0", "row 1"]


def test_strict_holds_on_the_workers_too(client, box, frame):
    client.means.cache = "strict"
    lazy = client.map(dd.from_pandas(frame, npartitions=2), "row {{n}}")

    with pytest.raises(errors.Refused, match="strict asks nobody"):
        lazy.compute(scheduler="threads")

    assert prompts_of(box) == []


def test_no_token_is_in_the_graph(client, box, frame):
    lazy = client.map(dd.from_pandas(frame, npartitions=2), "row {{n}}")

    assert box.token.encode() not in pickle.dumps(dict(lazy.dask))


def test_a_token_of_the_client_alone_is_refused(box, frame):
    rows = dd.from_pandas(frame, npartitions=2)
    with (
        Swiftask(base_url=box.url, token=box.token, agent="echo") as client,
        pytest.raises(errors.ConfigurationError, match="SWIFTASK_API_KEY where its workers start"),
    ):
        client.map(rows, "row {{n}}")


def test_what_can_not_be_sent_is_said_before_anything_is_computed(client, frame):
    rows = dd.from_pandas(frame, npartitions=2)

    with pytest.raises(errors.PromptError, match="no column"):
        client.map(rows, "row {{m}}")
    with pytest.raises(errors.ConfigurationError, match="prefix"):
        client.map(rows.rename(columns={"n": "answer"}), "row {{answer}}")


def test_a_token_that_config_holds_is_refused_too(client, frame):
    client.configured = ConnectionOverrides(token="sk-agencii-of-config")

    with pytest.raises(errors.ConfigurationError, match="does not travel"):
        client.map(dd.from_pandas(frame, npartitions=2), "row {{n}}")


@pytest.mark.parametrize(
    "error",
    [
        errors.RateLimited("slow down", status=429, advice="wait", retry_after=2.0),
        errors.ConnectionFailed("gone", sent=False),
        errors.PromptError("no"),
    ],
)
def test_an_error_comes_back_from_another_process_as_it_was(error):
    back = pickle.loads(pickle.dumps(error))

    assert (type(back), str(back), back.__dict__) == (type(error), str(error), error.__dict__)
