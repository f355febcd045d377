"""Schemas: how users write them, and how an answer is parsed by one."""

from datetime import UTC, datetime
from typing import Literal

import pandas as pd
import pytest
from pydantic import BaseModel, Field

from swiftask_jupyter.answers.schemas import SchemaMismatch, parse_schema
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
def test_the_object_is_found_in_fences_and_among_words(text):
    assert parse_schema(SCHEMA).parse(text) == ("good", 0.5)


@pytest.mark.parametrize(
    ("text", "reason"),
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
def test_a_mismatch_names_the_field_and_the_reason(text, reason):
    with pytest.raises(SchemaMismatch, match=reason):
        parse_schema(SCHEMA).parse(text)


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
def test_a_json_value_is_converted_to_the_type_of_its_field(kind, written, value):
    assert parse_schema(f"x: {kind}").parse(f'{{"x": {written}}}') == (value,)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("int", "3.5"), ("int", "1e400"), ("int", '"many"'), ("int", "9223372036854775808"),
        ("float", '"inf"'), ("bool", "1"), ("bool", '"yes"'), ("datetime", '"tomorrow"'),
        ("list", '"a, b"'), ("str", "{}"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_a_mismatch(kind, written):
    with pytest.raises(SchemaMismatch, match="x must be"):
        parse_schema(f"x: {kind}").parse(f'{{"x": {written}}}')


def test_the_text_form_has_nullable_dtypes():
    assert parse_schema("a, b: int, c: float?, d: bool").dtypes == {
        "a": "string", "b": "Int64", "c": "Float64", "d": "boolean",
    }  # fmt: skip


def test_a_dict_of_dtypes_refuses_values_that_a_dtype_cannot_hold():
    schema = parse_schema(
        {"n": "int8", "kind": pd.CategoricalDtype(["a", "b"]), "x": float, "s": str, "ok": "bool"}
    )

    read = schema.parse('{"n": 127, "kind": "a", "x": 1, "s": "t", "ok": true}')

    assert read == (127, "a", 1.0, "t", True)
    with pytest.raises(SchemaMismatch, match="n must lie between -128 and 127, not 128"):
        schema.parse('{"n": 128, "kind": "a", "x": 1, "s": "t", "ok": true}')
    with pytest.raises(SchemaMismatch, match="kind must be one of a, b, not c"):
        schema.parse('{"n": 1, "kind": "c", "x": 1, "s": "t", "ok": true}')


def test_a_pydantic_model_validates_the_object():
    schema = parse_schema(Verdict)

    assert schema.parse('{"label": "good", "score": 1}') == ("good", 1.0, [])
    assert schema.dtypes == {"label": "object", "score": "Float64", "reasons": "object"}
    with pytest.raises(SchemaMismatch, match="score: Input should be less than or equal to 1"):
        schema.parse('{"label": "good", "score": 3}')


@pytest.mark.parametrize("form", [SCHEMA, {"label": "string", "score": "float64"}, Verdict])
def test_the_instruction_names_every_field(form):
    instruction = parse_schema(form).instruction

    assert "JSON object" in instruction
    assert '"label"' in instruction
    assert '"score"' in instruction


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("", "empty"), ("label: text", "label: text"), ("a: str, a: int", "a twice"),
        (": str", "can't be read"), ({}, "no schema"), (7, "no schema"),
        ({"a": "no such dtype"}, "no dtype"),
    ],
)  # fmt: skip
def test_an_invalid_schema_is_a_configuration_error(form, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_schema(form)
