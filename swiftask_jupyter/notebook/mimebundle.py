"""Converts an answer to HTML and plain text: its text, its files and sources, and its footer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.errors import AnswerError
from swiftask_jupyter.ledger.schema import is_suspect
from swiftask_jupyter.notebook.markdown import html
from swiftask_jupyter.notebook.markdown.html import Node, safe_href
from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize, sanitize_line

if TYPE_CHECKING:
    from swiftask_jupyter.answers.structured import CodeBlock


MAX_LABEL = 300  # characters
_LABEL_KEYS = ("title", "name", "fileName", "text", "message", "content")
_URL_KEYS = ("url", "link", "source", "href")


def extras_of(reply: Reply) -> list[tuple[str, str, str]]:
    """Return the files, sources and further messages of an answer, to show them below its text.

    Each is a tuple of its kind (`file`, `source` or `message`), its label and its URL. The URL is
    empty if there is none. Files whose URL is in the text of the answer are omitted.
    """
    listed = [("file", *_label_and_url(each)) for each in reply.files if _not_linked(each, reply)]
    listed += [("source", *_label_and_url(each)) for each in _items(reply.raw, "sourceMetadatas")]
    listed += [
        ("message", *_label_and_url(each)) for each in _items(reply.raw, "additionalMessages")
    ]
    return listed


def extras_as_html(listed: list[tuple[str, str, str]]) -> str:
    """Return the result of `extras_of` as an HTML list; an empty string if there are no extras."""
    return html.wrap(html.render(extras_as_tree(listed))) if listed else ""


def extras_as_tree(listed: list[tuple[str, str, str]]) -> list[Node]:
    """Return the result of `extras_of` as a tree of HTML nodes: one `ul`, or an empty list."""
    items = tuple(Node("li", {}, tuple(_item(*row))) for row in listed)
    return [Node("ul", {}, items)] if items else []


def extras_as_text(listed: list[tuple[str, str, str]]) -> str:
    """Return the result of `extras_of` as plain text, to append it to the text of the answer.

    Each extra is one line, which begins with a line break.
    """
    lines = (f"- {kind}: {sanitize(label)} {sanitize(url)}".rstrip() for kind, label, url in listed)
    return "".join(f"\n{line}" for line in lines)


def _item(kind: str, label: str, url: str) -> Iterator[Node | str]:
    yield f"{kind}: "
    href = safe_href(url)
    yield Node("a", {"href": href}, (sanitize(label),)) if href else sanitize(label)


def _label_and_url(value: Any) -> tuple[str, str]:
    if not isinstance(value, dict):
        label = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return label[:MAX_LABEL], label if safe_href(label) else ""
    url = next((value[key] for key in _URL_KEYS if isinstance(value.get(key), str)), "")
    label = next((value[key] for key in _LABEL_KEYS if isinstance(value.get(key), str)), "")
    return (label or url or json.dumps(value, ensure_ascii=False))[:MAX_LABEL], url


def _not_linked(file: dict[str, Any], reply: Reply) -> bool:
    """Return whether the URL of the file does not occur in the answer's text.

    If it does, the text already shows or links the file.
    """
    return file["url"] not in reply.text


def _items(raw: dict[str, Any], key: str) -> list[Any]:
    value = raw.get(key)
    return value if isinstance(value, list) else []


class GrowingText(Protocol):
    """The text of an answer that arrives in pieces, and can be rendered as HTML at any time.

    The text has two parts. The rendering of the first part, the settled text, cannot be changed by
    text that arrives later. The rest is the tail.
    """

    def feed(self, delta: str) -> None:
        """Append the next piece of the text; a piece may end anywhere, even inside a word."""

    def finish(self) -> None:
        """End the text; `feed` may not be called any more."""

    @property
    def settled(self) -> int:
        """The length of the settled text, whose rendering later text cannot change."""

    @property
    def in_code(self) -> bool:
        """Whether the text received so far ends inside code.

        Code may only be divided between two lines, other text between two words.
        """

    @property
    def tail(self) -> str:
        """The text after the settled text; later text may still change its rendering."""

    def html(self) -> str:
        """Return all the text received so far as HTML."""

    def settled_html(self) -> str:
        """Return the settled text as HTML; later text cannot change it."""

    def tail_html(self, limit: int) -> str:
        """Return the tail as HTML; if it has more than `limit` characters, only its end."""


def growing_text(format_name: str) -> GrowingText:
    """Create an empty `GrowingText` for an answer in a display format.

    Args:
        format_name: `md` or `code` for text with Markdown, `text` or `json` for plain text.
    """
    if format_name in {"text", "json"}:
        return PlainText()
    from swiftask_jupyter.notebook.markdown.document import Document

    return Document()


class PlainText:
    """The text of an answer that arrives in pieces, and is shown without parsing Markdown.

    It is rendered as a single `pre` block. So no part of it is ever settled (final before the end),
    and all of it is the tail.
    """

    settled = 0
    in_code = True

    def __init__(self) -> None:
        self._sanitizer = StreamSanitizer()
        self._parts: list[str] = []

    def feed(self, delta: str) -> None:
        """Append the next piece of the text; a piece may end anywhere, even inside a word."""
        self._parts.append(self._sanitizer.feed(delta))

    def finish(self) -> None:
        """Append the last characters, which the sanitizer held back until the end of the text."""
        self._parts.append(self._sanitizer.finish())

    @property
    def tail(self) -> str:
        """All the sanitized text received so far."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    def html(self) -> str:
        """Return all the text received so far as HTML."""
        return html.wrap(html.preformatted(self.tail))

    def settled_html(self) -> str:
        """Return an empty `div` element, because no part of the text is settled."""
        return html.wrap("")

    def tail_html(self, limit: int) -> str:
        """Return the last `limit` characters of the text as HTML."""
        return html.wrap(html.preformatted(self.tail[-limit:]), styled=False)


