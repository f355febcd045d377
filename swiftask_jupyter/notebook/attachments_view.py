"""What comes with an answer beside its text: files, sources, further messages.

They are shown as links and text under it. Nothing is loaded: an agent's picture is one click away.
The documents leave the shape of sources and messages open, so any is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from swiftask_jupyter.answers.reply import Reply
from swiftask_jupyter.notebook.markdown import html
from swiftask_jupyter.notebook.markdown.tree import Node, safe_href
from swiftask_jupyter.support.sanitize import sanitize

LONGEST = 300
_NAMES = ("title", "name", "fileName", "text", "message", "content")
_PLACES = ("url", "link", "source", "href")


def rows(reply: Reply) -> list[tuple[str, str, str]]:
    """Return what comes beside the text: its kind, its words and its address, if it has one."""
    found = [("file", *_described(each)) for each in reply.files if _not_shown(each, reply)]
    found += [("source", *_described(each)) for each in _listed(reply.raw, "sourceMetadatas")]
    found += [("message", *_described(each)) for each in _listed(reply.raw, "additionalMessages")]
    return found


def as_html(found: list[tuple[str, str, str]]) -> str:
    """Return the rows as a list of links and texts."""
    return html.wrap(html.render(nodes(found))) if found else ""


def nodes(found: list[tuple[str, str, str]]) -> list[Node]:
    """Return the rows as a tree."""
    items = tuple(Node("li", {}, tuple(_item(*row))) for row in found)
    return [Node("ul", {}, items)] if items else []


def as_text(found: list[tuple[str, str, str]]) -> str:
    """Return the rows as plain text, a line each."""
    lines = (f"- {kind}: {sanitize(words)} {sanitize(url)}".rstrip() for kind, words, url in found)
    return "".join(f"\n{line}" for line in lines)


def _item(kind: str, words: str, url: str) -> Iterator[Node | str]:
    yield f"{kind}: "
    href = safe_href(url)
    yield Node("a", {"href": href}, (sanitize(words),)) if href else sanitize(words)


def _described(value: Any) -> tuple[str, str]:
    if not isinstance(value, dict):
        words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return words[:LONGEST], words if safe_href(words) else ""
    url = next((value[key] for key in _PLACES if isinstance(value.get(key), str)), "")
    words = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), "")
    return (words or url or json.dumps(value, ensure_ascii=False))[:LONGEST], url


def _not_shown(file: dict[str, Any], reply: Reply) -> bool:
    """A picture in the text is a link there already."""
    return file["url"] not in reply.text


def _listed(raw: dict[str, Any], key: str) -> list[Any]:
    value = raw.get(key)
    return value if isinstance(value, list) else []
