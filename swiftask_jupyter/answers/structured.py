"""The JSON object in an answer, however an agent has dressed it, and its values.

What can be taken out of an answer's text: its JSON, its code, its table.

Agents like to put what was asked for into a fence, with words around it. So the whole text counts
first and the first fenced block then. Nothing is searched for in prose, and nothing repaired.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from swiftask_jupyter.errors import AnswerError

if TYPE_CHECKING:
    import pandas as pd

_FENCED = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_LARGEST = 2**63  # what a column of integers holds
# An answer may hold any number of braces; after so many that begin no object, there is none.
_LOOKS = 1000


class Mismatch(Exception):
    """An answer is not what its schema says; the text says why, for people and for agents."""


def find_object(text: str) -> dict[str, Any]:
    """Return the JSON object of an answer: alone, in a fence, or with words around it.

    Raises:
        Mismatch: there is none.
    """
    empty = None
    for part in (*_FENCED.findall(text), text):
        for found in _objects(part):
            if found:
                return found
            empty = found  # more likely a piece of code than the answer
    if empty is None:
        raise Mismatch("the answer holds no JSON object")
    return empty


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    at = text.find("{")
    for _ in range(_LOOKS):
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield found
        at = text.find("{", end)


def as_text(value: Any) -> str:
    """Return a text; a number or a truth value is written out."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise Mismatch(f"must be a text, not {_shown(value)}")


def as_int(value: Any) -> int:
    """Return a whole number, which may stand in quotes or end in `.0`."""
    number = as_float(value)
    exact = value if isinstance(value, int) else _whole(value, number)
    if exact is None or not -_LARGEST <= exact < _LARGEST:
        raise Mismatch(f"must be a whole number, not {_shown(value)}")
    return exact


def _whole(value: Any, number: float) -> int | None:
    try:
        if isinstance(value, str):
            return int(value)  # beyond 2**53 a float would round it
    except ValueError:
        pass
    return int(number) if number.is_integer() else None


def as_float(value: Any) -> float:
    """Return a finite number, which may stand in quotes."""
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise Mismatch(f"must be a number, not {_shown(value)}")


def as_bool(value: Any) -> bool:
    """Return a truth value, which may stand in quotes."""
    said = value.strip().lower() if isinstance(value, str) else value
    if said is True or said == "true":
        return True
    if said is False or said == "false":
        return False
    raise Mismatch(f"must be true or false, not {_shown(value)}")


def as_datetime(value: Any) -> datetime:
    """Return a date with its time, written as ISO 8601."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError:
            pass
    raise Mismatch(f"must be an ISO 8601 date, not {_shown(value)}")


def as_list(value: Any) -> list[Any]:
    """Return a list, whatever is in it."""
    if isinstance(value, list):
        return value
    raise Mismatch(f"must be a list, not {_shown(value)}")


def _shown(value: Any) -> str:
    written = json.dumps(value, ensure_ascii=False)
    return written if len(written) <= 40 else written[:39] + "…"


_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})\s*([^\s`]*)")
_RULE = re.compile(r"[\s|:-]*-[\s|:-]*")
_CELL = re.compile(r"(?<!\\)\|")
_CODE = r"0\d+"  # a postcode or an article's number: as a number it would lose its noughts
_SEPARATED = {"csv": ",", "tsv": "\t"}


class Code(NamedTuple):
    """A piece of code and its language, as the fence names it; empty where it does not."""

    text: str
    language: str = ""


def blocks(text: str) -> Iterator[Code]:
    """Yield the fenced blocks; one that is not closed goes on to the end."""
    lines = iter(_lines(text))
    for line in lines:
        if not (opening := _FENCE.match(line)):
            continue
        mark, inside = opening[1], []
        for each in lines:
            closing = each.strip()
            if len(closing) >= len(mark) and not closing.strip(mark[0]):
                break
            inside.append(each)
        yield Code("".join(f"{each}\n" for each in inside), opening[2].lower())


def code_of(text: str) -> Code:
    """Return the first fenced block, or else the whole text: some agents write nothing but code."""
    return next(blocks(text), Code(text))


def json_of(text: str) -> Any:
    """Return what the text is as JSON, or else what its first fenced block is.

    Raises:
        AnswerError: neither is JSON.
    """
    try:
        return _loads(text)
    except (ValueError, RecursionError) as error:
        wrong = error
    for block in blocks(text):
        try:
            return _loads(block.text)
        except (ValueError, RecursionError) as error:
            wrong = error
        break
    why = str(wrong) if isinstance(wrong, ValueError) else "it is nested too deep"
    raise AnswerError(f"the answer is not JSON ({why})", advice="its text is kept in .text")


def frame_of(text: str) -> pd.DataFrame:
    """Return the table in an answer: JSON, a Markdown table, or a fenced block of CSV.

    JSON is a list of records, or an object of columns, or an object that holds one list.

    Raises:
        AnswerError: there is none.
    """
    import pandas as pd

    for block in blocks(text):
        if block.language in _SEPARATED:
            try:
                return _separated(block.text, _SEPARATED[block.language])
            except ValueError as error:  # pandas' own are values' errors
                raise AnswerError(f"the answer's {block.language} is no table ({error})") from None
    try:
        value = json_of(text)
    except AnswerError:
        rows = _pipe_table(text)
        if not rows:
            raise AnswerError(
                "there is no table in the answer", advice="ask for JSON or a Markdown table"
            ) from None
        frame = pd.DataFrame(rows[1:], columns=rows[0])
        return frame.apply(_as_numbers)
    return _frame_of_json(value)


def _separated(text: str, mark: str) -> pd.DataFrame:
    import pandas as pd

    frame = pd.read_csv(StringIO(text), sep=mark)
    texts = pd.read_csv(StringIO(text), sep=mark, dtype="str")
    for name in texts:
        if _is_of_codes(texts[name]):
            frame[name] = texts[name].array
    return frame


def _frame_of_json(value: Any) -> pd.DataFrame:
    import pandas as pd

    if value is None:
        raise AnswerError("the answer's JSON is null, no table")
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        if len(lists) == 1 and lists[0] and all(isinstance(each, dict) for each in lists[0]):
            value = lists[0]
        elif len(lists) < len(value) or len({len(each) for each in lists}) != 1:
            value = [value]
    try:
        return pd.DataFrame(value)
    except (ValueError, TypeError) as error:
        raise AnswerError(f"the answer's JSON is no table ({error})") from None


def _lines(text: str) -> list[str]:
    """Split at ends of lines alone: JSON and code may hold what else Python would split at."""
    return re.split(r"\r\n|\n|\r", text)


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _pipe_table(text: str) -> list[list[str]]:
    """Return the rows of the first Markdown table, its head first; short rows are filled up."""
    lines = _lines(text)
    for number in range(len(lines) - 1):
        head, rule = lines[number], lines[number + 1]
        if "|" not in head or "|" not in rule or not _RULE.fullmatch(rule):
            continue
        names = _cells(head)
        rows = [names]
        for line in lines[number + 2 :]:
            if "|" not in line:
                break
            rows.append((_cells(line) + [""] * len(names))[: len(names)])
        return rows
    return []


def _cells(line: str) -> list[str]:
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith(r"\|"):
        line = line[:-1]
    return [cell.strip().replace(r"\|", "|") for cell in _CELL.split(line)]


def _as_numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    try:
        return column if _is_of_codes(column) else pd.to_numeric(column)
    except (ValueError, TypeError):
        return column


def _is_of_codes(column: pd.Series[Any]) -> bool:
    return bool(column.str.fullmatch(_CODE).any())
