"""The tokens of markdown-it-py built into our tree.

What decides here is what is known, never what is forbidden: a tag that is not ours, an address that
is not plainly http, https or mailto, a picture, nesting without end all become the text in them.
This module imports markdown_it; import it on first use.
"""

import re
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from markdown_it.common.normalize_url import normalizeLink

from swiftask_jupyter.notebook.markdown.formulas import is_harmless
from swiftask_jupyter.notebook.markdown.tree import TAGS, Node, safe_href, words
from swiftask_jupyter.support.sanitize import visible

if TYPE_CHECKING:
    from markdown_it.token import Token

DEEPEST = 40  # tags, counting inline ones
PICTURE = "\N{FRAME WITH PICTURE}"

_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.\-]{1,30}")
_BARE_URL = re.compile(r"(?<![\w/])https?://[^\s<>\"`|\\^{}\u27e6\u27e7]+", re.IGNORECASE)
_AFTER_URL = ".,;:!?*_~'\"\u2026"


def build(tokens: Sequence["Token"]) -> list[Node]:
    """The blocks these tokens stand for."""
    return _Builder().build(tokens)


def normalized(url: str) -> str:
    """The address percent-encoded, its host in ASCII; empty if it is broken."""
    try:
        return normalizeLink(url)
    except Exception:  # noqa: BLE001 the address is the agent's, and may break any parser
        return ""


class _Frame:
    """A tag that is still open. Without a tag its children become its parent's."""

    def __init__(self, tag: str, attrs: dict[str, str | int] | None = None) -> None:
        self.tag = tag
        self.attrs = attrs or {}
        self.children: list[Node | str] = []


class _Builder:
    def __init__(self) -> None:
        self._open = [_Frame("")]
        self._links = 0

    def build(self, tokens: Sequence["Token"]) -> list[Node]:
        for token in tokens:
            self._take(token)
        assert len(self._open) == 1
        return [node for node in self._open[0].children if isinstance(node, Node)]

    def _take(self, token: "Token") -> None:
        match token.type:
            case "inline":
                for child in token.children or ():
                    self._take_inline(child)
            case "plain_inline":
                self._add(token.content)
            case "plain":
                self._add(Node("p", {}, (token.content,)))
            case "fence" | "code_block":
                self._add(_code(token))
            case "formula_block":
                self._add(Node("p", {}, (_formula(token),)))
            case "hr":
                self._add(Node("hr"))
            case _ if not token.hidden and token.type != "definition":
                self._tag(token)

    def _take_inline(self, token: "Token") -> None:
        match token.type:
            case "text" | "text_special":
                self._add(visible(token.content))  # again: an entity may have hidden something
            case "softbreak":
                self._add("\n")
            case "hardbreak":
                self._add(Node("br"))
            case "code_inline":
                self._add(Node("code", {}, (token.content,)))
            case "formula":
                self._add(_formula(token))
            case "image":
                self._picture(token)
            case _:
                self._tag(token)

    def _add(self, child: Node | str) -> None:
        self._open[-1].children.append(child)

    def _tag(self, token: "Token") -> None:
        if token.nesting < 0:
            self._close()
            return
        href = safe_href(str(token.attrs.get("href", "")))
        known = token.tag in TAGS and (token.tag != "a" or (href and not self._links))
        tag = token.tag if known and len(self._open) <= DEEPEST else ""
        self._links += tag == "a"
        self._open.append(_Frame(tag, _attrs(token, tag, href)))
        if "task" in token.meta:
            self._add(token.meta["task"])

    def _close(self) -> None:
        frame = self._open.pop()
        if not frame.tag:
            self._open[-1].children += frame.children
            return
        children = self._joined(frame.children)
        self._links -= frame.tag == "a"
        self._add(Node(frame.tag, frame.attrs, tuple(children)))

    def _joined(self, children: list[Node | str]) -> list[Node | str]:
        """Neighbouring texts made one, and the bare addresses in it made links."""
        joined: list[Node | str] = []
        for is_node, group in groupby(children, lambda child: isinstance(child, Node)):
            if is_node:
                joined += group
            else:
                text = "".join(str(piece) for piece in group)
                joined += [text] if self._links else _linked(text)
        return joined

    def _picture(self, token: "Token") -> None:
        """Nothing is fetched because an agent says so: a picture is a link to it."""
        inside = words(_Builder().inline(token.children or ()))
        href = safe_href(str(token.attrs.get("src", "")))
        text = f"{PICTURE} {inside or href or ''}".rstrip()
        self._add(Node("a", {"href": href}, (text,)) if href and not self._links else text)

    def inline(self, tokens: Sequence["Token"]) -> list[Node | str]:
        """The nodes of inline tokens alone, as for a picture's text."""
        self._links = 1
        for token in tokens:
            self._take_inline(token)
        return self._open[0].children


def _attrs(token: "Token", tag: str, href: str | None) -> dict[str, str | int]:
    attrs: dict[str, str | int] = {}
    if tag == "a" and href:
        attrs["href"] = href
    elif tag == "ol" and isinstance(start := token.attrs.get("start"), int):
        attrs["start"] = start
    elif tag in ("td", "th") and (align := str(token.attrs.get("style", ""))):
        attrs["align"] = align.removeprefix("text-align:")
    elif "task" in token.meta:
        attrs["class"] = "task"
    return attrs


def _formula(token: "Token") -> Node:
    source = token.content
    inside = source[1:-1] if source[1:2] not in "$([" else source[2:-2]
    return (
        Node("span", {"class": "math"}, (source,))
        if is_harmless(inside)
        else Node("code", {}, (source,))
    )


def _code(token: "Token") -> Node:
    lang = _LANGUAGE.match(token.info.strip())
    inside = Node("code", {"lang": lang[0].lower()} if lang else {}, (token.content,))
    return Node("pre", {}, (inside,))


def _linked(text: str) -> list[Node | str]:
    pieces: list[Node | str] = []
    done = 0
    for found in _BARE_URL.finditer(text):
        url = _without_punctuation(found[0])
        href = safe_href(normalized(url))
        if href:
            pieces += [text[done : found.start()], Node("a", {"href": href}, (url,))]
            done = found.start() + len(url)
    return [piece for piece in (*pieces, text[done:]) if piece]


def _without_punctuation(url: str) -> str:
    """The address without the full stop or the bracket of the sentence around it."""
    end = len(url)
    unopened = url.count(")") - url.count("(")
    while end and (url[end - 1] in _AFTER_URL or (url[end - 1] == ")" and unopened > 0)):
        unopened -= url[end - 1] == ")"
        end -= 1
    return url[:end]
