"""Validate JSON bodies, with the error messages of the JavaScript validation library Joi.

A rule is a validation function. The arguments of a rule are the name and the value of a field. A
rule returns an error message for an invalid value, and None for a valid value.

The documentation of the native API (`/api/ai/{slug}`) names Joi, but often gives only the type of a
field. The rules follow Joi's defaults. An empty string is invalid. A number is invalid if the
number is outside the range of JavaScript's safe integers.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

Rule: TypeAlias = Callable[[str, Any], str | None]
"""A validation function: it takes the name and the value of a field, and returns an error message,
or None if the value is valid."""

MAX_SAFE_INTEGER = 2**53 - 1  # JavaScript's
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*+:(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]++|%[0-9A-Fa-f]{2})++"
)


def nonempty_string(name: str, value: Any) -> str | None:
    """Return None if `value` is a nonempty string. Otherwise, return an error message."""
    if not isinstance(value, str):
        return f'"{name}" must be a string'
    return None if value else f'"{name}" is not allowed to be empty'


def number(name: str, value: Any) -> str | None:
    """Return None if `value` is a valid number. Otherwise, return an error message.

    A string such as "12345" is invalid. Joi would convert the string to a number. But the author of
    a client reports that the service accepts only numbers.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f'"{name}" must be a number'
    if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return None
    return f'"{name}" must be a safe number'


def uri(name: str, value: Any) -> str | None:
    """Return None if `value` is an absolute URI in ASCII. Otherwise, return an error message."""
    if problem := nonempty_string(name, value):
        return problem
    return None if _URI.fullmatch(value) else f'"{name}" must be a valid uri'


def any_object(name: str, value: Any) -> str | None:
    """Return None if `value` is a JSON object. Otherwise, return an error message."""
    return None if isinstance(value, dict) else f'"{name}" must be of type object'


def one_of(*allowed: str) -> Rule:
    """Return a rule that accepts only the given strings. A rule is a validation function."""

    def rule(name: str, value: Any) -> str | None:
        valid = isinstance(value, str) and value in allowed
        return None if valid else f'"{name}" must be one of [{", ".join(allowed)}]'

    return rule


def array_of(element_rule: Rule) -> Rule:
    """Return a rule that accepts a list. A rule is a validation function.

    `element_rule` validates each element of the list.
    """

    def rule(name: str, value: Any) -> str | None:
        if not isinstance(value, list):
            return f'"{name}" must be an array'
        problems = (element_rule(f"{name}[{at}]", element) for at, element in enumerate(value))
        return next((problem for problem in problems if problem), None)

    return rule


def object_with(fields: Mapping[str, Rule], required: Collection[str] = ()) -> Rule:
    """Return a rule that accepts an object with the given fields. A rule is a validation function.

    The object must not have any other fields.

    Args:
        fields: a dict that maps each allowed key to the rule for the key's value.
        required: the keys that the object must contain.
    """

    def rule(name: str, value: Any) -> str | None:
        if not isinstance(value, dict):
            return f'"{name or "value"}" must be of type object'
        prefix = f"{name}." if name else ""
        for key, field_rule in fields.items():
            if key in value:
                if problem := field_rule(prefix + key, value[key]):
                    return problem
            elif key in required:
                return f'"{prefix}{key}" is required'
        unknown = (key for key in value if key not in fields)
        return next((f'"{prefix}{key}" is not allowed' for key in unknown), None)

    return rule
