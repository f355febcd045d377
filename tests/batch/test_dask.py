"""Batches over a Dask DataFrame: what is sent by the workers, and what is refused before."""

import asyncio
import json
import pickle

import dask.dataframe as dd
import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.settings.connection import ConnectionOverrides
from tests.support.frames import prompts_answered_twice, received_prompts

FRAME = pd.DataFrame({"n": range(30)}, index=range(100, 130))


@pytest.fixture
def env_client(box, monkeypatch):
    """A client whose address and token are in the environment, as those of a worker are."""
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    with Swiftask(agent="echo", dialect="openai") as client:
        yield client


def test_prompts_are_sent_when_the_frame_is_computed(env_client, box):
    lazy = env_client.map(dd.from_pandas(FRAME, npartitions=3), "row {{n}}", schema="x: int?")
    assert received_prompts(box) == []

    out = lazy.compute(scheduler="threads")

    assert list(lazy.columns) == list(out.columns) == ["n", "x", *out.columns[2:]]
    assert (lazy.dtypes == out.dtypes).all()
    assert out.index.equals(FRAME.index)
    assert len(received_prompts(box)) == 60
    assert (out["attempts"] == 2).all()  # an echo is no JSON


def test_a_row_that_was_answered_is_not_sent_again(env_client, box):
    rows = dd.from_pandas(FRAME, npartitions=3)
    env_client.map(rows, "row {{n}}").compute(scheduler="threads")

    out = env_client.map(rows.repartition(npartitions=2), "row {{n}}").compute(scheduler="threads")

    assert list(out["answer"]) == [f"row {n}" for n in range(30)]
    assert len(received_prompts(box)) == 30
    assert prompts_answered_twice(env_client.store) == []


def test_map_async_returns_a_lazy_frame_too(env_client):
    lazy = asyncio.run(env_client.map_async(dd.from_pandas(FRAME, npartitions=2), "row {{n}}"))

    assert list(lazy.compute(scheduler="threads")["status"]) == ["ok"] * 30


def test_workers_use_the_settings_of_the_client(env_client):
    connections = env_client.connections
    connections.overrides = ConnectionOverrides()
    connections.configured = ConnectionOverrides(agent="mirror", dialect="openai")

    out = env_client.map(dd.from_pandas(FRAME[:2], npartitions=1), "row {{n}}").compute()

    assert [json.loads(answer)[-1]["content"] for answer in out["answer"]] == ["row 0", "row 1"]


def test_workers_use_the_strict_cache_of_the_client(env_client, box):
    env_client.runtime.cache = "strict"
    lazy = env_client.map(dd.from_pandas(FRAME, npartitions=2), "row {{n}}")

    with pytest.raises(errors.Refused, match="strict asks nobody"):
        lazy.compute(scheduler="threads")

    assert received_prompts(box) == []


def test_the_task_graph_holds_no_token(env_client, box):
    lazy = env_client.map(dd.from_pandas(FRAME, npartitions=2), "row {{n}}")

    assert box.token.encode() not in pickle.dumps(dict(lazy.dask))


def test_a_client_with_a_token_of_its_own_is_refused(box):
    rows = dd.from_pandas(FRAME, npartitions=2)
    with (
        Swiftask(base_url=box.url, token=box.token, agent="echo") as client,
        pytest.raises(errors.ConfigurationError, match="SWIFTASK_API_KEY where its workers start"),
    ):
        client.map(rows, "row {{n}}")


def test_a_token_in_the_configuration_is_refused(env_client):
    env_client.connections.configured = ConnectionOverrides(token="sk-agencii-of-config")

    with pytest.raises(errors.ConfigurationError, match="does not travel"):
        env_client.map(dd.from_pandas(FRAME, npartitions=2), "row {{n}}")


def test_an_invalid_prompt_or_prefix_is_refused_before_anything_is_computed(env_client):
    rows = dd.from_pandas(FRAME, npartitions=2)

    with pytest.raises(errors.PromptError, match="no column"):
        env_client.map(rows, "row {{m}}")
    with pytest.raises(errors.ConfigurationError, match="prefix"):
        env_client.map(rows.rename(columns={"n": "answer"}), "row {{answer}}")


@pytest.mark.parametrize(
    "error",
    [
        errors.RateLimited("slow down", status=429, advice="wait", retry_after=2.0),
        errors.ConnectionFailed("gone", sent=False),
        errors.PromptError("no"),
    ],
)
def test_an_error_keeps_its_type_text_and_attributes_between_processes(error):
    back = pickle.loads(pickle.dumps(error))

    assert (type(back), str(back), back.__dict__) == (type(error), str(error), error.__dict__)
