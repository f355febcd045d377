"""A code block that is still open, read without reading it again: only its end is looked for.

A long list or table that is still growing, without reading again what is finished of it.

An item is finished once a later one has begun on a complete line, a row once its line is complete.
What is shown meanwhile may differ in a corner from what one reading of all of it gives (a name
that is defined far below); the whole is read once when it is settled, and that is what stays.
"""

import re
from collections.abc import Sequence

from swiftask_jupyter.notebook.markdown.tree import Node

FENCE = re.compile(r"[ \t\n]*?(?:(?<=\n)|\A) {0,3}(`{3,}(?=[^`\n]*\n)|~{3,}(?=[^\n]*\n))[^\n]*\n")
LONGEST_CLOSING = 100  # characters of a line that closes a block

_HALF_CLOSED = re.compile(r"(?:^|\n) {0,3}(?:`+|~+)[ \t]*\Z")


class OpenFence:
    """The open code block a tail begins with: only what is new is searched for its end."""

    def __init__(self, opening: re.Match[str]) -> None:
        self.start = opening.end()
        mark = opening[1]
        self._closing = re.compile(rf"^ {{0,3}}{mark}{mark[0]}*[ \t]*$", re.MULTILINE)
        self._opening = opening[0]
        self._attrs: dict[str, str | int] | None = None
        self._searched = self.start  # characters of the tail
        self._line = ""

    def closed_by(self, tail: list[str], length: int) -> bool:
        """Whether a complete line of the tail closes the block."""
        fresh = self._line + last(tail, length - self._searched)
        self._searched = length
        lines, newline, self._line = fresh.rpartition("\n")
        if self._line.strip(" \t`~"):
            self._line = "x"  # what can't close it need not be kept
        return bool(newline) and bool(self._closing.search(lines))

    def node(self, tail: str) -> Node:
        """The block so far, without a last line that may turn out to close it."""
        if self._attrs is None:
            from swiftask_jupyter.notebook.markdown.reader import read

            [block] = read(self._opening, {})
            [code] = block.children
            self._attrs = dict(code.attrs) if isinstance(code, Node) else {}
        text = tail[self.start :]
        half = _HALF_CLOSED.search(text, max(0, len(text) - LONGEST_CLOSING))
        text = text[: half.start() + (text[half.start()] == "\n")] if half else text
        return Node("pre", {}, (Node("code", self._attrs, (text,)),))


def last(pieces: list[str], limit: int) -> str:
    """The last characters of a text in pieces, without joining all of it."""
    taken: list[str] = []
    for piece in reversed(pieces):
        if limit <= 0:
            break
        taken.append(piece[-limit:])
        limit -= len(piece)
    return "".join(reversed(taken))


_ITEM = re.compile(r"( {0,3}(?:[-*+]|\d{1,9}[.)]))(?=[ \t\n])")
_DELIMITER = re.compile(r" {0,3}\|?(?:[ \t]*:?-+:?[ \t]*\|?)+")

References = dict[str, object]


class Growing:
    """The open block of an answer, where it is a list or a table.

    Attributes:
        parsed: characters given to the parser by the last reading.
    """

    def __init__(self) -> None:
        self.parsed = 0
        self._start = 0  # of what is not finished, in the text
        self._done: tuple[Node, ...] = ()  # finished items or rows
        self._head = ""  # what the rest is read below, so that it is read as a part of the whole
        self._loose = False
        self._attrs: dict[str, str | int] | None = None
        self._simple = True

    def read(self, text: str, references: References) -> list[Node] | None:
        """Return the nodes of the text so far, which only ever grows; `None` to read all of it."""
        if not self._simple:
            return None
        lines = text[:1000].split("\n", 2)
        is_list = _ITEM.match(text.lstrip("\n"))
        if is_list:
            nodes = self._list(text, references)
        elif len(lines) == 3 and "|" in lines[0] and _DELIMITER.fullmatch(lines[1].rstrip()):
            nodes = self._table(text, references)
        else:
            nodes = None
        self._simple = nodes is not None
        return nodes

    def _list(self, text: str, references: References) -> list[Node] | None:
        from swiftask_jupyter.notebook.markdown.reader import read_list

        source = self._head + text[self._start :]
        nodes, starts, loose = read_list(source, references)
        self.parsed = len(source)
        if not nodes or nodes[0].tag not in ("ul", "ol") or len(starts) != len(nodes[0].children):
            return None
        if loose and not self._loose and self._done:  # then all of it is
            self._start, self._done, self._head, self._loose = 0, (), "", True
            return self._list(text, references)
        first, *rest = nodes
        if self._attrs is None:
            self._attrs = dict(first.attrs)
        items = first.children[1:] if self._head else first.children
        whole = Node(first.tag, self._attrs, (*self._done, *items))
        self._finish_items(source, starts, items, loose=loose)
        return [whole, *rest]

    def _finish_items(
        self, source: str, starts: Sequence[int], items: Sequence[Node | str], *, loose: bool
    ) -> None:
        """Take the items before the last that begins on a complete line for finished."""
        offsets = _line_offsets(source)
        begun = [line for line in starts if line < len(offsets) - 1]  # its line is complete
        ahead = 1 if self._head else 0
        count = len(begun) - 1 - ahead
        if count <= 0:
            return
        marker = _ITEM.match(source, offsets[begun[-2]])
        if marker is None:
            return
        self._loose = self._loose or loose
        self._start += offsets[begun[-1]] - len(self._head)
        self._done += tuple(item for item in items[:count] if isinstance(item, Node))
        self._head = f"{marker[1]} x\n" + ("\n" if self._loose else "")

    def _table(self, text: str, references: References) -> list[Node] | None:
        from swiftask_jupyter.notebook.markdown.reader import read

        if not self._head:
            self._start = text.index("\n", text.index("\n") + 1) + 1
            self._head = text[: self._start]
        fresh = text[self._start :]
        nodes = read(self._head + fresh, references)
        self.parsed = len(self._head) + len(fresh)
        rows = _rows(nodes)
        unended = bool(fresh) and not fresh.endswith("\n")
        complete = fresh.count("\n")
        if rows is None or len(rows) != complete + unended:
            return None
        table = nodes[0]
        body = Node("tbody", {}, (*self._done, *rows))
        if complete:
            self._done += rows[:complete]
            self._start += fresh.rindex("\n") + 1
        return [Node("table", table.attrs, (table.children[0], body))]


def _rows(nodes: list[Node]) -> tuple[Node, ...] | None:
    """Return the rows of what should be one table."""
    if len(nodes) != 1 or nodes[0].tag != "table":
        return None
    bodies = nodes[0].children[1:]
    return tuple(
        row for body in bodies if isinstance(body, Node) for row in body.children
        if isinstance(row, Node)
    )  # fmt: skip


def _line_offsets(text: str) -> list[int]:
    """Where each line begins; the last is where one would begin that is not complete."""
    return [0, *(found.end() for found in re.finditer("\n", text))]
