"""What an answer must hold: columns with types.

Three ways to say it: `"label: str, score: float"`, a dict of pandas dtypes, a pydantic model.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from swiftask_jupyter.answers.structured import (
    Mismatch,
    as_bool,
    as_datetime,
    as_float,
    as_int,
    as_list,
    as_text,
    find_object,
)
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.support.structs import Struct, replace

HOW = 'write schema="label: str, score: float"'


class Kind(Struct, frozen=True):
    """A type of values.

    Attributes:
        words: what an agent is told.
        read: makes the value out of JSON's, or raises `Mismatch`.
        dtype: the column's, which has room for what is missing.
    """

    words: str
    read: Callable[[Any], Any]
    dtype: str


KINDS = {
    "str": Kind("text", as_text, "string"),
    "int": Kind("whole number", as_int, "Int64"),
    "float": Kind("number", as_float, "Float64"),
    "bool": Kind("true or false", as_bool, "boolean"),
    "datetime": Kind("ISO 8601 date and time", as_datetime, "datetime64[us, UTC]"),
    "list": Kind("list", as_list, "object"),
}


class Schema(ABC):
    """What an answer must hold.

    Attributes:
        dtypes: the columns and their dtypes.
    """

    dtypes: dict[str, Any]

    @property
    @abstractmethod
    def instruction(self) -> str:
        """What is said to the agent, after the prompt."""

    @abstractmethod
    def read(self, text: str) -> tuple[Any, ...]:
        """Return the values of an answer, in the order of the columns.

        Raises:
            Mismatch: the answer is not what was asked for.
        """

    def again(self, prompt: str, text: str, wrong: Mismatch) -> str:
        """Return the prompt that asks for an answer once more, after a wrong one.

        It stands alone: not every dialect takes the history of a conversation.
        """
        return f"{prompt}\n\nYour last answer was:\n{text}\n\nThat is wrong: {wrong}. Answer again."


class Fields(Schema):
    """Named fields, each of a kind."""

    def __init__(self, fields: Mapping[str, tuple[Kind, bool]], dtypes: dict[str, Any]) -> None:
        self._fields = dict(fields)
        self.dtypes = dtypes

    @property
    def instruction(self) -> str:
        """One JSON object, its keys, and what each holds."""
        said = (
            f"{json.dumps(name, ensure_ascii=False)}: {kind.words}{' or null' if free else ''}"
            for name, (kind, free) in self._fields.items()
        )
        return f"Answer with one JSON object and nothing else: {{{', '.join(said)}}}"

    def read(self, text: str) -> tuple[Any, ...]:
        """Return the values; further keys are passed over, and the case of a key is forgiven."""
        found = find_object(text)
        folded = {key.casefold(): value for key, value in found.items()}
        return tuple(
            self._value(name, found.get(name, folded.get(name.casefold()))) for name in self._fields
        )

    def _value(self, name: str, value: Any) -> Any:
        kind, free = self._fields[name]
        if value is None:
            if free:
                return None
            raise Mismatch(f"{name} is missing")
        try:
            return kind.read(value)
        except Mismatch as wrong:
            raise Mismatch(f"{name} {wrong}") from None


class Model(Schema):
    """A pydantic model, known by what it can do: pydantic itself is never imported."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.dtypes = {
            name: _dtype_of(field.annotation) for name, field in model.model_fields.items()
        }

    @property
    def instruction(self) -> str:
        """The model's own JSON schema."""
        schema = json.dumps(self._model.model_json_schema(), ensure_ascii=False)
        return f"Answer with one JSON object and nothing else; its JSON schema: {schema}"

    def read(self, text: str) -> tuple[Any, ...]:
        """Return what the model makes of the object."""
        found = find_object(text)
        try:
            made = self._model.model_validate(found)
        except ValueError as wrong:  # pydantic's ValidationError is one
            raise Mismatch(_told(wrong)) from None
        return tuple(getattr(made, name) for name in self.dtypes)


def schema_of(given: Any) -> Schema:
    """Return the schema that a user wrote in any of the three ways.

    Raises:
        ConfigurationError: it is none of them.
    """
    if isinstance(given, str):
        return _compact(given)
    if isinstance(given, Mapping) and given:
        return _of_dtypes(given)
    if hasattr(given, "model_validate") and hasattr(given, "model_fields"):
        return Model(given)
    raise ConfigurationError(
        f"{given!r} is no schema", advice=f"{HOW}, a dict of dtypes or a pydantic model"
    )


def _compact(text: str) -> Schema:
    fields: dict[str, tuple[Kind, bool]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, word = (piece.strip() for piece in part.partition(":"))
        kind = KINDS.get(word.removesuffix("?") or "str")
        if not name or kind is None:
            known = ", ".join(KINDS)
            raise ConfigurationError(
                f"the schema can't be read at {part!r}", advice=f"{HOW}; types: {known}"
            )
        if name in fields:
            raise ConfigurationError(f"the schema names {name} twice", advice=HOW)
        fields[name] = kind, word.endswith("?")
    if not fields:
        raise ConfigurationError("the schema is empty", advice=HOW)
    return Fields(fields, {name: kind.dtype for name, (kind, _) in fields.items()})


def _of_dtypes(given: Mapping[Any, Any]) -> Schema:
    import pandas as pd

    fields: dict[str, tuple[Kind, bool]] = {}
    dtypes: dict[str, Any] = {}
    for name, wanted in given.items():
        try:
            dtype = pd.api.types.pandas_dtype("string" if wanted is str else wanted)
        except TypeError:
            raise ConfigurationError(
                f"{wanted!r} is no dtype of pandas", advice='write {"label": "string"}'
            ) from None
        kind = KINDS[_kind_of(dtype)]
        fields[str(name)] = replace(kind, read=_narrowed(kind.read, dtype)), False
        dtypes[str(name)] = dtype
    return Fields(fields, dtypes)


def _kind_of(dtype: Any) -> str:
    from pandas.api import types

    tests = {
        "bool": types.is_bool_dtype,
        "int": types.is_integer_dtype,
        "float": types.is_float_dtype,
        "datetime": types.is_datetime64_any_dtype,
    }
    categories = getattr(dtype, "categories", None)
    if categories is not None:  # pandas takes the dtype of a category's values for the kind
        return _kind_of(categories.dtype)
    return next((name for name, test in tests.items() if test(dtype)), "str")


def _narrowed(read: Callable[[Any], Any], dtype: Any) -> Callable[[Any], Any]:
    """Return a reader that also refuses what the dtype has no place for."""
    import numpy as np

    categories = getattr(dtype, "categories", None)
    if categories is not None:
        allowed: frozenset[Any] | range = frozenset(categories)
        said = f"must be one of {', '.join(map(str, categories))}"
    elif dtype.kind in "iu":
        limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
        allowed = range(int(limits.min), int(limits.max) + 1)
        said = f"must lie between {limits.min} and {limits.max}"
    else:
        return read

    def narrowed(value: Any) -> Any:
        made = read(value)
        if made not in allowed:
            raise Mismatch(f"{said}, not {made}")
        return made

    return narrowed


def _dtype_of(annotation: Any) -> str:
    """Return the dtype for a model's field: plain types have one, all else are objects."""
    plain = {str: "str", int: "int", float: "float", bool: "bool"}
    return KINDS[plain[annotation]].dtype if annotation in plain else "object"


def _told(wrong: ValueError) -> str:
    errors = getattr(wrong, "errors", None)
    if errors is None:
        return " ".join(str(wrong).split())
    said = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors())
    return "; ".join(said)
