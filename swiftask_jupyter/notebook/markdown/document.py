"""An answer as a tree that cannot run, read while it grows.

An agent's answer is untrusted text, and the HTML of a live cell is trusted: a script in it would
run. So no answer is ever shown as Markdown or as HTML of its own. It is cleaned (`visible`), read
into a tree of known tags (`reader`) and written by us (`html`); the panel sends the same tree.

While an answer streams, a block is settled once a later one has begun on a complete line: it is
read once, written once and kept. Only the block that is still open is read again.
"""

from functools import cached_property

from swiftask_jupyter.notebook.markdown import html
from swiftask_jupyter.notebook.markdown.incremental import FENCE, Growing, OpenFence, last
from swiftask_jupyter.notebook.markdown.tree import Node
from swiftask_jupyter.support.sanitize import Cleaner, visible

LONGEST_ANSWER = 2 * 1024 * 1024
LONGEST_TAIL = 32 * 1024
SHORT = 1024


def to_tree(text: str) -> list[Node]:
    """The whole answer as a tree, read in one go."""
    from swiftask_jupyter.notebook.markdown.reader import read

    cleaned = visible(text)
    return read(cleaned[:LONGEST_ANSWER], {}) + _unread(cleaned[LONGEST_ANSWER:])


def to_html(text: str) -> str:
    """The whole answer as HTML that is safe in a trusted cell."""
    return html.wrap(html.write(to_tree(text)))


class _Settled:
    """Blocks that no later text can change, except by defining a link they name."""

    def __init__(self, source: str, references: dict[str, object]) -> None:
        self.source = source if "[" in source else ""
        self.read(source, references)

    def read(self, source: str, references: dict[str, object]) -> None:
        from swiftask_jupyter.notebook.markdown.reader import read

        self.nodes = read(source, references)
        self.references = len(references)
        self.__dict__.pop("html", None)

    @cached_property
    def html(self) -> str:
        """The blocks written for a cell; a panel never asks."""
        return html.write(self.nodes)


