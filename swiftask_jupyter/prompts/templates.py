"""Replaces the `{{…}}` fields of a prompt with the values of variables. No code is evaluated.

A field contains a variable, an attribute or an item: `{{name}}`, `{{object.attribute}}`,
`{{mapping["key"]}}`, `{{items[0]}}`. A format specification may follow, as in `{{number:.2f}}`.
`{{frame:all}}` inserts the complete value, even if the value has many rows or characters.

Calls and operators are not supported. All other text stays unchanged: single braces, `$x`, `{% %}`
and fields without a value. If an inserted value contains a field, this field stays unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from swiftask_jupyter.errors import PromptError

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
# The number of rows that are inserted for a table without `:all`.
MAX_ROWS = 20
# The format specification that inserts all of a value.
ALL = "all"
_NAME_A_PART = "name a part of it, such as {{name.attribute}}, or a text made of it"


def field_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Return a regular expression that finds fields. The fields may contain the given names.

    If the names contain `a.b`, the field `{{a.b}}` means the name `a.b`. Otherwise the field means
    the attribute `b` of `a`.

    Args:
        names: names with any characters. If several names fit a field, the longest name is used.
    """
    exact = "".join(f"{re.escape(name)}|" for name in sorted(names, key=len, reverse=True))
    if not exact:
        return FIELD
    path = VARIABLE_PATH.replace("(?P<name>", f"(?P<name>{exact}", 1)
    return re.compile(rf"\{{\{{\s*{path}{_SPEC}\}}\}}")


def interpolate(
    text: str,
    names: Mapping[str, Any],
    *,
    pattern: re.Pattern[str] = FIELD,
    partial: bool = True,
) -> tuple[str, tuple[str, ...]]:
    """Replace the fields of a prompt with values.

    A table is inserted as CSV. Only the first 20 rows are inserted, unless the field ends in
    `:all`.

    Args:
        text: the prompt.
        names: a dict that maps names to values.
        pattern: a regular expression that finds the fields; see `field_pattern`.
        partial: `True` inserts a part of a long table and returns a warning; `False` raises an
            error.

    Returns:
        The new prompt, and warnings. There is a warning for each field that can't be filled, and
        for each value that is incomplete.

    Raises:
        PromptError: a value is too long, or can't be written in full.
    """
    missing: dict[str, None] = {}
    failed: dict[str, str] = {}
    left_out: dict[str, None] = {}

    def replacement(field: re.Match[str]) -> str:
        found = False
        try:
            value = resolve_variable(names, field["name"], field["path"])
            found = True
            filled, remark = _format(value, field, partial=partial)
        except PromptError:
            raise
        except Exception as error:  # noqa: BLE001 - the user's own objects may raise anything
            if isinstance(error, _MISSING) and not found:
                missing[field[0]] = None
            else:
                failed[field[0]] = type(error).__name__
            return field[0]
        if remark:
            left_out[remark] = None
        return filled

    interpolated = pattern.sub(replacement, text)
    warnings = [f"no value for {', '.join(missing)}"] if missing else []
    warnings += [f"{field} can't be written ({kind})" for field, kind in failed.items()]
    return interpolated, (*warnings, *left_out)


def expression_warnings(text: str) -> tuple[str, ...]:
    """Return a warning for each `{{…}}` that contains an expression, such as `{{x + 1}}`.

    An expression is not evaluated and is sent unchanged.
    """
    found = dict.fromkeys(match[0] for match in _FIELD_OR_EXPRESSION.finditer(text))
    return tuple(f"{each} is sent as written" for each in found if not FIELD.fullmatch(each))


def resolve_variable(names: Mapping[str, Any], name: str, path: str) -> Any:
    """Return the value of a variable, or the value of a variable's attribute or item.

    Args:
        names: a dict that maps the names of variables to values.
        name: the variable's name.
        path: the attributes and items to follow, such as `.a["b"][0]`; empty for the variable
            itself.

    Raises:
        Exception: the value does not exist, an attribute is private, or the user's object raised an
            error of any type.
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


def text_in_full(value: Any, name: str) -> str:
    """Return the complete text of a value.

    Args:
        value: the value. A table is refused.
        name: the name of the value in error messages.

    Raises:
        PromptError: the value is a table, or can't be written in full.
    """
    from swiftask_jupyter.prompts.values import NotWritable, is_table, write_value

    try:
        if not isinstance(value, str) and is_table(value):
            raise NotWritable(f"is a {type(value).__name__}")  # noqa: TRY301 - reported below
        text, shortened = write_value(value)
    except NotWritable as error:
        raise PromptError(f"{name} {error.reason}", advice=error.advice) from None
    if shortened:
        raise PromptError(f"the text of {name} may be shortened by its class", advice=_NAME_A_PART)
    return text


def _format(value: Any, field: re.Match[str], *, partial: bool) -> tuple[str, str]:
    """Return the text of a field's value, and a remark.

    The remark says what is missing in the text; the remark is empty if nothing is missing.

    Args:
        value: the value.
        field: the match of the field in the prompt.
        partial: whether parts may be missing.

    Raises:
        PromptError: the text is too long, or the value can't be written in full.
    """
    from swiftask_jupyter.prompts import values  # a prompt without fields does not need it

    spec = (field["spec"] or "").rstrip()
    limit = None if spec == ALL else values.MAX_CHARACTERS
    name, attach = f"{field['name']}{field['path']}", ""
    try:
        if spec and spec != ALL:
            value = format(value, spec)
        elif not values.is_simple(value) and values.is_table(value):
            attach = f" or -a {name}" if partial and "[" not in name else ""
            return _table(value, name, attach, limit, partial=partial)
        text, shortened = values.write_value(value, limit)
    except values.NotWritable as error:
        raise PromptError(f"{field[0]} {error.reason}", advice=error.advice) from None
    except RecursionError:
        raise PromptError(f"{field[0]} is nested too deeply", advice=_NAME_A_PART) from None
    except values.TooLong:
        advice = f"{{{{{name}:{ALL}}}}}{attach} sends them"
        raise PromptError(f"{field[0]} has over {limit:,} characters", advice=advice) from None
    if not shortened:
        return text, ""
    message = f"the text of {name} may be shortened by its class"
    if not partial:
        raise PromptError(message, advice=_NAME_A_PART)
    return text, f"{message}; {_NAME_A_PART}"


def _table(
    table: Any, name: str, attach: str, limit: int | None, *, partial: bool
) -> tuple[str, str]:
    """Return a table as CSV text, and a remark.

    The remark says how many rows are missing; the remark is empty if no rows are missing.

    Args:
        table: a table of pandas, polars or pyarrow.
        name: the table's name in messages.
        attach: advice on how to attach the table as a file; may be empty.
        limit: the maximum number of characters; `None` writes all rows.
        partial: whether rows may be missing.

    Raises:
        PromptError: rows would be missing, and `partial` is false.
        TooLong: the text has more characters than `limit`.
    """
    from swiftask_jupyter.prompts.tables import csv_of, row_count
    from swiftask_jupyter.prompts.values import TooLong

    if limit is None:
        return csv_of(table), ""
    rows = row_count(table)
    how, of = f"{{{{{name}:{ALL}}}}}{attach} sends all", f"{MAX_ROWS} of {rows:,} rows of {name}"
    if rows > MAX_ROWS and not partial:
        raise PromptError(f"only {of} would be sent", advice=how)
    written = csv_of(table, MAX_ROWS)
    if len(written) > limit:
        raise TooLong
    if rows <= MAX_ROWS:
        return written, ""
    return f"{written}({MAX_ROWS} of {rows} rows)\n", f"{of} sent; {how}"
