"""Converts an answer with its files, sources and footer to HTML and plain text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.errors import AnswerError
from swiftask_jupyter.ledger.schema import is_suspect, suspicion
from swiftask_jupyter.notebook.markdown import html
from swiftask_jupyter.notebook.markdown.html import HTMLElement, safe_href
from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize, sanitize_line

if TYPE_CHECKING:
    from swiftask_jupyter.answers.structured import CodeBlock


MAX_LABEL = 300  # characters
_LABEL_KEYS = ("title", "name", "fileName", "text", "message", "content")
_URL_KEYS = ("url", "link", "source", "href")


def extras_of(reply: Reply) -> list[tuple[str, str, str]]:
    """Return the files, sources and additional messages of an answer.

    Each tuple contains a kind, a label and a URL. The kind is `file`, `source` or `message`. An
    empty URL means that there is no URL. A file is left out if the answer's text contains the
    file's URL.
    """
    listed = [("file", *_label_and_url(each)) for each in reply.files if _not_linked(each, reply)]
    listed += [("source", *_label_and_url(each)) for each in _items(reply.raw, "sourceMetadatas")]
    listed += [
        ("message", *_label_and_url(each)) for each in _items(reply.raw, "additionalMessages")
    ]
    return listed


def extras_as_html(listed: list[tuple[str, str, str]]) -> str:
    """Convert the result of `extras_of` to an HTML list.

    The result is an empty string if `listed` is empty.
    """
    return html.wrap(html.render(extras_as_tree(listed))) if listed else ""


def extras_as_tree(listed: list[tuple[str, str, str]]) -> list[HTMLElement]:
    """Convert the result of `extras_of` to a list with one `ul` node.

    The result is an empty list if `listed` is empty.
    """
    items = tuple(HTMLElement("li", {}, tuple(_item(*row))) for row in listed)
    return [HTMLElement("ul", {}, items)] if items else []


def extras_as_text(listed: list[tuple[str, str, str]]) -> str:
    """Convert the result of `extras_of` to plain text, one line for each tuple.

    Each line begins with a line break, so that the result can be appended to the answer's text.
    """
    lines = (f"- {kind}: {sanitize(label)} {sanitize(url)}".rstrip() for kind, label, url in listed)
    return "".join(f"\n{line}" for line in lines)


def _item(kind: str, label: str, url: str) -> Iterator[HTMLElement | str]:
    yield f"{kind}: "
    href = safe_href(url)
    yield HTMLElement("a", {"href": href}, (sanitize(label),)) if href else sanitize(label)


def _label_and_url(value: Any) -> tuple[str, str]:
    if not isinstance(value, dict):
        label = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return label[:MAX_LABEL], label if safe_href(label) else ""
    url = next((value[key] for key in _URL_KEYS if isinstance(value.get(key), str)), "")
    label = next((value[key] for key in _LABEL_KEYS if isinstance(value.get(key), str)), "")
    return (label or url or json.dumps(value, ensure_ascii=False))[:MAX_LABEL], url


def _not_linked(file: dict[str, Any], reply: Reply) -> bool:
    """Return whether a file's URL is missing in the answer's text."""
    return file["url"] not in reply.text


def _items(raw: dict[str, Any], key: str) -> list[Any]:
    value = raw.get(key)
    return value if isinstance(value, list) else []


class StreamingText(Protocol):
    """The text of an answer that arrives in pieces and can be rendered as HTML at any time.

    The text has two parts. The first part is the settled text: later pieces cannot change its HTML.
    The second part is the tail: later pieces may change its HTML.
    """

    def feed(self, delta: str) -> None:
        """Append the next piece of the text.

        A piece may end anywhere, even inside a word.
        """

    def finish(self) -> None:
        """End the text; after this call, `feed` must not be called."""

    @property
    def settled(self) -> int:
        """The number of characters in the settled text.

        Later pieces cannot change the HTML of the settled text.
        """

    @property
    def in_code(self) -> bool:
        """Whether the text received so far ends inside code.

        A display that splits the text may split code only between two lines.
        """

    @property
    def tail(self) -> str:
        """The end of the text; later pieces may change the HTML of this end."""

    def html(self) -> str:
        """Return the text received so far as HTML."""

    def settled_html(self) -> str:
        """Return the settled text as HTML.

        Later pieces cannot change the HTML of the settled text.
        """

    def tail_html(self, limit: int) -> str:
        """Return the tail, the end of the text after the settled text, as HTML.

        If the tail has more than `limit` characters, only the end of the tail is returned.
        """


def growing_text(format_name: str) -> StreamingText:
    """Create an empty `StreamingText` for an answer.

    Args:
        format_name: the display format of the answer. The result renders Markdown for `md` and
            `code`, and plain text for `text` and `json`.
    """
    if format_name in {"text", "json"}:
        return StreamingPlainText()
    from swiftask_jupyter.notebook.markdown.document import StreamingMarkdown

    return StreamingMarkdown()


class StreamingPlainText:
    """The text of an answer that arrives in pieces and is displayed without Markdown.

    The whole text is rendered as one `pre` element. Later text may change this element. Therefore
    `tail` is the whole text.
    """

    settled = 0
    in_code = True

    def __init__(self) -> None:
        self._sanitizer = StreamSanitizer()
        self._parts: list[str] = []

    def feed(self, delta: str) -> None:
        """Append the next piece of the text.

        A piece may end anywhere, even inside a word.
        """
        self._parts.append(self._sanitizer.feed(delta))

    def finish(self) -> None:
        """End the text, and append the last characters, which the sanitizer has held back."""
        self._parts.append(self._sanitizer.finish())

    @property
    def tail(self) -> str:
        """The sanitized text received so far."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    def html(self) -> str:
        """Return the text received so far as HTML."""
        return html.wrap(html.preformatted(self.tail))

    def settled_html(self) -> str:
        """Return an empty `div` element, because the settled text is always empty."""
        return html.wrap("")

    def tail_html(self, limit: int) -> str:
        """Return the last `limit` characters of the text as HTML."""
        return html.wrap(html.preformatted(self.tail[-limit:]), styled=False)


