"""Parses the last block of a streaming answer without parsing all its text each time.

The last Markdown block of a streaming answer is open: later text may continue the block. If the
whole block were parsed for each update, the cost would grow with the square of its length.
Therefore two kinds of long blocks are parsed incrementally:

- a code block (`OpenFence`): only new text is searched for the closing fence;
- a list or a table (`IncrementalBlockParser`): finished items or rows are kept, and only the
  rest is parsed.

A list item is finished when a later item has started on a complete line. A table row is finished
when its line is complete.

The intermediate result may differ in details from the final result, for example if a link is
defined far below. When the block is complete, `document` parses the whole block once and keeps the
final result.
"""

import re
from collections.abc import Sequence

from swiftask_jupyter.answers.structured import FENCE_CLOSING, FENCE_OPENING
from swiftask_jupyter.notebook.markdown.html import HTMLElement

FENCE = re.compile(rf"[ \t\n]*?(?:(?<=\n)|\A){FENCE_OPENING}[^\n]*\n")
MAX_CLOSING_LINE = 100  # characters

_HALF_CLOSED = re.compile(r"(?:^|\n) {0,3}(?:`+|~+)[ \t]*\Z")
_ITEM = re.compile(r"( {0,3}(?:[-*+]|\d{1,9}[.)]))(?=[ \t\n])")
_DELIMITER_ROW = re.compile(r" {0,3}\|?(?:[ \t]*:?-+:?[ \t]*\|?)+")

References = dict[str, object]


class OpenFence:
    """An unclosed fenced code block at the end of a streaming answer.

    The open text is the part of the answer from the beginning of this code block to the end.

    Args:
        opening: a match of `FENCE` at the start of the open text.

    Attributes:
        start: the index in the open text at which the code begins.
    """

    def __init__(self, opening: re.Match[str]) -> None:
        self.start = opening.end()
        self._closing = re.compile(FENCE_CLOSING.format(mark=opening[1]), re.MULTILINE)
        self._opening = opening[0]
        self._attrs: dict[str, str | int] | None = None
        self._searched = self.start  # characters of the open text that were searched
        self._line = ""  # the incomplete last line

    def closed_by(self, pieces: list[str], length: int) -> bool:
        """Return whether a complete line of the open text closes the code block.

        Each call searches only the text that was added since the previous call.

        Args:
            pieces: the open text as a list of strings. The open text begins with the code block.
            length: the total number of characters in `pieces`.
        """
        fresh = self._line + last_characters(pieces, length - self._searched)
        self._searched = length
        lines, newline, self._line = fresh.rpartition("\n")
        if self._line.strip(" \t`~"):
            self._line = "x"  # this line cannot become a closing fence, so its text is not needed
        return bool(newline) and bool(self._closing.search(lines))

    def node(self, text: str) -> HTMLElement:
        """Return the code received so far as a `pre` node.

        The last line is left out if the line may become the closing fence.

        Args:
            text: the answer from the beginning of this code block to the end.
        """
        if self._attrs is None:
            from swiftask_jupyter.notebook.markdown.parser import parse

            [block] = parse(self._opening, {})
            [code] = block.children
            self._attrs = dict(code.attrs) if isinstance(code, HTMLElement) else {}
        source = text[self.start :]
        half = _HALF_CLOSED.search(source, max(0, len(source) - MAX_CLOSING_LINE))
        source = source[: half.start() + (source[half.start()] == "\n")] if half else source
        return HTMLElement("pre", {}, (HTMLElement("code", self._attrs, (source,)),))


def last_characters(pieces: list[str], limit: int) -> str:
    """Return the last `limit` characters of a text; `pieces` are the parts of the text."""
    taken: list[str] = []
    for piece in reversed(pieces):
        if limit <= 0:
            break
        taken.append(piece[-limit:])
        limit -= len(piece)
    return "".join(reversed(taken))


