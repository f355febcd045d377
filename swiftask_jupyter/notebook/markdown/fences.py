"""A code block that is still open, read without reading it again: only its end is looked for."""

import re

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
