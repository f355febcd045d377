"""Validation rules for JSON bodies, with the error messages of the JavaScript library Joi.

The documents of the native API name Joi. Where they give a type and no more, these rules follow
Joi's defaults: an empty string is refused, and so is a number that JavaScript can't represent
exactly. That the service keeps these defaults is inferred.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

Rule: TypeAlias = Callable[[str, Any], str | None]
"""A function that takes a field's name and value, and returns an error message or None."""

MAX_SAFE_INTEGER = 2**53 - 1  # JavaScript's
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*+:(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]++|%[0-9A-Fa-f]{2})++"
)


def nonempty_string(name: str, value: Any) -> str | None:
    """Require a string that is not empty."""
    if not isinstance(value, str):
        return f'"{name}" must be a string'
    return None if value else f'"{name}" is not allowed to be empty'


def number(name: str, value: Any) -> str | None:
    """Require a number; refuse a string that holds one.

    Joi would convert "12345", but the author of a client reports that the service accepts
    numbers only.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f'"{name}" must be a number'
    if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return None
    return f'"{name}" must be a safe number'


def uri(name: str, value: Any) -> str | None:
    """Require an absolute URI of any scheme, in ASCII characters."""
    if problem := nonempty_string(name, value):
        return problem
    return None if _URI.fullmatch(value) else f'"{name}" must be a valid uri'


def any_object(name: str, value: Any) -> str | None:
    """Require an object with any content."""
    return None if isinstance(value, dict) else f'"{name}" must be of type object'


def one_of(*allowed: str) -> Rule:
    """Return a rule that requires one of the given strings."""

    def rule(name: str, value: Any) -> str | None:
        valid = isinstance(value, str) and value in allowed
        return None if valid else f'"{name}" must be one of [{", ".join(allowed)}]'

    return rule


def array_of(element_rule: Rule) -> Rule:
    """Return a rule that requires a list; `element_rule` checks each element."""

    def rule(name: str, value: Any) -> str | None:
        if not isinstance(value, list):
            return f'"{name}" must be an array'
        problems = (element_rule(f"{name}[{at}]", element) for at, element in enumerate(value))
        return next((problem for problem in problems if problem), None)

    return rule


def object_with(fields: Mapping[str, Rule], required: Collection[str] = ()) -> Rule:
    """Return a rule that requires an object with these fields and no others.

    Args:
        fields: the rule of each allowed key.
        required: the keys that must be present.
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
