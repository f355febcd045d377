"""Parses an answer's Markdown into a safe tree, either as a whole or while the text arrives.

An answer is untrusted text, but a front end runs the scripts in a cell's HTML output. Therefore the
HTML in an answer is never used. The text is sanitized (`sanitize.sanitize`), parsed into a tree of
known tags (`parser`) and rendered as HTML (`html`). The chat panel sends the tree to the browser.

A Markdown block is a paragraph, a list, a code block, and so on. While an answer streams, a block
is settled when a later block has started on a complete line. A settled block is parsed and rendered
once. The text after the settled blocks is the tail. The tail is parsed again for each update.
"""

from functools import cached_property

from swiftask_jupyter.notebook.markdown import html
from swiftask_jupyter.notebook.markdown.html import HTMLElement
from swiftask_jupyter.notebook.markdown.incremental import (
    FENCE,
    IncrementalBlockParser,
    OpenFence,
    last_characters,
)
from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize

# All in characters.
MAX_ANSWER = 2 * 1024 * 1024  # more is shown as plain text
MAX_OPEN_BLOCK = 32 * 1024  # a longer open block is shown as plain text until it is settled
SHORT_BLOCK = 1024  # up to this length, an open block is parsed as a whole each time


def to_tree(text: str) -> list[HTMLElement]:
    """Parse the Markdown of a complete answer into a list of top-level nodes.

    Text after the first `MAX_ANSWER` characters is not parsed; this text becomes one `pre` node.
    """
    from swiftask_jupyter.notebook.markdown.parser import parse

    cleaned = sanitize(text)
    return parse(cleaned[:MAX_ANSWER], {}) + _unparsed(cleaned[MAX_ANSWER:])


def to_html(text: str) -> str:
    """Convert the Markdown of a complete answer to HTML that is safe in a cell's output."""
    return html.wrap(html.render(to_tree(text)))


class _SettledBlocks:
    """Consecutive settled Markdown blocks of an answer, which were parsed together.

    Later text can change these blocks only by defining a link that the blocks refer to.
    """

    def __init__(self, source: str, references: dict[str, object]) -> None:
        self.source = source if "[" in source else ""
        self.parse(source, references)

    def parse(self, source: str, references: dict[str, object]) -> None:
        from swiftask_jupyter.notebook.markdown.parser import parse

        self.nodes = parse(source, references)
        self.reference_count = len(references)
        self.__dict__.pop("html", None)

    @cached_property
    def html(self) -> str:
        """The blocks as HTML, rendered on first access."""
        return html.render(self.nodes)


