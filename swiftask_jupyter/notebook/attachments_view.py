"""Show what an answer has besides its text: files, sources and further messages.

They are listed as links and text below the answer. Nothing is loaded: a picture of an agent is
a link. The documents leave the shape of sources and messages open, so any shape is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.notebook.markdown import html
from swiftask_jupyter.notebook.markdown.tree import Node, safe_href
from swiftask_jupyter.support.sanitize import sanitize

MAX_LABEL = 300  # characters
_LABEL_KEYS = ("title", "name", "fileName", "text", "message", "content")
_URL_KEYS = ("url", "link", "source", "href")


def extras_of(reply: Reply) -> list[tuple[str, str, str]]:
    """Return files, sources and messages as tuples of kind, label and URL, which may be empty."""
    listed = [("file", *_label_and_url(each)) for each in reply.files if _not_linked(each, reply)]
    listed += [("source", *_label_and_url(each)) for each in _items(reply.raw, "sourceMetadatas")]
    listed += [
        ("message", *_label_and_url(each)) for each in _items(reply.raw, "additionalMessages")
    ]
    return listed


def as_html(listed: list[tuple[str, str, str]]) -> str:
    """Return the extras as HTML: a list of links and labels."""
    return html.wrap(html.render(as_tree(listed))) if listed else ""


def as_tree(listed: list[tuple[str, str, str]]) -> list[Node]:
    """Return the extras as a tree: a list of links and labels."""
    items = tuple(Node("li", {}, tuple(_item(*row))) for row in listed)
    return [Node("ul", {}, items)] if items else []


def as_text(listed: list[tuple[str, str, str]]) -> str:
    """Return the extras as plain text, one line for each."""
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
    """Tell whether the answer's text has no link to the file: a picture in it is one."""
    return file["url"] not in reply.text


def _items(raw: dict[str, Any], key: str) -> list[Any]:
    value = raw.get(key)
    return value if isinstance(value, list) else []
