"""Validate JSON bodies, with the error messages of the JavaScript validation library Joi.

The documentation of the native API (`/api/ai/{slug}`) names Joi. Where it gives only a type, these
rules follow Joi's defaults: an empty string is invalid, and so is a number outside the range of
integers that JavaScript represents exactly. It is inferred that the service uses these defaults.
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
    """Check that a value is a nonempty string; return an error message, or None if it is valid."""
    if not isinstance(value, str):
        return f'"{name}" must be a string'
    return None if value else f'"{name}" is not allowed to be empty'


def number(name: str, value: Any) -> str | None:
    """Check that a value is a number; return an error message, or None if it is valid.

    A string such as "12345" is invalid. Joi would convert it to a number, but the author of a
    client reports that the service accepts only numbers.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f'"{name}" must be a number'
    if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return None
    return f'"{name}" must be a safe number'


def uri(name: str, value: Any) -> str | None:
    """Check that a value is an absolute URI in ASCII; return an error message, or None if valid."""
    if problem := nonempty_string(name, value):
        return problem
    return None if _URI.fullmatch(value) else f'"{name}" must be a valid uri'


def any_object(name: str, value: Any) -> str | None:
    """Check that a value is a JSON object; return an error message, or None if it is valid."""
    return None if isinstance(value, dict) else f'"{name}" must be of type object'


def one_of(*allowed: str) -> Rule:
    """Return a rule (a validation function) that accepts only the given strings."""

    def rule(name: str, value: Any) -> str | None:
        valid = isinstance(value, str) and value in allowed
        return None if valid else f'"{name}" must be one of [{", ".join(allowed)}]'

    return rule


def array_of(element_rule: Rule) -> Rule:
    """Return a rule (a validation function) for a list; `element_rule` validates each element."""

    def rule(name: str, value: Any) -> str | None:
        if not isinstance(value, list):
            return f'"{name}" must be an array'
        problems = (element_rule(f"{name}[{at}]", element) for at, element in enumerate(value))
        return next((problem for problem in problems if problem), None)

    return rule


def object_with(fields: Mapping[str, Rule], required: Collection[str] = ()) -> Rule:
    """Return a rule (a validation function) for an object that has only the given fields.

    Args:
        fields: the rule for the value of each allowed key.
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
