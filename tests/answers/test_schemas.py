"""What an answer must hold, and how it is found in what an agent wrote."""

from datetime import UTC, datetime
from typing import Literal

import pandas as pd
import pytest
from pydantic import BaseModel, Field

from swiftask_jupyter.answers.schemas import schema_of
from swiftask_jupyter.answers.structured import Mismatch, find_object
from swiftask_jupyter.errors import ConfigurationError

SCHEMA = "label: str, score: float"


class Verdict(BaseModel):
    """A model as a user would write it."""

    label: Literal["good", "bad"]
    score: float = Field(ge=0, le=1)
    reasons: list[str] = []


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "good", "score": 0.5}',
        '  {"score": 0.5, "label": "good", "why": "because"}\n',
        'Here you are:\n```json\n{"label": "good", "score": 0.5}\n```\nAnything else?',
        '```\n{"label": "good", "score": 0.5}\n```',
        '```json\r\n{"label": "good", "score": 0.5}```',
        'The set {1, 2} aside: {"label": "good", "score": 0.5}.',
        'I thought {about} it. {"label": "good", "score": "0.5"}',
        '{"Label": "good", "SCORE": 0.5}',
        '```python\nprint({})\n```\n```json\n{"label": "good", "score": 0.5}\n```',
    ],
)
def test_an_object_is_found_however_it_is_dressed(text):
    assert schema_of(SCHEMA).read(text) == ("good", 0.5)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("good", "no JSON object"),
        ("", "no JSON object"),
        ("{" * 100_000, "no JSON object"),
        ('["good", 0.5]', "no JSON object"),
        ('{"label": "good"}', "score is missing"),
        ('{"label": "good", "score": null}', "score is missing"),
        ('{"label": "good", "score": "high"}', 'score must be a number, not "high"'),
        ('{"label": "good", "score": true}', "score must be a number, not true"),
        ('{"label": "good", "score": NaN}', "score must be a number"),
        ('{"label": ["good"], "score": 1}', "label must be a text"),
    ],
)
def test_what_is_wrong_is_said(text, why):
    with pytest.raises(Mismatch, match=why):
        schema_of(SCHEMA).read(text)


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("str", "5", "5"),
        ("str", "true", "true"),
        ("int", "3.0", 3),
        ("int", '"42"', 42),
        ("int", '"9007199254740993"', 9007199254740993),
        ("float", "1", 1.0),
        ("bool", '"True"', True),
        ("bool", "false", False),
        ("datetime", '"2025-11-24"', datetime(2025, 11, 24)),  # noqa: DTZ001 - as it was written
        ("datetime", '"2025-11-24T10:00:00Z"', datetime(2025, 11, 24, 10, tzinfo=UTC)),
        ("list", "[1, 2]", [1, 2]),
        ("int?", "null", None),
    ],
)
def test_a_value_is_read_as_its_kind(kind, written, value):
    assert schema_of(f"x: {kind}").read(f'{{"x": {written}}}') == (value,)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("int", "3.5"), ("int", "1e400"), ("int", '"many"'), ("int", "9223372036854775808"),
        ("float", '"inf"'), ("bool", "1"), ("bool", '"yes"'), ("datetime", '"tomorrow"'),
        ("list", '"a, b"'), ("str", "{}"),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_not_bent_into_one(kind, written):
    with pytest.raises(Mismatch, match="x must be"):
        schema_of(f"x: {kind}").read(f'{{"x": {written}}}')


def test_the_compact_form_names_nullable_dtypes():
    assert schema_of("a, b: int, c: float?, d: bool").dtypes == {
        "a": "string", "b": "Int64", "c": "Float64", "d": "boolean",
    }  # fmt: skip


def test_a_dict_of_dtypes_keeps_to_what_they_can_hold():
    schema = schema_of(
        {"n": "int8", "kind": pd.CategoricalDtype(["a", "b"]), "x": float, "s": str, "ok": "bool"}
    )

    read = schema.read('{"n": 127, "kind": "a", "x": 1, "s": "t", "ok": true}')

    assert read == (127, "a", 1.0, "t", True)
    with pytest.raises(Mismatch, match="n must lie between -128 and 127, not 128"):
        schema.read('{"n": 128, "kind": "a", "x": 1, "s": "t", "ok": true}')
    with pytest.raises(Mismatch, match="kind must be one of a, b, not c"):
        schema.read('{"n": 1, "kind": "c", "x": 1, "s": "t", "ok": true}')


def test_a_pydantic_model_decides_for_itself():
    schema = schema_of(Verdict)

    assert schema.read('{"label": "good", "score": 1}') == ("good", 1.0, [])
    assert schema.dtypes == {"label": "object", "score": "Float64", "reasons": "object"}
    with pytest.raises(Mismatch, match="score: Input should be less than or equal to 1"):
        schema.read('{"label": "good", "score": 3}')


@pytest.mark.parametrize("form", [SCHEMA, {"label": "string", "score": "float64"}, Verdict])
def test_the_agent_is_told_what_to_answer(form):
    said = schema_of(form).instruction

    assert "JSON object" in said
    assert '"label"' in said
    assert '"score"' in said


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("", "empty"), ("label: text", "label: text"), ("a: str, a: int", "a twice"),
        (": str", "can't be read"), ({}, "no schema"), (7, "no schema"),
        ({"a": "no such dtype"}, "no dtype"),
    ],
)  # fmt: skip
def test_a_schema_that_is_none_is_one_clear_line(form, said):
    with pytest.raises(ConfigurationError, match=said):
        schema_of(form)


def test_an_object_after_an_unfinished_one_is_found():
    assert find_object('{"a": {"b": 1} and then {"c": 2}') == {"b": 1}