def final_view(reply: Reply) -> tuple[str, str] | None:
    """Return a finished answer in the format `text`, `json` or `code`, as HTML and as plain text.

    The text of an answer that failed, or that has no valid JSON in the format `json`, is returned
    unchanged. `None` if the answer is empty or its format is Markdown, which the caller renders.
    """
    if reply.format == "md" or not reply.text:
        return None
    block = _extract(reply)
    if block is None:
        text = sanitize(reply.text)
        return html.wrap(html.preformatted(text)), text
    text = sanitize(block.text)
    code = Node("code", {"lang": block.language} if block.language else {}, (text,))
    return html.wrap(html.render([Node("pre", {}, (code,))])), text.removesuffix("\n")


def _extract(reply: Reply) -> CodeBlock | None:
    """Return the JSON or the code that an answer contains, according to its format.

    `None` if the whole text is to be shown unchanged: the answer failed, its format is `text`, or
    it has no valid JSON.
    """
    from swiftask_jupyter.answers.structured import CodeBlock, extract_code, extract_json

    if reply.status != "ok" or reply.format == "text":
        return None
    if reply.format == "code":
        return extract_code(reply.text)
    try:
        value = extract_json(reply.text)
    except AnswerError:
        return None
    return CodeBlock(json.dumps(value, indent=2, ensure_ascii=False), "json")


__all__ = ["FOOTER_STYLE", "footer", "footer_bundle"]

# A colour that is readable in light and dark themes; gray in front ends without JupyterLab's CSS.
FOOTER_STYLE = "color:var(--jp-ui-font-color2,gray);font-size:.85em"
_FOOTER = (
    '<div class="swiftask-footer tex2jax_ignore mathjax_ignore" '
    f'style="{FOOTER_STYLE};margin:.2em 0">{{}}</div>'
)


def footer(reply: Reply) -> str:
    """Return the line below an answer: agent, time, tokens sent→received, turn.

    The dialect (the wire API that was used) is named only if it does not stream or reports no
    tokens.

    Args:
        reply: the reply, which has ended.
    """
    parts = [reply.agent, _duration(reply.seconds)]
    if reply.status not in {"ok", "running"}:
        parts.append(reply.status)
    elif is_suspect(reply):
        parts.append("empty, or a failure in disguise")
    elif reply.finish_reason == "length":
        parts.append("cut at its length limit")
    elif reply.finish_reason not in {None, "stop"}:
        parts.append(f"ended by {sanitize_line(reply.finish_reason or '')}")
    if not reply.streams:
        parts.append(f"{reply.dialect} does not stream")
    if reply.cached:
        parts.append("cached")
    elif reply.status == "ok" or reply.usage.source != "none":
        parts.append(_token_counts(reply))
    if reply.usage.credits is not None and not reply.cached:
        parts.append(f"{reply.usage.credits:g} credits")
    parts.append(f"turn {reply.number}")
    if reply.attempts > 1:
        parts.append(f"{reply.attempts} tries")
    parts += reply.remarks
    return sanitize_line(" · ".join(parts))


def _duration(seconds: float) -> str:
    if seconds >= 59.95:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"


def _token_counts(reply: Reply) -> str:
    usage = reply.usage
    if usage.input_tokens is None and usage.output_tokens is None:
        by = f" by {reply.dialect}" if reply.dialect else ""
        return f"tokens not reported{by}"
    sent = "?" if usage.input_tokens is None else usage.input_tokens
    received = "?" if usage.output_tokens is None else usage.output_tokens
    return f"{sent}→{received} tokens"


def footer_bundle(line: str) -> dict[str, Any]:
    """Return a MIME bundle that shows a line in the style of the footer, with a plain-text form."""
    return {"text/html": _FOOTER.format(escape(line)), "text/plain": line}
