"""What may name a value, in a prompt and behind `-a`: a variable, its attributes and its items."""

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
