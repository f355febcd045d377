"""Answers read into typed columns, and asked for once more where they make no sense."""

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask
from swiftask_jupyter.sandbox.agents import Agent
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.frames import prompts_of, written

SCHEMA = "label: str, score: float, count: int?"


def classifier(messages):
    """Answers as agents do: in a fence, in prose, wrongly, rightly when told again."""
    text = messages[-1]["content"]
    if "That is wrong" in text and "stubborn" not in text:
        return '{"label": "second try", "score": 1}'
    if "sloppy" in text or "stubborn" in text:
        return "I would say: good, about a half"
    if "fenced" in text:
        return 'Sure!\n```json\n{"label": "fenced", "score": "0.5", "count": 2}\n```'
    return '{"label": "plain", "score": 0.25}'


@pytest.fixture
def box():
    with Sandbox(usage="counted", agents={"classifier": Agent(classifier, instant=True)}) as box:
        yield box


@pytest.fixture
def client(box):
    with Swiftask(
        base_url=box.url, token=box.token, agent="classifier", dialect="openai"
    ) as client:
        yield client


@pytest.fixture
def frame():
    return pd.DataFrame({"text": ["plain", "fenced", "sloppy", "stubborn"]})


def test_answers_become_typed_columns_and_a_wrong_one_is_asked_for_once_more(client, box, frame):
    out = client.map(frame, "Classify: {{text}}", schema=SCHEMA)

    assert [str(out[name].dtype) for name in ("label", "score", "count")] == [
        "string", "Float64", "Int64",
    ]  # fmt: skip
    assert list(out["label"].fillna("")) == ["plain", "fenced", "second try", ""]
    assert list(out["count"].fillna(-1)) == [-1, 2, -1, -1]
    assert list(out["status"]) == ["ok", "ok", "ok", "error"]
    assert list(out["attempts"]) == [1, 1, 2, 2]
    assert out["answer"].iloc[3] == "I would say: good, about a half"
    assert out["error"].iloc[3] == "the answer holds no JSON object"
    assert len(prompts_of(box)) == 6


def test_what_a_repair_cost_is_counted_in_its_row(client, frame):
    out = client.map(frame, "Classify: {{text}}", schema=SCHEMA)

    assert out["tokens"].sum() == client.usage()["total_tokens"].sum()


def test_the_prompt_says_what_to_answer(client, box, frame):
    client.map(frame.iloc[:1], "Classify: {{text}}", schema=SCHEMA)

    (prompt,) = prompts_of(box)
    assert prompt == (
        "Classify: plain\n\nAnswer with one JSON object and nothing else:"
        ' {"label": text, "score": number, "count": whole number or null}'
    )


def test_typed_answers_are_known_again_repairs_included(client, box, frame):
    first = client.map(frame, "Classify: {{text}}", schema=SCHEMA)
    second = client.map(frame, "Classify: {{text}}", schema=SCHEMA)

    assert second.equals(first)
    assert len(prompts_of(box)) == 6
    client.map(frame, "Classify: {{text}}", schema=SCHEMA, retry="errors")
    assert len(prompts_of(box)) == 8


def test_where_only_the_repair_is_missing_only_it_is_sent(client, box, frame):
    sloppy = frame.iloc[2:3]
    box.fail(Fault(delay=0))
    box.fail(Fault(status=400))
    failed = client.map(sloppy, "Classify: {{text}}", schema=SCHEMA)

    out = client.map(sloppy, "Classify: {{text}}", schema=SCHEMA, retry="errors")

    assert list(failed["status"]) == ["error"]
    assert list(failed["answer"]) == ["I would say: good, about a half"]
    assert list(out["label"]) == ["second try"]
    assert [status for _, status in written(client.store)] == ["ok", "error", "ok"]


def test_a_dict_of_dtypes_is_kept_to(client, frame):
    kinds = {"label": pd.CategoricalDtype(["plain", "fenced"]), "score": "float32"}

    out = client.map(frame, "Classify: {{text}}", schema=kinds)

    assert out["label"].dtype == kinds["label"]
    assert out["score"].dtype == "float32"
    assert out["error"].iloc[2] == "label must be one of plain, fenced, not second try"
