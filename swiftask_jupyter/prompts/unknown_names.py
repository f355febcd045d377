"""Refuses a `{{…}}` field that looks like the name of a variable but has no value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from keyword import iskeyword
from typing import Any

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.prompts.templates import FIELD, STEPS, resolve_variable
from swiftask_jupyter.support.suggest import closest

HOW_TO_SEND = "--raw sends it as written"
# Python's format specification (and those of dates, which have a `%`), and our own `all`. A space
# at its start is a sign, which `{{flex: 1}}` of JSX is not: then a precision must follow.
_FORMAT = re.compile(
    r"all|[^\s'\"]*%[a-zA-Z].*"
    r"|(?:.?[<>=^])?[-+ ]?z?#?0?\d*[_,]?(?:\.\d+)?[a-zA-Z%]?"
)
# A format of one word: a slip where it can't be applied, and never a style of CSS or JSX.
_WORD = re.compile(r"[\w.,%+<>=^#-]+")
_SPACED_FORMAT = re.compile(r"\s+\d*,?\.\d+[eEfFgG%]?")
# What only a text in a template language has: tags of Jinja, Handlebars, Go, GitHub's workflows.
_TEMPLATE = re.compile(
    r"\{%|\{\{\{?[-~]?\s*[#/^>&!]|\{\{-?\s*(?:if|range|with|define|block|template)\s"
    r"|\$\{\{\s*(?:env|github|inputs|jobs?|matrix|needs|parameters|runner|secrets|steps|vars"
    r"|variables)[.\[]"
)
# Functions of IPython among the variables, which are never meant.
_SHELL_NAMES = frozenset(("exit", "quit", "get_ipython", "open"))
_MOST_NAMES = 5000  # attributes and keys that are compared


def check_fields(text: str, names: Mapping[str, Any], remarks: Iterable[str]) -> None:
    """Raise an error for the first field that looks like a variable but can't be filled.

    No error is raised for the source of a template language such as Jinja. A prompt is such a
    source if it has tags like `{% if %}`, and if no field contains the name of a variable.

    Args:
        text: the prompt.
        names: a dict that maps the names of variables to values.
        remarks: the warnings that `interpolate` has returned for the prompt.

    Raises:
        PromptError: a field can't be filled. The message suggests a similar name or path.
    """
    fields = [*FIELD.finditer(text)]
    if _TEMPLATE.search(text) and not any(field["name"] in names for field in fields):
        return
    for field in fields:
        spec = (field["spec"] or "").strip()
        unwritten = [each for each in remarks if each.startswith(f"{field[0]} can't be written")]
        if unwritten and _WORD.fullmatch(spec):
            whole = f"{{{{{field['name']}{field['path']}:all}}}}"
            hint = f"did you mean {whole}? {HOW_TO_SEND}" if closest(spec.lower(), ["all"]) else ""
            raise PromptError(unwritten[0], advice=hint or HOW_TO_SEND)
        if iskeyword(field["name"]) or not _is_format(field["spec"] or ""):
            continue
        if (problem := _problem(field, names)) is not None:
            what, nearest = problem
            hint = f"did you mean {{{{{nearest}}}}}? {HOW_TO_SEND}" if nearest else HOW_TO_SEND
            raise PromptError(what, advice=hint)
        if unwritten:
            raise PromptError(unwritten[0], advice=HOW_TO_SEND)


def _is_format(spec: str) -> bool:
    """Return whether the text behind a field's colon can be a format such as `.2f`."""
    if spec.startswith((" ", "\t")):
        return bool(_SPACED_FORMAT.fullmatch(spec.rstrip()))
    return bool(_FORMAT.fullmatch(spec.rstrip()))


def _problem(field: re.Match[str], names: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """Return an error message for a field, and a similar path; return `None` for a valid field.

    If no path is similar, the second value is `None`.

    Args:
        field: the match of the field in the prompt.
        names: a dict that maps the names of variables to values.
    """
    name, path = field["name"], field["path"]
    if name not in names:
        known = [each for each in names if each[:1] != "_" and each not in _SHELL_NAMES]
        nearest = closest(name, known)
        return f"no variable {name}", nearest and nearest + path
    done = ""
    for step in STEPS.findall(path):
        value = resolve_variable(names, name, done)
        try:
            resolve_variable(names, name, done + step)
        except (LookupError, AttributeError, TypeError):
            return _missing_step(f"{name}{done}", step, value)
        except Exception:  # noqa: BLE001 - of the user's own object; `interpolate` has reported it
            return None
        done += step
    return None


def _missing_step(owner: str, step: str, value: Any) -> tuple[str, str | None]:
    """Return an error message about a missing attribute or item, and a similar path that exists.

    If no path is similar, the second value is `None`.

    Args:
        owner: the path of the object that lacks the attribute or item.
        step: the missing attribute or item, such as `.name` or `["key"]`.
        value: the object that lacks the attribute or item.
    """
    if step.startswith("._"):
        return f"{owner}{step} is private and never sent", None
    if step.startswith("."):
        word = step[1:]
        what = f"attribute {word}"
    else:
        word = step[1:-1].strip()
        if word[0] not in "\"'":
            size = f", which has {len(value)}" if isinstance(value, Sequence) else ""
            return f"no item {word} in {owner}{size}", None
        what, word = f"item {word}", word[1:-1]
    items, attributes = _keys(value), _attributes(value)
    if step.startswith("."):
        ways = ((attributes, ".{}"), (items, '["{}"]'))
    else:
        ways = ((items, '["{}"]'), (attributes, ".{}"))
    for cutoff in (1.0, 0.6):
        for known, written in ways:
            if (near := closest(word, known, cutoff=cutoff)) is not None:
                return f"no {what} in {owner}", owner + written.format(near)
    return f"no {what} in {owner}", None


def _keys(value: Any) -> list[str]:
    """Return the string keys of a mapping, or the string labels of a DataFrame's columns.

    For any other value, return an empty list.
    """
    if not isinstance(value, Mapping) and not hasattr(value, "columns"):
        return []
    try:
        return [each for each in list(value)[:_MOST_NAMES] if isinstance(each, str)]
    except Exception:  # noqa: BLE001 - the user's own objects may raise anything
        return []


def _attributes(value: Any) -> list[str]:
    try:
        return [each for each in dir(value)[:_MOST_NAMES] if not each.startswith("_")]
    except Exception:  # noqa: BLE001 - the user's own objects may raise anything
        return []
