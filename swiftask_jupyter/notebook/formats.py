"""How an answer is shown: as Markdown, verbatim, as pretty JSON, or its code alone.

Whatever the form, a cell's value stays the `Answer`, with its text as it came.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from swiftask_jupyter.answers.reply import Reply
from swiftask_jupyter.errors import AnswerError
from swiftask_jupyter.notebook.markdown import html
from swiftask_jupyter.notebook.markdown.tree import Node
from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize

if TYPE_CHECKING:
    from swiftask_jupyter.answers.structured import CodeBlock


class Growing(Protocol):
    """An answer that arrives in pieces, as a display draws it."""

    def feed(self, delta: str) -> None:
        """Take the next piece, cut anywhere."""

    def finish(self) -> None:
        """Take note that no more text will come."""

    @property
    def settled(self) -> int:
        """How many characters will look as they look now."""

    @property
    def in_code(self) -> bool:
        """Whether the text so far ends in code, which is cut at lines."""

    @property
    def tail(self) -> str:
        """The text after what is settled."""

    def html(self) -> str:
        """Everything so far."""

    def settled_html(self) -> str:
        """What is settled."""

    def tail_html(self, limit: int) -> str:
        """The rest, or its last so many characters."""


def growing(form: str) -> Growing:
    """Return what draws an answer of that form while it grows."""
    if form in {"text", "json"}:
        return Verbatim()
    from swiftask_jupyter.notebook.markdown.document import Document

    return Document()


class Verbatim:
    """Text shown as it is; none of it settles, for it is one block to its end."""

    settled = 0
    in_code = True

    def __init__(self) -> None:
        self._sanitizer = StreamSanitizer()
        self._parts: list[str] = []

    def feed(self, delta: str) -> None:
        """Take the next piece, cut anywhere."""
        self._parts.append(self._sanitizer.feed(delta))

    def finish(self) -> None:
        """Take what was held back."""
        self._parts.append(self._sanitizer.finish())

    @property
    def tail(self) -> str:
        """All of it."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    def html(self) -> str:
        """All of it."""
        return html.wrap(html.preformatted(self.tail))

    def settled_html(self) -> str:
        """Nothing."""
        return html.wrap("")

    def tail_html(self, limit: int) -> str:
        """Its last so many characters."""
        return html.wrap(html.preformatted(self.tail[-limit:]), styled=False)


def final(reply: Reply) -> tuple[str, str] | None:
    """Return the whole answer as HTML and as plain text; `None` where Markdown is wanted.

    What is not of its form, or not complete, is shown as it came.
    """
    if reply.form == "md" or not reply.text:
        return None
    found = _extracted(reply)
    if found is None:
        text = sanitize(reply.text)
        return html.wrap(html.preformatted(text)), text
    text = sanitize(found.text)
    inside = Node("code", {"lang": found.language} if found.language else {}, (text,))
    return html.wrap(html.render([Node("pre", {}, (inside,))])), text.removesuffix("\n")


def _extracted(reply: Reply) -> CodeBlock | None:
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
