"""What can be taken out of an answer's text: its JSON, its code, its table.

Agents like to put what was asked for into a fence, with words around it. So the whole text counts
first and the first fenced block then. Nothing is searched for in prose, and nothing repaired.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from swiftask_jupyter.errors import AnswerError

if TYPE_CHECKING:
    import pandas as pd

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