class StreamingMarkdown:
    """An answer whose Markdown is parsed while the text arrives in pieces.

    A Markdown block is settled when later text cannot change the block any more. Settled blocks are
    parsed only once. The tail is the text after the settled blocks. After `finish`, `html()`
    returns the HTML that `to_html` returns for the whole text.

    Attributes:
        parsed: the number of characters given to the Markdown parser so far; read by tests.
    """

    def __init__(self) -> None:
        self.parsed = 0
        self._sanitizer = StreamSanitizer()
        self._blocks: list[_SettledBlocks] = []
        self._references: dict[str, object] = {}
        self._settled = 0
        self._tail: list[str] = []
        self._tail_length = 0
        self._overflow: list[str] = []  # text beyond MAX_ANSWER, which is not parsed
        self._has_new_line = False
        self._next_check = 0  # the tail is checked for settled blocks at this length
        self._fence: OpenFence | None = None
        self._incremental = IncrementalBlockParser()
        self._open: tuple[int, list[HTMLElement]] = (0, [])
        self._finished = False

    def feed(self, delta: str) -> None:
        """Append the next piece of the answer's text.

        A piece may end anywhere, even inside a word.

        Raises:
            ValueError: `finish` was already called.
        """
        if self._finished:
            raise ValueError("this answer is finished; begin another StreamingMarkdown")
        self._append(self._sanitizer.feed(delta))

    def finish(self) -> None:
        """End the answer, and parse the rest of the text.

        Text that refers to a link definition further below now becomes a link. A second call does
        nothing.
        """
        if self._finished:
            return
        self._append(self._sanitizer.finish())
        self._settle(self._tail_length)
        self._finished = True
        for block in self._blocks:  # a link definition may come after the text that uses it
            if block.source and block.reference_count < len(self._references):
                self.parsed += len(block.source)
                block.parse(block.source, self._references)

    @property
    def settled(self) -> int:
        """The number of characters in the complete Markdown blocks of the sanitized text."""
        self._settle_complete_blocks()
        return self._settled

    @property
    def in_code(self) -> bool:
        """Whether the text received so far ends inside a fenced code block."""
        self._settle_complete_blocks()
        return self._fence is not None

    @property
    def tail(self) -> str:
        """The text after the complete Markdown blocks, with hidden characters made visible."""
        self._settle_complete_blocks()
        return self._tail_text() + "".join(self._overflow)

    def blocks(self, start: int = 0) -> list[list[HTMLElement]]:
        """Return the nodes of the complete Markdown blocks as a list of lists.

        Each inner list contains the nodes of blocks that were parsed together. Only `finish` may
        replace an inner list.

        Args:
            start: the number of inner lists to skip at the beginning.
        """
        self._settle_complete_blocks()
        return [block.nodes for block in self._blocks[start:]]

    def open_nodes(self) -> list[HTMLElement]:
        """Return the nodes of the tail, the text after the complete Markdown blocks.

        Later text may change these nodes.
        """
        self._settle_complete_blocks()
        nodes = [self._fence.node(self._tail_text())] if self._fence else self._parse_open()
        return nodes + _unparsed("".join(self._overflow))

    def html(self) -> str:
        """Return the text received so far as HTML."""
        self._settle_complete_blocks()
        overflow = html.render(_unparsed("".join(self._overflow)))
        return html.wrap(self._settled_html() + self._open_html() + overflow)

    def settled_html(self) -> str:
        """Return the complete Markdown blocks as HTML."""
        self._settle_complete_blocks()
        return html.wrap(self._settled_html())

    def tail_html(self, limit: int) -> str:
        """Return the tail, the text after the complete Markdown blocks, as HTML.

        If the tail has more than `limit` characters, only the end of the tail is returned.
        """
        self._settle_complete_blocks()
        if self._overflow:
            return html.wrap(html.preformatted(last_characters(self._overflow, limit)))
        if self._tail_length <= limit:
            return html.wrap(self._open_html())
        end = last_characters(self._tail, limit)
        if self._fence:
            return html.wrap(html.code_block(end))
        return html.wrap(html.render(self._parse_draft(end[_line_start(end) :].lstrip())))

    def _append(self, cleaned: str) -> None:
        room = MAX_ANSWER - self._settled - self._tail_length
        if len(cleaned) > room:
            self._overflow.append(cleaned[room:])
            cleaned = cleaned[:room]
        if cleaned:
            self._tail.append(cleaned)
            self._tail_length += len(cleaned)
            self._has_new_line = self._has_new_line or "\n" in cleaned

    def _settle_complete_blocks(self) -> None:
        """Move every complete Markdown block from the tail, the open text, to the settled blocks.

        The tail is parsed only after a line end has arrived. A long tail is parsed only after it
        has grown by an eighth. These rules keep the total cost proportional to the length of the
        text.
        """
        if self._fence:
            if not self._fence.closed_by(self._tail, self._tail_length):
                return
            self._fence = None
        elif not self._has_new_line or self._tail_length < self._next_check:
            return
        from swiftask_jupyter.notebook.markdown.parser import settled_length

        tail = self._tail_text()
        lines = tail[: tail.rfind("\n") + 1]
        self.parsed += len(lines)
        self._settle(settled_length(lines))
        self._has_new_line = False
        length = self._tail_length
        self._next_check = length + (length // 8 if length > SHORT_BLOCK else 0)
        if opening := FENCE.match(self._tail_text()):
            self._fence = OpenFence(opening)
            if self._fence.closed_by(self._tail, length):
                self._fence = None

    def _settle(self, length: int) -> None:
        """Move the first `length` characters of the tail, the open text, to the settled blocks."""
        if length:
            tail = self._tail_text()
            self.parsed += length
            self._blocks.append(_SettledBlocks(tail[:length], self._references))
            self._settled += length
            self._tail = [tail[length:]]
            self._tail_length -= length
            self._fence = None
            self._incremental = IncrementalBlockParser()

    def _settled_html(self) -> str:
        return "".join(block.html for block in self._blocks)

    def _open_html(self) -> str:
        if self._fence:
            return html.code_block(self._tail_text()[self._fence.start :])
        return html.render(self._parse_open())

    def _parse_open(self) -> list[HTMLElement]:
        """Return the nodes of the tail, the text after the complete Markdown blocks.

        If no text has arrived since the previous call, the previous result is returned.
        """
        if not self._tail_length:
            return []
        if self._open[0] == self._settled + self._tail_length:
            return self._open[1]
        nodes = None
        if self._tail_length > SHORT_BLOCK and not self._fence:
            nodes = self._incremental.parse(self._tail_text(), self._references.copy())
            self.parsed += self._incremental.parsed if nodes is not None else 0
        if nodes is None and self._tail_length > MAX_OPEN_BLOCK and not self._fence:
            nodes = _unparsed(self._tail_text())
        if nodes is None:
            nodes = self._parse_draft(self._tail_text())
        self._open = (self._settled + self._tail_length, nodes)
        return nodes

    def _parse_draft(self, text: str) -> list[HTMLElement]:
        """Parse text that may still change; the link definitions in the text are not kept."""
        from swiftask_jupyter.notebook.markdown.parser import parse

        self.parsed += len(text)
        return parse(text, self._references.copy())

    def _tail_text(self) -> str:
        if len(self._tail) > 1:
            self._tail = ["".join(self._tail)]
        return self._tail[0] if self._tail else ""


def _unparsed(text: str) -> list[HTMLElement]:
    """Put text that is too long for the parser into one `pre` node.

    The result is an empty list for an empty text.
    """
    return [HTMLElement("pre", {}, (text,))] if text else []


def _line_start(text: str) -> int:
    """Return an index at which a line or a word begins.

    The text may begin in the middle of a line. The result is the start of the second line. Without
    a second line, the result is the start of the second word, or 0 if there is no space.
    """
    return text.find("\n") + 1 or text.find(" ") + 1
