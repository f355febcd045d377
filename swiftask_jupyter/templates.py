"""Fills `{{name}}` in a prompt, and nothing else.

`{{name}}`, `{{object.attribute}}`, `{{mapping["key"]}}`, `{{items[0]}}` and `{{number:.2f}}` are
looked up and written out. There are no calls, no operators and no evaluation; single braces,
`$x`, `{% %}` and everything that is not a known name stay byte for byte as they are. What is
filled in is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FIRST_ROWS = 20

_STEP = r"""\.[A-Za-z_]\w*|\[\s*(?:-?\d+|"[^"\]\n]*"|'[^'\]\n]*')\s*\]"""
_FIELD = re.compile(
    rf"\{{\{{\s*(?P<name>[^\W\d]\w*)(?P<path>(?:{_STEP})*)\s*(?::(?P<spec>[^{{}}\n]*))?\}}\}}"
)
_STEPS = re.compile(_STEP)


def fill(text: str, names: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the text with its fields written out, and the fields that had no value."""
    unknown: dict[str, None] = {}

    def written(field: re.Match[str]) -> str:
        try:
            value = _look_up(names, field["name"], field["path"])
            return _write(value, (field["spec"] or "").rstrip())
        except Exception:  # noqa: BLE001 - the user's own objects may raise anything
            unknown[field[0]] = None
            return field[0]

    return _FIELD.sub(written, text), tuple(unknown)


def _look_up(names: Mapping[str, Any], name: str, path: str) -> Any:
    value = names[name]
    for step in _STEPS.findall(path):
        if step.startswith("."):
            if step.startswith("._"):
                raise AttributeError(step)  # private names are not a prompt's business
            value = getattr(value, step[1:])
        else:
            key = step[1:-1].strip()
            value = value[key[1:-1] if key[0] in "\"'" else int(key)]
    return value


def _write(value: Any, spec: str) -> str:
    if spec:
        return format(value, spec)
    if hasattr(value, "to_csv") and hasattr(value, "head"):
        return _table(value)
    return str(value)


def _table(frame: Any) -> str:
    """Write a DataFrame or Series as CSV, its first rows only, and say so."""
    written = str(frame.head(FIRST_ROWS).to_csv())
    rows = len(frame)
    if rows > FIRST_ROWS:
        written += f"({FIRST_ROWS} of {rows} rows)\n"
    return written
