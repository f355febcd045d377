"""The formats of an answer in a cell: Markdown, plain text, indented JSON, or code alone.

The format changes only what is shown: the value of the cell is the `Answer` with its whole text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.errors import AnswerError
from swiftask_jupyter.notebook.markdown import html
from swiftask_jupyter.notebook.markdown.tree import Node
from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize

if TYPE_CHECKING:
    from swiftask_jupyter.answers.structured import CodeBlock


class GrowingText(Protocol):
    """The text of an answer that arrives in pieces, rendered for a display."""

    def feed(self, delta: str) -> None:
        """Append a piece of text, which may end anywhere."""

    def finish(self) -> None:
        """Take note that no more text will come."""

    @property
    def settled(self) -> int:
        """The length of the settled text, whose rendering will not change."""

    @property
    def in_code(self) -> bool:
        """Whether the text ends in code, which may be cut only between lines."""

    @property
    def tail(self) -> str:
        """The text after the settled text."""

    def html(self) -> str:
        """The whole text as HTML."""

    def settled_html(self) -> str:
        """The settled text as HTML."""

    def tail_html(self, limit: int) -> str:
        """The tail as HTML, or its last `limit` characters."""


def growing_text(format_name: str) -> GrowingText:
    """Return an empty text that is rendered in a format: `md`, `text`, `json` or `code`."""
    if format_name in {"text", "json"}:
        return PlainText()
    from swiftask_jupyter.notebook.markdown.document import Document

    return Document()


class PlainText:
    """Text that is shown unchanged; as it is one block to its end, none of it settles earlier."""

    settled = 0
    in_code = True

    def __init__(self) -> None:
        self._sanitizer = StreamSanitizer()
        self._parts: list[str] = []

    def feed(self, delta: str) -> None:
        """Append a piece of text, which may end anywhere."""
        self._parts.append(self._sanitizer.feed(delta))

    def finish(self) -> None:
        """Append what the sanitizer holds back."""
        self._parts.append(self._sanitizer.finish())

    @property
    def tail(self) -> str:
        """The whole text."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    def html(self) -> str:
        """The whole text as HTML."""
        return html.wrap(html.preformatted(self.tail))

    def settled_html(self) -> str:
        """An empty frame, as nothing is settled."""
        return html.wrap("")

    def tail_html(self, limit: int) -> str:
        """The last `limit` characters as HTML."""
        return html.wrap(html.preformatted(self.tail[-limit:]), styled=False)


def final_view(reply: Reply) -> tuple[str, str] | None:
    """Return the finished answer as HTML and as plain text, or `None` for Markdown.

    An answer that failed, or that does not have the requested format, is shown as plain text.
    """
    if reply.form == "md" or not reply.text:
        return None
    block = _extract(reply)
    if block is None:
        text = sanitize(reply.text)
        return html.wrap(html.preformatted(text)), text
    text = sanitize(block.text)
    code = Node("code", {"lang": block.language} if block.language else {}, (text,))
    return html.wrap(html.render([Node("pre", {}, (code,))])), text.removesuffix("\n")


def _extract(reply: Reply) -> CodeBlock | None:
    """Return the JSON or the code of an answer, or `None` to show its text unchanged."""
    from swiftask_jupyter.answers.structured import CodeBlock, extract_code, extract_json

    if reply.status != "ok" or reply.form == "text":
        return None
    if reply.form == "code":
        return extract_code(reply.text)
    try:
        value = extract_json(reply.text)
    except AnswerError:
        return None
    return CodeBlock(json.dumps(value, indent=2, ensure_ascii=False), "json")