class IncrementalBlockParser:
    """A parser for one Markdown list or table whose text is still arriving.

    The parser keeps the finished items or rows. Each call of `parse` parses only the rest of the
    text.

    Attributes:
        parsed: the number of characters that the last call of `parse` gave to markdown-it.
    """

    def __init__(self) -> None:
        self.parsed = 0
        self._start = 0  # where the unfinished part of the text begins
        self._finished: tuple[HTMLElement, ...] = ()  # items or rows
        # Markdown to put before the unfinished part, so that both are parsed as one list or table.
        self._head = ""
        self._loose = False  # CommonMark's term for items separated by blank lines
        self._attrs: dict[str, str | int] | None = None
        self._supported = True

    def parse(self, text: str, references: References) -> list[HTMLElement] | None:
        """Parse the part of the list or table that has arrived so far.

        Args:
            text: the part that has arrived so far. This text begins with the text of the previous
                call.
            references: a dict of link definitions. Link definitions in `text` are added to this
                dict.

        Returns:
            The nodes of the list or table; `None` if incremental parsing is not possible.
        """
        if not self._supported:
            return None
        lines = text[:1000].split("\n", 2)
        is_list = _ITEM.match(text.lstrip("\n"))
        if is_list:
            nodes = self._parse_list(text, references)
        elif len(lines) == 3 and "|" in lines[0] and _DELIMITER_ROW.fullmatch(lines[1].rstrip()):
            nodes = self._parse_table(text, references)
        else:
            nodes = None
        self._supported = nodes is not None
        return nodes

    def _parse_list(self, text: str, references: References) -> list[HTMLElement] | None:
        from swiftask_jupyter.notebook.markdown.parser import parse_list

        source = self._head + text[self._start :]
        nodes, starts, loose = parse_list(source, references)
        self.parsed = len(source)
        if not nodes or nodes[0].tag not in ("ul", "ol") or len(starts) != len(nodes[0].children):
            return None
        if loose and not self._loose and self._finished:  # one loose item makes all items loose
            self._start, self._finished, self._head, self._loose = 0, (), "", True
            return self._parse_list(text, references)
        first, *rest = nodes
        if self._attrs is None:
            self._attrs = dict(first.attrs)
        items = first.children[1:] if self._head else first.children
        whole = HTMLElement(first.tag, self._attrs, (*self._finished, *items))
        self._finish_items(source, starts, items, loose=loose)
        return [whole, *rest]

    def _finish_items(
        self, source: str, starts: Sequence[int], items: Sequence[HTMLElement | str], *, loose: bool
    ) -> None:
        """Keep the finished items, so that the next call of `parse` does not parse them again.

        An item is finished if a later item has started on a complete line.
        """
        offsets = _line_offsets(source)
        begun = [line for line in starts if line < len(offsets) - 1]  # their first line is complete
        from_head = 1 if self._head else 0
        count = len(begun) - 1 - from_head
        if count <= 0:
            return
        marker = _ITEM.match(source, offsets[begun[-2]])
        if marker is None:
            return
        self._loose = self._loose or loose
        self._start += offsets[begun[-1]] - len(self._head)
        self._finished += tuple(item for item in items[:count] if isinstance(item, HTMLElement))
        self._head = f"{marker[1]} x\n" + ("\n" if self._loose else "")

    def _parse_table(self, text: str, references: References) -> list[HTMLElement] | None:
        from swiftask_jupyter.notebook.markdown.parser import parse

        if not self._head:
            self._start = text.index("\n", text.index("\n") + 1) + 1
            self._head = text[: self._start]
        fresh = text[self._start :]
        nodes = parse(self._head + fresh, references)
        self.parsed = len(self._head) + len(fresh)
        rows = _table_rows(nodes)
        incomplete = bool(fresh) and not fresh.endswith("\n")
        complete = fresh.count("\n")
        if rows is None or len(rows) != complete + incomplete:
            return None
        table = nodes[0]
        body = HTMLElement("tbody", {}, (*self._finished, *rows))
        if complete:
            self._finished += rows[:complete]
            self._start += fresh.rindex("\n") + 1
        return [HTMLElement("table", table.attrs, (table.children[0], body))]


def _table_rows(nodes: list[HTMLElement]) -> tuple[HTMLElement, ...] | None:
    """Return the body rows of a table; `None` if `nodes` is not exactly one table."""
    if len(nodes) != 1 or nodes[0].tag != "table":
        return None
    bodies = nodes[0].children[1:]
    return tuple(
        row for body in bodies if isinstance(body, HTMLElement) for row in body.children
        if isinstance(row, HTMLElement)
    )  # fmt: skip


def _line_offsets(text: str) -> list[int]:
    """Return the index at which each line of a text begins.

    If the text ends with a line end, the list ends with the index of an empty last line.
    """
    return [0, *(found.end() for found in re.finditer("\n", text))]
