"""Fills `{{…}}` fields in a prompt with the values of variables, without evaluating code.

A field names a variable, its attributes and its items: `{{name}}`, `{{object.attribute}}`,
`{{mapping["key"]}}`, `{{items[0]}}`; a format specification may follow, as in `{{number:.2f}}`.
Calls and operators are not supported. All other text stays byte for byte as it is: single braces,
`$x`, `{% %}` and fields without a value. An inserted value is not searched for fields again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_STEP = r"""\.[^\W\d]\w*|\[\s*(?:-?\d+|"[^"\]\n]*"|'[^'\]\n]*')\s*\]"""
# A regular expression with the groups `name` (the variable) and `path` (its attributes and items).
VARIABLE_PATH = rf"(?P<name>[^\W\d]\w*)(?P<path>(?:{_STEP})*)"
STEPS = re.compile(_STEP)
_SPEC = r"\s*(?::(?P<spec>[^{}\n]*))?"
FIELD = re.compile(rf"\{{\{{\s*{VARIABLE_PATH}{_SPEC}\}}\}}")
# Also matches text that may have been meant as a field: `{{name.upper()}}`, `{{x + 1}}`.
_FIELD_OR_EXPRESSION = re.compile(r"\{\{\s*[^\W\d][^{}\n]*\}\}")
# Raised when a value does not exist; `None["key"]` and `5[0]` raise a `TypeError`.
_MISSING = (LookupError, AttributeError, TypeError)
# The number of rows that are inserted for a DataFrame or Series.
MAX_ROWS = 20


def field_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern like `FIELD` that also finds fields with these names, whatever they hold.

    Where a field can be read in two ways, the longest of these names counts: `{{a.b}}` is the
    name `a.b`, if that is one of them, and else the attribute `b` of `a`.
    """
    exact = "".join(f"{re.escape(name)}|" for name in sorted(names, key=len, reverse=True))
    if not exact:
        return FIELD
    path = VARIABLE_PATH.replace("(?P<name>", f"(?P<name>{exact}", 1)
    return re.compile(rf"\{{\{{\s*{path}{_SPEC}\}}\}}")


def interpolate(
    text: str, names: Mapping[str, Any], *, pattern: re.Pattern[str] = FIELD
) -> tuple[str, tuple[str, ...]]:
    """Replace the fields of a prompt by their values.

    A DataFrame or Series is inserted as CSV, with its first 20 rows only.

    Args:
        text: the prompt.
        names: the variables that a field may name.
        pattern: finds the fields; see `field_pattern`.

    Returns:
        The prompt, and warnings about the fields that were not replaced because they have no value
        or can't be formatted.
    """
    missing: dict[str, None] = {}
    failed: dict[str, str] = {}

    def replacement(field: re.Match[str]) -> str:
        found = False
        try:
            value = resolve_variable(names, field["name"], field["path"])
            found = True
            return _format(value, (field["spec"] or "").rstrip())
        except Exception as error:  # noqa: BLE001 - the user's own objects may raise anything
            if isinstance(error, _MISSING) and not found:
                missing[field[0]] = None
            else:
                failed[field[0]] = type(error).__name__
        return field[0]

    interpolated = pattern.sub(replacement, text)
    warnings = [f"no value for {', '.join(missing)}"] if missing else []
    warnings += [f"{field} can't be written ({kind})" for field, kind in failed.items()]
    return interpolated, tuple(warnings)


def expression_warnings(text: str) -> tuple[str, ...]:
    """Return a warning for each `{{…}}` that is sent unchanged because it is an expression.

    Only variables, attributes and items are replaced; `{{x + 1}}` is an expression.
    """
    found = dict.fromkeys(match[0] for match in _FIELD_OR_EXPRESSION.finditer(text))
    return tuple(f"{each} is sent as written" for each in found if not FIELD.fullmatch(each))


def resolve_variable(names: Mapping[str, Any], name: str, path: str) -> Any:
    """Return the value of a variable, or of an attribute or item of the variable.

    Args:
        names: the variables.
        name: the variable's name; the group `name` of `VARIABLE_PATH`.
        path: the attributes and items to follow, such as `.a["b"][0]`, or empty; the group `path`
            of `VARIABLE_PATH`.

    Raises:
        Exception: the value does not exist, an attribute is private, or the user's own object
            raised an error of any type.
    """
    value = names[name]
    for step in STEPS.findall(path):
        if step.startswith("."):
            if step.startswith("._"):
                raise AttributeError(step)  # private attributes are never sent
            value = getattr(value, step[1:])
        else:
            key = step[1:-1].strip()
            value = value[key[1:-1] if key[0] in "\"'" else int(key)]
    return value


def _format(value: Any, spec: str) -> str:
    if spec:
        return format(value, spec)
    if hasattr(value, "to_csv") and hasattr(value, "head"):
        return _first_rows(value)
    return str(value)


def _first_rows(frame: Any) -> str:
    """Return the first rows of a DataFrame or Series as CSV.

    If rows are left out, a last line gives the number of all rows.
    """
    written = str(frame.head(MAX_ROWS).to_csv())
    rows = len(frame)
    if rows > MAX_ROWS:
        written += f"({MAX_ROWS} of {rows} rows)\n"
    return written
