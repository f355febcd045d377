"""Schemas: the typed fields that a batch extracts from each answer, one DataFrame column each.

A user writes a schema as a text (`"label: str, score: float"`), as a dict of pandas dtypes, or as a
pydantic model.

`Schema.instruction` and the messages of `SchemaMismatch` become part of prompts. The ledger (the
database of all answers) finds the answer of a batch row by the digest of the prompt. So a change to
the instruction or to a message changes the digests, and the rows of earlier batches are sent again.
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
    """Raised if an answer does not match its schema.

    The message is the reason. The user sees the message, and the agent receives it.
    """


def to_str(value: Any) -> str:
    """Convert a JSON value to a string; a number or a boolean becomes its JSON text.

    Raises:
        SchemaMismatch: the value is null, a list or an object.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise SchemaMismatch(f"must be a text, not {_shortened(value)}")


def to_int(value: Any) -> int:
    """Convert a JSON number, or a string that contains a number, to a 64-bit integer.

    Raises:
        SchemaMismatch: the value is not a number, has a fraction, or exceeds 64 bits.
    """
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
    """Convert a JSON number, or a string that contains a number, to a float.

    Raises:
        SchemaMismatch: the value is not a number, or not finite.
    """
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise SchemaMismatch(f"must be a number, not {_shortened(value)}")


def to_bool(value: Any) -> bool:
    """Convert a JSON boolean, or the string "true" or "false", to a boolean; case is ignored.

    Raises:
        SchemaMismatch: the value is anything else, such as 0 or 1.
    """
    word = value.strip().lower() if isinstance(value, str) else value
    if word is True or word == "true":
        return True
    if word is False or word == "false":
        return False
    raise SchemaMismatch(f"must be true or false, not {_shortened(value)}")


def to_datetime(value: Any) -> datetime:
    """Convert a string in ISO 8601 format to a datetime.

    Raises:
        SchemaMismatch: the value is not a string, or not in ISO 8601 format.
    """
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError:
            pass
    raise SchemaMismatch(f"must be an ISO 8601 date, not {_shortened(value)}")


def to_list(value: Any) -> list[Any]:
    """Return a list unchanged.

    Raises:
        SchemaMismatch: the value is not a list.
    """
    if isinstance(value, list):
        return value
    raise SchemaMismatch(f"must be a list, not {_shortened(value)}")


def _shortened(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"


class FieldType(Struct, frozen=True):
    """The type of a field in a schema, such as `int`.

    Attributes:
        description: the name of the type in the instruction to the agent, such as "whole number".
        convert: a function that converts a JSON value to this type, or raises `SchemaMismatch`.
        dtype: the pandas dtype of the column, which can hold missing values.
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
    """The fields that an agent's answer must contain, as one JSON object.

    Attributes:
        dtypes: a dict that maps each field name to the pandas dtype of the field's column.
    """

    dtypes: dict[str, Any]

    @property
    @abstractmethod
    def instruction(self) -> str:
        """The text at the end of a prompt that tells the agent the format of the answer."""

    @abstractmethod
    def parse(self, text: str) -> tuple[Any, ...]:
        """Return the values of the fields in the text of an answer, in the order of `dtypes`.

        Raises:
            SchemaMismatch: the text has no JSON object, or a field is missing or has another type.
        """

    def repair_prompt(self, prompt: str, answer: str, mismatch: SchemaMismatch) -> str:
        """Return the prompt that asks the agent to correct an answer.

        The new prompt repeats the first prompt and the answer, because some protocols can't send
        the earlier messages of a conversation.

        Args:
            prompt: the first prompt.
            answer: the text of the answer to correct.
            mismatch: the reason why the answer does not match the schema.
        """
        return (
            f"{prompt}\n\nYour last answer was:\n{answer}\n\nThat is wrong: {mismatch}."
            " Answer again."
        )


class FieldSchema(Schema):
    """A schema whose fields were given as a text or as a dict of dtypes.

    Args:
        fields: a dict that maps each field name to two values: the type of the field, and whether
            the field may be null.
        dtypes: a dict that maps each field name to the pandas dtype of the field's column.
    """

    def __init__(
        self, fields: Mapping[str, tuple[FieldType, bool]], dtypes: dict[str, Any]
    ) -> None:
        self._fields = dict(fields)
        self.dtypes = dtypes

    @property
    def instruction(self) -> str:
        """The text that asks the agent for one JSON object, with the fields' names and types."""
        fields = (
            f"{json.dumps(name, ensure_ascii=False)}: {kind.description}"
            f"{' or null' if nullable else ''}"
            for name, (kind, nullable) in self._fields.items()
        )
        return f"Answer with one JSON object and nothing else: {{{', '.join(fields)}}}"

    def parse(self, text: str) -> tuple[Any, ...]:
        """Return the values of the fields in the JSON object of an answer.

        Unknown keys of the JSON object are ignored. Keys may differ from field names in case.
        """
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
    """A schema whose fields are defined by a class of the package pydantic.

    This module only calls methods of the class and does not import pydantic.

    Args:
        model: a subclass of `pydantic.BaseModel`.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.dtypes = {
            name: _dtype_of(field.annotation) for name, field in model.model_fields.items()
        }

    @property
    def instruction(self) -> str:
        """The text that asks the agent for one JSON object, with the pydantic JSON Schema."""
        schema = json.dumps(self._model.model_json_schema(), ensure_ascii=False)
        return f"Answer with one JSON object and nothing else; its JSON schema: {schema}"

    def parse(self, text: str) -> tuple[Any, ...]:
        """Validate the JSON object of an answer with pydantic, and return the fields' values."""
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
    """Convert a text, a dict of pandas dtypes or a pydantic model to a `Schema`.

    Raises:
        ConfigurationError: the schema is malformed, or is none of these three types.
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
    """Return the key in `FIELD_TYPES` for a pandas dtype; `str` for an unknown dtype.

    For a categorical dtype, return the key for the dtype of the categories.
    """
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
    """Return a converter that refuses the values that a pandas dtype cannot hold.

    A categorical dtype can only hold its categories. An integer dtype can only hold a range of
    numbers. For any other dtype, `convert` is returned unchanged.

    Args:
        convert: the converter of the field's type.
        dtype: the pandas dtype.
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
    """Return the pandas dtype for the type annotation of a pydantic field.

    The annotations `str`, `int`, `float` and `bool` each have a dtype of their own. For any other
    annotation, the dtype is `object`.
    """
    plain = {str: "str", int: "int", float: "float", bool: "bool"}
    return FIELD_TYPES[plain[annotation]].dtype if annotation in plain else "object"


def _validation_message(error: ValueError) -> str:
    """Return all problems in a validation error of pydantic as one line of text."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return " ".join(str(error).split())
    problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors())
    return "; ".join(problems)
