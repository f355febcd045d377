"""The validator of the native routes: the documents say Joi, so these are Joi's words.

Where the documents name a type and no more, Joi's defaults stand: an empty text is refused, and
a number beyond what JavaScript counts exactly. That the service keeps them is inferred.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

Rule: TypeAlias = Callable[[str, Any], str | None]
"""Takes the name of a place and what stands there; says what is wrong with it, or None."""

_LARGEST = 2**53 - 1
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*+:(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]++|%[0-9A-Fa-f]{2})++"
)


def text(name: str, given: Any) -> str | None:
    """A string with something in it."""
    if not isinstance(given, str):
        return f'"{name}" must be a string'
    return None if given else f'"{name}" is not allowed to be empty'


def number(name: str, given: Any) -> str | None:
    """A number, and no text that looks like one."""
    # Joi would convert "12345"; a client's author reports that only a number is accepted.
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return f'"{name}" must be a number'
    return None if -_LARGEST <= given <= _LARGEST else f'"{name}" must be a safe number'


def uri(name: str, given: Any) -> str | None:
    """An absolute URI in plain ASCII, of whatever scheme."""
    if problem := text(name, given):
        return problem
    return None if _URI.fullmatch(given) else f'"{name}" must be a valid uri'


def anything(name: str, given: Any) -> str | None:
    """An object, whatever it holds."""
    return None if isinstance(given, dict) else f'"{name}" must be of type object'


def one_of(*allowed: str) -> Rule:
    """One of these words."""

    def rule(name: str, given: Any) -> str | None:
        right = isinstance(given, str) and given in allowed
        return None if right else f'"{name}" must be one of [{", ".join(allowed)}]'

    return rule


def array(each: Rule) -> Rule:
    """A list whose elements all keep to one rule."""

    def rule(name: str, given: Any) -> str | None:
        if not isinstance(given, list):
            return f'"{name}" must be an array'
        found = (each(f"{name}[{at}]", element) for at, element in enumerate(given))
        return next((problem for problem in found if problem), None)

    return rule


def record(rules: Mapping[str, Rule], required: Collection[str] = ()) -> Rule:
    """An object with these keys and no others."""

    def rule(name: str, given: Any) -> str | None:
        if not isinstance(given, dict):
            return f'"{name or "value"}" must be of type object'
        inside = f"{name}." if name else ""
        for key, of_key in rules.items():
            if key in given:
                if problem := of_key(inside + key, given[key]):
                    return problem
            elif key in required:
                return f'"{inside}{key}" is required'
        return next((f'"{inside}{key}" is not allowed' for key in given if key not in rules), None)

    return rule