def final_view(reply: Reply) -> tuple[str, str] | None:
    """Return a finished answer as HTML and as plain text.

    The result depends on the format of the answer:

    - `md`: `None`;
    - `text`: the whole text;
    - `code`: only the code in the text;
    - `json`: only the JSON in the text, or the whole text if the text contains no JSON.

    If the answer is incomplete, `code` and `json` also give the whole text. The result for an
    answer without text is `None`.
    """
    if reply.format == "md" or not reply.text:
        return None
    block = _extract(reply)
    if block is None:
        text = sanitize(reply.text)
        return html.wrap(html.preformatted(text)), text
    text = sanitize(block.text)
    code = HTMLElement("code", {"lang": block.language} if block.language else {}, (text,))
    return html.wrap(html.render([HTMLElement("pre", {}, (code,))])), text.removesuffix("\n")


def _extract(reply: Reply) -> CodeBlock | None:
    """Return the JSON or the code in an answer of the format `json` or `code`.

    The result is `None` for an incomplete answer, and for an answer of the format `text`. The
    result is also `None` if an answer of the format `json` contains no JSON.
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
    """Return the footer of an answer: agent, time, tokens, number of the turn, and remarks.

    `12→34 tokens` means 12 sent tokens and 34 received tokens. The footer names the protocol only
    if the protocol does not stream, or if no tokens were reported.

    Args:
        reply: a reply that has ended.
    """
    parts = [reply.agent, _duration(reply.seconds)]
    if reply.status not in {"ok", "running"}:
        parts.append(reply.status)
    elif is_suspect(reply):
        parts.append(sanitize_line(suspicion(reply)))
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
    """Return a MIME bundle with a line of text in the style of a footer."""
    return {"text/html": _FOOTER.format(escape(line)), "text/plain": line}
