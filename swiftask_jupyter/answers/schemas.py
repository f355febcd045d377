"""Schemas: the typed columns that a batch reads out of each answer.

A user writes a schema as a text (`"label: str, score: float"`), as a dict of pandas dtypes, or as a
pydantic model.

The instruction of a schema and the messages of `SchemaMismatch` are part of the prompts, and the
ledger finds an answered row by the digest of its prompt. If they are reworded, such rows are sent
again.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from swiftask_jupyter.answers.structured import find_json
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.support.structs import Struct, replace

EXAMPLE = 'write schema="label: str, score: float"'
_INT64_LIMIT = 2**63


class SchemaMismatch(Exception):
    """An answer does not match its schema; the message is the reason, for users and agents."""


def to_str(value: Any) -> str:
    """Convert a JSON value to a text; a number or a boolean becomes its JSON text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise SchemaMismatch(f"must be a text, not {_shortened(value)}")


def to_int(value: Any) -> int:
    """Convert a JSON value to a 64-bit integer; it may be in quotes, or end in `.0`."""
    number = to_float(value)
    exact = value if isinstance(value, int) else _exact_int(value, number)
    if exact is None or not -_INT64_LIMIT <= exact < _INT64_LIMIT:
        raise SchemaMismatch(f"must be a whole number, not {_shortened(value)}")
    return exact


def _exact_int(value: Any, number: float) -> int | None:
    try:
        if isinstance(value, str):
            return int(value)  # a float would round integers beyond 2**53
    except ValueError:
        pass
    return int(number) if number.is_integer() else None


def to_float(value: Any) -> float:
    """Convert a JSON value to a finite number; it may be in quotes."""
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise SchemaMismatch(f"must be a number, not {_shortened(value)}")


def to_bool(value: Any) -> bool:
    """Convert a JSON value to a boolean; it may be in quotes, in upper or lower case."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word is True or word == "true":
        return True
    if word is False or word == "false":
        return False
    raise SchemaMismatch(f"must be true or false, not {_shortened(value)}")


def to_datetime(value: Any) -> datetime:
    """Convert a text in ISO 8601 to a datetime."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError:
            pass
    raise SchemaMismatch(f"must be an ISO 8601 date, not {_shortened(value)}")


def to_list(value: Any) -> list[Any]:
    """Return a list unchanged, and refuse any other JSON value."""
    if isinstance(value, list):
        return value
    raise SchemaMismatch(f"must be a list, not {_shortened(value)}")


