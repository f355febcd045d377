"""The results of a batch: the columns of the answers, their types, and the repair of answers."""

import json

import pandas as pd
import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.frames import received_prompts, recorded_prompts

FRAME = pd.DataFrame({"text": ["plain", "fenced", "sloppy", "stubborn"]})
SCHEMA = "label: str, score: float, count: int?"


def classify(client, frame=FRAME, schema=SCHEMA, **options):
    return client.map(frame, "Classify: {{text}}", "classifier", schema=schema, **options)


def test_answers_become_typed_columns_after_one_repair_at_most(client, box):
    out = classify(client)

    assert [str(out[name].dtype) for name in ("label", "score", "count")] == [
        "string", "Float64", "Int64",
    ]  # fmt: skip
    assert list(out["label"].fillna("")) == ["plain", "fenced", "second try", ""]
    assert list(out["count"].fillna(-1)) == [-1, 2, -1, -1]
    assert list(out["status"]) == ["ok", "ok", "ok", "error"]
    assert list(out["attempts"]) == [1, 1, 2, 2]
    assert out["answer"].iloc[3] == "I would say: good, about a half"
    assert out["error"].iloc[3] == "the answer holds no JSON object"
    assert len(received_prompts(box)) == 6


def test_the_cost_of_a_repair_is_part_of_its_row(client):
    out = classify(client)

    assert out["tokens"].sum() == client.usage()["total_tokens"].sum()


def test_the_prompt_ends_with_the_instruction_of_the_schema(client, box):
    classify(client, FRAME.iloc[:1])

    (prompt,) = received_prompts(box)
    assert prompt == (
        "Classify: plain\n\nAnswer with one JSON object and nothing else:"
        ' {"label": text, "score": number, "count": whole number or null}'
    )


def test_typed_answers_and_repairs_are_not_sent_again(client, box):
    first = classify(client)
    second = classify(client)

    assert second.equals(first)
    assert len(received_prompts(box)) == 6
    classify(client, retry="errors")
    assert len(received_prompts(box)) == 8


def test_if_only_the_repair_failed_only_the_repair_is_sent_again(client, box):
    sloppy = FRAME.iloc[2:3]
    box.fail(Fault(delay=0))
    box.fail(Fault(status=400))
    failed = classify(client, sloppy)

    out = classify(client, sloppy, retry="errors")

    assert list(failed["status"]) == ["error"]
    assert list(failed["answer"]) == ["I would say: good, about a half"]
    assert list(out["label"]) == ["second try"]
    assert [status for _, status in recorded_prompts(client.store)] == ["ok", "error", "ok"]


def test_a_dict_of_dtypes_sets_the_dtypes_of_the_columns(client):
    dtypes = {"label": pd.CategoricalDtype(["plain", "fenced"]), "score": "float32"}

    out = classify(client, schema=dtypes)

    assert out["label"].dtype == dtypes["label"]
    assert out["score"].dtype == "float32"
    assert out["error"].iloc[2] == "label must be one of plain, fenced, not second try"


def test_a_column_of_the_frame_is_never_overwritten(client, box):
    frame = pd.DataFrame({"answer": ["a"]})

    with pytest.raises(errors.ConfigurationError, match='prefix="agent_"'):
        client.map(frame, "{{answer}}")
    out = client.map(frame, "{{answer}}", prefix="my_")

    assert list(out.columns)[:3] == ["answer", "my_answer", "my_status"]
    assert len(received_prompts(box)) == 1


@pytest.mark.parametrize("fault", [Fault(empty=True), Fault(disguised=True)])
def test_an_empty_answer_and_a_disguised_failure_are_errors(client, box, fault):
    rows = pd.DataFrame({"text": ["one", "two", "three"]})
    box.fail(fault)

    out = client.map(rows, "say {{text}}", concurrency=1)

    assert list(out["status"]) == ["error", "ok", "ok"]
    assert out["error"].iloc[0] == "empty, or a failure in disguise"
    assert list(client.map(rows, "say {{text}}", retry="errors")["status"]) == ["ok"] * 3


def ending(reason, **message):
    """Return a fault: an answer that ends for a reason of the service."""
    choice = {"message": {"content": "The dose is 5", **message}, "finish_reason": reason}
    return Fault(body=json.dumps({"choices": [choice]}))


@pytest.mark.parametrize(
    ("reason", "status", "error"),
    [
        ("length", "ok", None),
        ("stop", "ok", None),
        ("", "ok", None),
        ("max_tokens", "ok", None),
        ("content_filter", "error", "ended by content_filter"),
        ("CONTENT_FILTER", "error", "ended by CONTENT_FILTER"),
        ("SAFETY", "error", "ended by SAFETY"),
        ("error", "error", "the service reported an error: it does not say which"),
    ],
)
def test_a_row_says_why_its_answer_ended(client, box, reason, status, error):
    rows = pd.DataFrame({"text": ["one"]})
    box.fail(ending(reason))

    row = client.map(rows, "say {{text}}").iloc[0]

    assert (row["status"], row["answer"]) == (status, "The dose is 5")
    assert (None if pd.isna(row["finish_reason"]) else row["finish_reason"]) == (reason or None)
    assert (None if pd.isna(row["error"]) else row["error"]) == error
    client.map(rows, "say {{text}}")
    assert len(received_prompts(box)) == 1  # a failed row is sent again only if the user says so
    again = client.map(rows, "say {{text}}", retry="errors")
    assert list(again["status"]) == ["ok"]
    assert len(received_prompts(box)) == (1 if status == "ok" else 2)


def test_a_row_with_nothing_but_calls_of_tools_says_so(client, box):
    box.fail(ending("tool_calls", content=None, tool_calls=[{"function": {"name": "f"}}]))

    row = client.map(pd.DataFrame({"text": ["one"]}), "say {{text}}").iloc[0]

    assert (row["status"], row["finish_reason"]) == ("error", "tool_calls")
    assert "calls of tools" in row["error"]
