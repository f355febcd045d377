"""What may name a value, in a prompt and behind `-a`: a variable, its attributes and its items.

Fills `{{name}}` in a prompt, and nothing else.

`{{name}}`, `{{object.attribute}}`, `{{mapping["key"]}}`, `{{items[0]}}` and `{{number:.2f}}` are
looked up and written out. There are no calls, no operators and no evaluation; single braces,
`$x`, `{% %}` and everything that is not a known name stay byte for byte as they are. What is
filled in is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_STEP = r"""\.[^\W\d]\w*|\[\s*(?:-?\d+|"[^"\]\n]*"|'[^'\]\n]*')\s*\]"""
LOOKUP = rf"(?P<name>[^\W\d]\w*)(?P<path>(?:{_STEP})*)"
_STEPS = re.compile(_STEP)


def look_up(names: Mapping[str, Any], name: str, path: str) -> Any:
    """Return the value that a match of `LOOKUP` names.

    Raises:
        Exception: it is not there, or is private; or whatever the user's own objects raise.
    """
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


FIRST_ROWS = 20
# What a look-up raises where there is nothing; `None["key"]` and `5[0]` are a `TypeError`.
_MISSING = (LookupError, AttributeError, TypeError)

_FIELD = re.compile(rf"\{{\{{\s*{LOOKUP}\s*(?::(?P<spec>[^{{}}\n]*))?\}}\}}")
# Begins as a field does, and may have been meant as one: `{{name.upper()}}`, `{{x + 1}}`.
_LIKE_A_FIELD = re.compile(r"\{\{\s*[^\W\d][^{}\n]*\}\}")


def fill(text: str, names: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the text with its fields written out, and what is to be said of those that stay."""
    missing: dict[str, None] = {}
    broken: dict[str, str] = {}

    def written(field: re.Match[str]) -> str:
        found = False
        try:
            value = look_up(names, field["name"], field["path"])
            found = True
            return _write(value, (field["spec"] or "").rstrip())
        except Exception as error:  # noqa: BLE001 - the user's own objects may raise anything
            if isinstance(error, _MISSING) and not found:
                missing[field[0]] = None
            else:
                broken[field[0]] = type(error).__name__
        return field[0]

    filled = _FIELD.sub(written, text)
    said = [f"no value for {', '.join(missing)}"] if missing else []
    said += [f"{field} can't be written ({kind})" for field, kind in broken.items()]
    return filled, tuple(said)


def left_as_written(text: str) -> tuple[str, ...]:
    """Return a line about each thing that looks like a field, and asks for more than a look-up."""
    found = dict.fromkeys(match[0] for match in _LIKE_A_FIELD.finditer(text))
    return tuple(f"{each} is sent as written" for each in found if not _FIELD.fullmatch(each))


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