def _shortened(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"


class FieldType(Struct, frozen=True):
    """The type of a schema's field.

    Attributes:
        description: the type in words, for the instruction to the agent.
        convert: makes the field's value out of a JSON value, or raises `SchemaMismatch`.
        dtype: the pandas dtype of the column; it can hold missing values.
    """

    description: str
    convert: Callable[[Any], Any]
    dtype: str


FIELD_TYPES = {
    "str": FieldType("text", to_str, "string"),
    "int": FieldType("whole number", to_int, "Int64"),
    "float": FieldType("number", to_float, "Float64"),
    "bool": FieldType("true or false", to_bool, "boolean"),
    "datetime": FieldType("ISO 8601 date and time", to_datetime, "datetime64[us, UTC]"),
    "list": FieldType("list", to_list, "object"),
}


class Schema(ABC):
    """The fields that an answer must hold, as one JSON object.

    Attributes:
        dtypes: the pandas dtype of each field's column, by the field's name.
    """

    dtypes: dict[str, Any]

    @property
    @abstractmethod
    def instruction(self) -> str:
        """The text after the prompt that tells the agent how to answer."""

    @abstractmethod
    def parse(self, text: str) -> tuple[Any, ...]:
        """Return the values in the text of an answer, in the order of `dtypes`.

        Raises:
            SchemaMismatch: a field is missing or has another type, or there is no JSON object.
        """

    def repair_prompt(self, prompt: str, answer: str, mismatch: SchemaMismatch) -> str:
        """Return the prompt that requests a corrected answer.

        It repeats the first prompt, because not every dialect can send the history of a
        conversation.
        """
        return (
            f"{prompt}\n\nYour last answer was:\n{answer}\n\nThat is wrong: {mismatch}."
            " Answer again."
        )


class FieldSchema(Schema):
    """A schema of named fields.

    Args:
        fields: the type of each field, and whether it may be null.
        dtypes: the pandas dtype of each field's column.
    """

    def __init__(
        self, fields: Mapping[str, tuple[FieldType, bool]], dtypes: dict[str, Any]
    ) -> None:
        self._fields = dict(fields)
        self.dtypes = dtypes

    @property
    def instruction(self) -> str:
        """The request for one JSON object, with the name and the type of each field."""
        fields = (
            f"{json.dumps(name, ensure_ascii=False)}: {kind.description}"
            f"{' or null' if nullable else ''}"
            for name, (kind, nullable) in self._fields.items()
        )
        return f"Answer with one JSON object and nothing else: {{{', '.join(fields)}}}"

    def parse(self, text: str) -> tuple[Any, ...]:
        """Return the values of the fields; the case of a key and unknown keys are ignored."""
        found = _find_object(text)
        folded = {key.casefold(): value for key, value in found.items()}
        return tuple(
            self._value(name, found.get(name, folded.get(name.casefold()))) for name in self._fields
        )

    def _value(self, name: str, value: Any) -> Any:
        kind, nullable = self._fields[name]
        if value is None:
            if nullable:
                return None
            raise SchemaMismatch(f"{name} is missing")
        try:
            return kind.convert(value)
        except SchemaMismatch as mismatch:
            raise SchemaMismatch(f"{name} {mismatch}") from None


class PydanticSchema(Schema):
    """A schema that a pydantic model defines.

    Only the model's own methods are called, so that pydantic need not be installed.

    Args:
        model: the model's class.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.dtypes = {
            name: _dtype_of(field.annotation) for name, field in model.model_fields.items()
        }

    @property
    def instruction(self) -> str:
        """The request for one JSON object, with the JSON Schema of the model."""
        schema = json.dumps(self._model.model_json_schema(), ensure_ascii=False)
        return f"Answer with one JSON object and nothing else; its JSON schema: {schema}"

    def parse(self, text: str) -> tuple[Any, ...]:
        """Return the fields of the model, after it has validated the object."""
        found = _find_object(text)
        try:
            instance = self._model.model_validate(found)
        except ValueError as error:  # pydantic's ValidationError is a subclass
            raise SchemaMismatch(_validation_message(error)) from None
        return tuple(getattr(instance, name) for name in self.dtypes)


def _find_object(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = find_json(text, embedded=True)
    except ValueError as error:
        raise SchemaMismatch(str(error)) from None
    return found


def parse_schema(schema: Any) -> Schema:
    """Return the schema that a user wrote as a text, a dict of dtypes or a pydantic model.

    Raises:
        ConfigurationError: it is none of these, or malformed.
    """
    if isinstance(schema, str):
        return _from_text(schema)
    if isinstance(schema, Mapping) and schema:
        return _from_dtypes(schema)
    if hasattr(schema, "model_validate") and hasattr(schema, "model_fields"):
        return PydanticSchema(schema)
    raise ConfigurationError(
        f"{schema!r} is no schema", advice=f"{EXAMPLE}, a dict of dtypes or a pydantic model"
    )


def _from_text(text: str) -> Schema:
    fields: dict[str, tuple[FieldType, bool]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, word = (piece.strip() for piece in part.partition(":"))
        kind = FIELD_TYPES.get(word.removesuffix("?") or "str")
        if not name or kind is None:
            known = ", ".join(FIELD_TYPES)
            raise ConfigurationError(
                f"the schema can't be read at {part!r}", advice=f"{EXAMPLE}; types: {known}"
            )
        if name in fields:
            raise ConfigurationError(f"the schema names {name} twice", advice=EXAMPLE)
        fields[name] = kind, word.endswith("?")
    if not fields:
        raise ConfigurationError("the schema is empty", advice=EXAMPLE)
    return FieldSchema(fields, {name: kind.dtype for name, (kind, _) in fields.items()})


def _from_dtypes(given: Mapping[Any, Any]) -> Schema:
    import pandas as pd

    fields: dict[str, tuple[FieldType, bool]] = {}
    dtypes: dict[str, Any] = {}
    for name, wanted in given.items():
        try:
            dtype = pd.api.types.pandas_dtype("string" if wanted is str else wanted)
        except TypeError:
            raise ConfigurationError(
                f"{wanted!r} is no dtype of pandas", advice='write {"label": "string"}'
            ) from None
        kind = FIELD_TYPES[_type_name(dtype)]
        fields[str(name)] = replace(kind, convert=_with_limits(kind.convert, dtype)), False
        dtypes[str(name)] = dtype
    return FieldSchema(fields, dtypes)


def _type_name(dtype: Any) -> str:
    """Return the key of `FIELD_TYPES` whose values fit into a pandas dtype."""
    from pandas.api import types

    tests = {
        "bool": types.is_bool_dtype,
        "int": types.is_integer_dtype,
        "float": types.is_float_dtype,
        "datetime": types.is_datetime64_any_dtype,
    }
    categories = getattr(dtype, "categories", None)
    if categories is not None:  # a categorical has the type of its categories
        return _type_name(categories.dtype)
    return next((name for name, test in tests.items() if test(dtype)), "str")


def _with_limits(convert: Callable[[Any], Any], dtype: Any) -> Callable[[Any], Any]:
    """Return a converter that also refuses a value that a pandas dtype cannot hold.

    Args:
        convert: the converter of the field's type.
        dtype: a categorical limits the values to its categories, an integer dtype to its range.
    """
    import numpy as np

    categories = getattr(dtype, "categories", None)
    if categories is not None:
        allowed: frozenset[Any] | range = frozenset(categories)
        rule = f"must be one of {', '.join(map(str, categories))}"
    elif dtype.kind in "iu":
        limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
        allowed = range(int(limits.min), int(limits.max) + 1)
        rule = f"must lie between {limits.min} and {limits.max}"
    else:
        return convert

    def convert_within_limits(value: Any) -> Any:
        converted = convert(value)
        if converted not in allowed:
            raise SchemaMismatch(f"{rule}, not {converted}")
        return converted

    return convert_within_limits


def _dtype_of(annotation: Any) -> str:
    """Return the pandas dtype of a model field; `object` for anything but plain types."""
    plain = {str: "str", int: "int", float: "float", bool: "bool"}
    return FIELD_TYPES[plain[annotation]].dtype if annotation in plain else "object"


def _validation_message(error: ValueError) -> str:
    """Return the problems that a model's validation found, in one line."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return " ".join(str(error).split())
    problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors())
    return "; ".join(problems)
