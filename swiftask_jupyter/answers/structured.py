"""Extracts JSON, code and tables from the text of an answer.

Agents often put the requested data into a fenced code block, surrounded by explanations.
`Answer.json()`, `Answer.code()`, `Answer.frame()` and the schemas of batches all use this module.
So all of them find the same code blocks and the same JSON. Invalid JSON is never repaired.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from swiftask_jupyter.errors import AnswerError

if TYPE_CHECKING:
    import pandas as pd

# The first and the last line of a fenced code block, as CommonMark defines them
# (https://spec.commonmark.org/0.31.2/#fenced-code-blocks). The Markdown renderer also uses both
# patterns, for a code block whose text is still streaming in.
FENCE_OPENING = r" {0,3}(`{3,}(?=[^`\n]*(?:\n|\Z))|~{3,})"
FENCE_CLOSING = r"^ {{0,3}}{mark}{mark[0]}*[ \t]*$"  # for `format(mark=…)` and `re.MULTILINE`

_OPENING_LINE = re.compile(rf"^{FENCE_OPENING}[^\S\n]*(?P<language>[^\s`]*)[^\n]*\n", re.MULTILINE)
_LINE_END = re.compile(r"\r\n|\n|\r")
# The search for an object ends after this many braces, because an answer may hold any number.
_MAX_BRACES = 1000

_DELIMITER_ROW = re.compile(r"[\s|:-]*-[\s|:-]*")  # the line below the header of a Markdown table
_CELL_BORDER = re.compile(r"(?<!\\)\|")
# Matches, for example, a postcode, which would lose its leading zeros if it became a number.
_LEADING_ZERO = r"0\d+"
_SEPARATORS = {"csv": ",", "tsv": "\t"}


class CodeBlock(NamedTuple):
    """The code in one fenced code block, or a whole text that is treated as code.

    Attributes:
        text: the code.
        language: the language after the opening fence, in lower case; empty if no language is
            named.
    """

    text: str
    language: str = ""


def fenced_blocks(text: str) -> Iterator[CodeBlock]:
    """Yield the fenced code blocks of a text.

    A block without a closing fence extends to the end of the text.
    """
    text = "\n".join(_lines(text)) + "\n"
    position = 0
    while opening := _OPENING_LINE.search(text, position):
        closing = re.compile(FENCE_CLOSING.format(mark=opening[1]), re.MULTILINE).search(
            text, opening.end()
        )
        end = closing.start() if closing else len(text)
        yield CodeBlock(text[opening.end() : end], opening["language"].lower())
        position = closing.end() if closing else end


def find_json(text: str, *, embedded: bool = False) -> Any:
    """Find JSON in the text of an answer, and return the parsed value.

    If `embedded` is false, the whole text is parsed as JSON. If the text is not JSON, the first
    fenced code block in the text is parsed instead. The value can have any type. NaN is an error.

    If `embedded` is true, the result is the first JSON object in the fenced code blocks. If the
    code blocks contain no object, the result is the first JSON object in the text. Other text may
    surround the object. An empty object is returned only if all objects are empty. NaN is accepted.

    Args:
        text: the text of the answer.
        embedded: whether to search for a JSON object within other text.

    Raises:
        ValueError: no JSON was found; the message is the reason.
    """
    blocks = [block.text for block in fenced_blocks(text)]
    if embedded:  # accepts NaN, so that the schema can name the field that has this value
        return _first_object((*blocks, text))
    return _first_value((text, *blocks[:1]))


def _first_value(candidates: Iterable[str]) -> Any:
    """Parse texts as JSON, and return the value of the first text that is valid JSON.

    Raises:
        ValueError: no text is valid JSON. The message says why the last text is invalid.
    """
    reason = ""
    for candidate in candidates:
        try:
            return json.loads(candidate, parse_constant=_refuse_constant)
        except RecursionError:
            reason = "it is nested too deep"
        except ValueError as error:
            reason = str(error)
    raise ValueError(reason)


def _first_object(candidates: Iterable[str]) -> dict[str, Any]:
    """Search texts for JSON objects, and return the first object that is not empty.

    If all objects are empty, an empty object is returned.

    Raises:
        ValueError: there is no object.
    """
    found = None
    for candidate in candidates:
        for found in _objects(candidate):
            if found:  # an empty object is more often a piece of code
                return found
    if found is None:
        raise ValueError("the answer holds no JSON object")
    return found


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    start = text.find("{")
    for _ in range(_MAX_BRACES):
        if start < 0:
            return
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value
        start = text.find("{", end)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def extract_json(text: str) -> Any:
    """Parse a text as JSON, and return the value.

    If the whole text is not valid JSON, the first fenced code block in the text is parsed instead.

    Raises:
        AnswerError: neither the text nor its first code block is valid JSON.
    """
    try:
        return find_json(text)
    except ValueError as error:
        raise AnswerError(
            f"the answer is not JSON ({error})", advice="its text is kept in .text"
        ) from None


def extract_code(text: str) -> CodeBlock:
    """Return the first fenced code block of a text.

    If the text has no code block, the whole text is returned: some agents send only the code.
    """
    return next(fenced_blocks(text), CodeBlock(text))


def extract_frame(text: str) -> pd.DataFrame:
    """Return the table in the text of an answer as a DataFrame.

    These formats are tried in this order:

    - a fenced code block of CSV or TSV;
    - JSON: a list of records, an object of columns, or an object that holds one list of records;
    - a Markdown table.

    Raises:
        AnswerError: there is no table, or the table is malformed.
    """
    for block in fenced_blocks(text):
        if block.language in _SEPARATORS:
            return _frame_from_csv(block)
    try:
        value = find_json(text)
    except ValueError:
        return _frame_from_markdown(text)
    return _frame_from_json(value)


def _frame_from_csv(block: CodeBlock) -> pd.DataFrame:
    import pandas as pd

    separator = _SEPARATORS[block.language]
    try:
        frame = pd.read_csv(StringIO(block.text), sep=separator)
        texts = pd.read_csv(StringIO(block.text), sep=separator, dtype="str")
    except ValueError as error:  # the errors of pandas' parser are subclasses
        raise AnswerError(f"the answer's {block.language} is no table ({error})") from None
    for name in texts:
        if _has_leading_zeros(texts[name]):
            frame[name] = texts[name].array
    return frame


def _frame_from_json(value: Any) -> pd.DataFrame:
    import pandas as pd

    if value is None:
        raise AnswerError("the answer's JSON is null, no table")
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        if len(lists) == 1 and lists[0] and all(isinstance(each, dict) for each in lists[0]):
            value = lists[0]
        elif len(lists) < len(value) or len({len(each) for each in lists}) != 1:
            value = [value]  # one record
    try:
        return pd.DataFrame(value)
    except (ValueError, TypeError) as error:
        raise AnswerError(f"the answer's JSON is no table ({error})") from None


def _frame_from_markdown(text: str) -> pd.DataFrame:
    import pandas as pd

    rows = _markdown_rows(text)
    if not rows:
        raise AnswerError(
            "there is no table in the answer", advice="ask for JSON or a Markdown table"
        )
    frame = pd.DataFrame(rows[1:], columns=rows[0])
    return frame.apply(_to_numbers)


def _markdown_rows(text: str) -> list[list[str]]:
    """Return the rows of the first Markdown table in a text; each row is a list of cells.

    The first row is the header. All other rows are padded or cut to the length of the header. If
    the text has no Markdown table, the result is empty.
    """
    lines = _lines(text)
    for number in range(len(lines) - 1):
        header, delimiter = lines[number], lines[number + 1]
        if "|" not in header or "|" not in delimiter or not _DELIMITER_ROW.fullmatch(delimiter):
            continue
        names = _cells(header)
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
    return [cell.strip().replace(r"\|", "|") for cell in _CELL_BORDER.split(line)]


def _to_numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """Convert a column of strings to numbers.

    If a string is not a number or has a leading zero, the column is returned unchanged.
    """
    import pandas as pd

    try:
        return column if _has_leading_zeros(column) else pd.to_numeric(column)
    except (ValueError, TypeError):
        return column


def _has_leading_zeros(column: pd.Series[Any]) -> bool:
    return bool(column.str.fullmatch(_LEADING_ZERO).any())


def _lines(text: str) -> list[str]:
    """Split a text into lines, at LF, CR and CR LF only.

    `str.splitlines` would also split at other characters, which may occur within JSON and code.
    """
    return _LINE_END.split(text)