class Document:
    """An answer that arrives in pieces; what it shows at the end is what `to_html` shows."""

    def __init__(self) -> None:
        self.parsed = 0  # characters given to the parser, which is what this class saves on
        self._cleaner = Cleaner()
        self._blocks: list[_Settled] = []
        self._references: dict[str, object] = {}
        self._settled = 0
        self._tail: list[str] = []
        self._length = 0  # of the tail
        self._rest: list[str] = []  # what is over the limit, and not read
        self._has_new_line = False
        self._look_again = 0  # at this length of the tail
        self._fence: OpenFence | None = None
        self._growing = Growing()
        self._open: tuple[int, list[Node]] = (0, [])
        self._finished = False

    def feed(self, delta: str) -> None:
        """Take the next piece of the answer, cut anywhere."""
        if self._finished:
            raise ValueError("this answer is finished; begin another Document")
        self._take(self._cleaner.feed(delta))

    def finish(self) -> None:
        """Settle everything: no more text will come."""
        if self._finished:
            return
        self._take(self._cleaner.finish())
        self._settle(self._length)
        self._finished = True
        for block in self._blocks:  # a definition may stand below the text that names it
            if block.source and block.references < len(self._references):
                self.parsed += len(block.source)
                block.read(block.source, self._references)

    @property
    def settled(self) -> int:
        """How many characters of the cleaned text stand in settled blocks."""
        self._look()
        return self._settled

    @property
    def in_code(self) -> bool:
        """Whether the text so far ends inside a code block."""
        self._look()
        return self._fence is not None

    @property
    def tail(self) -> str:
        """The cleaned text after the settled blocks."""
        self._look()
        return self._tail_text() + "".join(self._rest)

    def blocks(self, start: int = 0) -> list[list[Node]]:
        """The settled blocks from this one on; only `finish` may change one."""
        self._look()
        return [block.nodes for block in self._blocks[start:]]

    def opened(self) -> list[Node]:
        """What stands below the settled blocks, and may still change."""
        self._look()
        nodes = [self._fence.node(self._tail_text())] if self._fence else self._open_nodes()
        return nodes + _unread("".join(self._rest))

    def html(self) -> str:
        """Everything so far as HTML."""
        self._look()
        rest = html.write(_unread("".join(self._rest)))
        return html.wrap(self._settled_html() + self._open_html() + rest)

    def settled_html(self) -> str:
        """The settled blocks as HTML."""
        self._look()
        return html.wrap(self._settled_html())

    def tail_html(self, limit: int) -> str:
        """The block that is still open as HTML; if it is longer than the limit, its end."""
        self._look()
        if self._rest:
            return html.wrap(html.plain(last(self._rest, limit)))
        if self._length <= limit:
            return html.wrap(self._open_html())
        end = last(self._tail, limit)
        if self._fence:
            return html.wrap(html.code(end))
        return html.wrap(html.write(self._read_aside(end[_line_start(end) :].lstrip())))

    def _take(self, cleaned: str) -> None:
        room = LONGEST_ANSWER - self._settled - self._length
        if len(cleaned) > room:
            self._rest.append(cleaned[room:])
            cleaned = cleaned[:room]
        if cleaned:
            self._tail.append(cleaned)
            self._length += len(cleaned)
            self._has_new_line = self._has_new_line or "\n" in cleaned

    def _look(self) -> None:
        """Settle what can be settled.

        That takes a new line, and where the open block is long, an eighth more of it: so all the
        looks together cost a constant times its length.
        """
        if self._fence:
            if not self._fence.closed_by(self._tail, self._length):
                return
            self._fence = None
        elif not self._has_new_line or self._length < self._look_again:
            return
        from swiftask_jupyter.notebook.markdown.reader import settled_length

        tail = self._tail_text()
        lines = tail[: tail.rfind("\n") + 1]
        self.parsed += len(lines)
        self._settle(settled_length(lines))
        self._has_new_line = False
        self._look_again = self._length + (self._length // 8 if self._length > SHORT else 0)
        if opening := FENCE.match(self._tail_text()):
            self._fence = OpenFence(opening)
            if self._fence.closed_by(self._tail, self._length):
                self._fence = None

    def _settle(self, length: int) -> None:
        if length:
            tail = self._tail_text()
            self.parsed += length
            self._blocks.append(_Settled(tail[:length], self._references))
            self._settled += length
            self._tail = [tail[length:]]
            self._length -= length
            self._fence = None
            self._growing = Growing()

    def _settled_html(self) -> str:
        return "".join(block.html for block in self._blocks)

    def _open_html(self) -> str:
        if self._fence:
            return html.code(self._tail_text()[self._fence.start :])
        return html.write(self._open_nodes())

    def _open_nodes(self) -> list[Node]:
        if not self._length:
            return []
        if self._open[0] == self._settled + self._length:
            return self._open[1]
        nodes = None
        if self._length > SHORT and not self._fence:
            nodes = self._growing.read(self._tail_text(), self._references.copy())
            self.parsed += self._growing.parsed if nodes is not None else 0
        if nodes is None and self._length > LONGEST_TAIL and not self._fence:
            nodes = _unread(self._tail_text())
        if nodes is None:
            nodes = self._read_aside(self._tail_text())
        self._open = (self._settled + self._length, nodes)
        return nodes

    def _read_aside(self, text: str) -> list[Node]:
        """Read text that may still change: what it defines does not count yet."""
        from swiftask_jupyter.notebook.markdown.reader import read

        self.parsed += len(text)
        return read(text, self._references.copy())

    def _tail_text(self) -> str:
        if len(self._tail) > 1:
            self._tail = ["".join(self._tail)]
        return self._tail[0] if self._tail else ""


def _unread(text: str) -> list[Node]:
    return [Node("pre", {}, (text,))] if text else []


def _line_start(text: str) -> int:
    """Where the first whole line begins, or else the first whole word."""
    return text.find("\n") + 1 or text.find(" ") + 1
