"""Parses Markdown into a safe tree of nodes.

The package markdown_it splits the Markdown into tokens. This module builds the tree from the
tokens. Raw HTML stays text. An image becomes a link. Unknown tags, unsafe URLs and elements that
are nested too deeply are replaced by their text. The reader sees all text of the agent, but the
tree can't run a script or load a file.

Import this module only when it is needed, because importing markdown_it takes time.
"""

import re
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from markdown_it.common.normalize_url import normalizeLink

from swiftask_jupyter.notebook.markdown.formulas import formula_block, inline_formula, is_harmless
from swiftask_jupyter.notebook.markdown.html import TAGS, HTMLElement, safe_href, text_content
from swiftask_jupyter.support.sanitize import sanitize

if TYPE_CHECKING:
    from markdown_it.ruler import RuleOptionsType
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token


MAX_TAG_DEPTH = 40  # nested tags, inline ones included
IMAGE_SYMBOL = "\N{FRAME WITH PICTURE}"

_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.\-]{1,30}")
_BARE_URL = re.compile(r"(?<![\w/])https?://[^\s<>\"`|\\^{}\u27e6\u27e7]+", re.IGNORECASE)
_TRAILING_PUNCTUATION = ".,;:!?*_~'\"\u2026"


def build(tokens: Sequence["Token"]) -> list[HTMLElement]:
    """Build the tree for markdown-it tokens, and return its top-level nodes."""
    return _TreeBuilder().build(tokens)


def normalize_url(url: str) -> str:
    """Return a URL with percent-encoding and an ASCII host name; empty for an invalid URL."""
    try:
        return normalizeLink(url)
    except Exception:  # noqa: BLE001 - the URL comes from the agent and may break any parser
        return ""


class _OpenTag:
    """An element whose closing token has not been read yet.

    An element with an empty `tag` is left out of the tree. Its children are added to its parent.
    """

    def __init__(self, tag: str, attrs: dict[str, str | int] | None = None) -> None:
        self.tag = tag
        self.attrs = attrs or {}
        self.children: list[HTMLElement | str] = []


class _TreeBuilder:
    def __init__(self) -> None:
        self._stack = [_OpenTag("")]
        self._open_links = 0

    def build(self, tokens: Sequence["Token"]) -> list[HTMLElement]:
        for token in tokens:
            self._add_block(token)
        assert len(self._stack) == 1
        return [node for node in self._stack[0].children if isinstance(node, HTMLElement)]

    def build_inline(self, tokens: Sequence["Token"]) -> list[HTMLElement | str]:
        """Return the nodes of an image's label; a link in the label becomes text."""
        self._open_links = 1
        for token in tokens:
            self._add_inline(token)
        return self._stack[0].children

    def _add_block(self, token: "Token") -> None:
        match token.type:
            case "inline":
                for child in token.children or ():
                    self._add_inline(child)
            case "plain_inline":
                self._append(token.content)
            case "plain":
                self._append(HTMLElement("p", {}, (token.content,)))
            case "fence" | "code_block":
                self._append(_code(token))
            case "formula_block":
                self._append(HTMLElement("p", {}, (_formula(token),)))
            case "hr":
                self._append(HTMLElement("hr"))
            case _ if not token.hidden and token.type != "definition":
                self._open_or_close(token)

    def _add_inline(self, token: "Token") -> None:
        match token.type:
            case "text" | "text_special":
                # Cleaned a second time: a decoded entity may be a hidden character.
                self._append(sanitize(token.content))
            case "softbreak":
                self._append("\n")
            case "hardbreak":
                self._append(HTMLElement("br"))
            case "code_inline":
                self._append(HTMLElement("code", {}, (token.content,)))
            case "formula":
                self._append(_formula(token))
            case "image":
                self._add_image(token)
            case _:
                self._open_or_close(token)

    def _append(self, child: HTMLElement | str) -> None:
        self._stack[-1].children.append(child)

    def _open_or_close(self, token: "Token") -> None:
        if token.nesting < 0:
            self._close()
            return
        href = safe_href(str(token.attrs.get("href", "")))
        known = token.tag in TAGS and (token.tag != "a" or (href and not self._open_links))
        tag = token.tag if known and len(self._stack) <= MAX_TAG_DEPTH else ""
        self._open_links += tag == "a"
        self._stack.append(_OpenTag(tag, _attributes(token, tag, href)))
        if "task" in token.meta:
            self._append(token.meta["task"])

    def _close(self) -> None:
        closed = self._stack.pop()
        if not closed.tag:
            self._stack[-1].children += closed.children
            return
        children = self._merge_text(closed.children)
        self._open_links -= closed.tag == "a"
        self._append(HTMLElement(closed.tag, closed.attrs, tuple(children)))

    def _merge_text(self, children: list[HTMLElement | str]) -> list[HTMLElement | str]:
        """Join adjacent texts, and turn each bare URL in the texts into a link.

        Inside a link element, URLs stay text.
        """
        merged: list[HTMLElement | str] = []
        for is_node, group in groupby(children, lambda child: isinstance(child, HTMLElement)):
            if is_node:
                merged += group
            else:
                text = "".join(str(piece) for piece in group)
                merged += [text] if self._open_links else _linkify(text)
        return merged

    def _add_image(self, token: "Token") -> None:
        """Add a link to an image; the image is not displayed.

        An image would make the browser load a file. If the URL is unsafe, or if the image is inside
        a link, the image becomes plain text.
        """
        label = text_content(_TreeBuilder().build_inline(token.children or ()))
        href = safe_href(str(token.attrs.get("src", "")))
        text = f"{IMAGE_SYMBOL} {label or href or ''}".rstrip()
        self._append(
            HTMLElement("a", {"href": href}, (text,)) if href and not self._open_links else text
        )


def _attributes(token: "Token", tag: str, href: str | None) -> dict[str, str | int]:
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


def _formula(token: "Token") -> HTMLElement:
    source = token.content
    inside = source[1:-1] if source[1:2] not in "$([" else source[2:-2]
    return (
        HTMLElement("span", {"class": "math"}, (source,))
        if is_harmless(inside)
        else HTMLElement("code", {}, (source,))
    )


def _code(token: "Token") -> HTMLElement:
    lang = _LANGUAGE.match(token.info.strip())
    inside = HTMLElement("code", {"lang": lang[0].lower()} if lang else {}, (token.content,))
    return HTMLElement("pre", {}, (inside,))


def _linkify(text: str) -> list[HTMLElement | str]:
    """Turn each safe URL in a text into a link node; return the texts and links in order."""
    pieces: list[HTMLElement | str] = []
    done = 0
    for found in _BARE_URL.finditer(text):
        url = _strip_punctuation(found[0])
        href = safe_href(normalize_url(url))
        if href:
            pieces += [text[done : found.start()], HTMLElement("a", {"href": href}, (url,))]
            done = found.start() + len(url)
    return [piece for piece in (*pieces, text[done:]) if piece]


def _strip_punctuation(url: str) -> str:
    """Remove the punctuation of the surrounding sentence from the end of a URL.

    Examples are a full stop, and a closing bracket without an opening bracket.
    """
    end = len(url)
    unopened = url.count(")") - url.count("(")
    while end and (url[end - 1] in _TRAILING_PUNCTUATION or (url[end - 1] == ")" and unopened > 0)):
        unopened -= url[end - 1] == ")"
        end -= 1
    return url[:end]


MAX_DEPTH = 20  # nested blocks
MAX_PARAGRAPH = 32 * 1024  # characters
CHECKBOXES = {" ": "\N{BALLOT BOX}", "x": "\N{BALLOT BOX WITH CHECK}"}

_TASK = re.compile(r"\[([ xX])\][ \t]+(?=\S)")
_BREAK = re.compile(r"<br\s{0,9}/?>", re.IGNORECASE)
_INTERRUPTS: "RuleOptionsType" = {"alt": ["paragraph", "reference", "blockquote", "list"]}

References = dict[str, Any]


def parse(text: str, references: References) -> list[HTMLElement]:
    """Parse sanitized Markdown into a list of top-level nodes.

    Args:
        text: Markdown without hidden characters, as `sanitize.sanitize` returns it.
        references: a dict of link definitions. Link definitions in `text` are added to this dict.
    """
    return build(_markdown_it().parse(text, {"references": references}))


def parse_list(text: str, references: References) -> tuple[list[HTMLElement], list[int], bool]:
    """Parse Markdown that begins with a list.

    Args:
        text: Markdown without hidden characters.
        references: a dict of link definitions. Link definitions in `text` are added to this dict.

    Returns:
        The top-level nodes, the line number of each item of the first list, and whether the first
        list is loose. In CommonMark, blank lines separate the items of a loose list.
    """
    tokens = _markdown_it().parse(text, {"references": references})
    starts: list[int] = []
    loose = False
    for token in tokens:
        if token.type in ("bullet_list_close", "ordered_list_close") and token.level == 0:
            break
        if token.type == "list_item_open" and token.level == 1 and token.map:
            starts.append(token.map[0])
        loose = loose or (token.type == "paragraph_open" and token.level == 2 and not token.hidden)
    return build(tokens), starts, loose


def settled_length(lines: str) -> int:
    """Return the number of characters at the start that no later line can change.

    In general, these are the characters before the last Markdown block. There is one exception: a
    link definition may use the line directly below as its title. Therefore a block with a possible
    link definition can change until an empty line follows the block.

    Args:
        lines: Markdown that consists of complete lines.
    """
    md = _markdown_it()
    tokens: list[Token] = []
    md.block.parse(lines, md, {}, tokens)
    blocks = [token for token in tokens if token.level == 0 and token.map]
    rows = lines.split("\n")
    for before, block in zip(blocks[-2::-1], blocks[:0:-1], strict=True):
        assert before.map
        assert block.map
        first = block.map[0]
        if not rows[first - 1].strip(" \t") or (
            before.type in ("fence", "heading_open", "hr")
            or not any("]:" in row for row in rows[before.map[0] : first])
        ):
            return sum(map(len, rows[:first])) + first
    return 0


class _SafeMarkdownIt(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - markdown-it's own name
        return safe_href(url) is not None

    def normalizeLink(self, url: str) -> str:  # noqa: N802 - markdown-it's own name
        return normalize_url(url)


@cache
def _markdown_it() -> MarkdownIt:
    # markdown-it deletes content that is nested deeper than its own limit. The `too_deep` rule has
    # a slightly lower limit and keeps such content as text.
    options = {"html": False, "maxNesting": MAX_DEPTH + 4, "inline_definitions": True}
    md = _SafeMarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    md.disable(["html_block", "html_inline"])
    md.block.ruler.before("table", "too_deep", _too_deep)
    md.block.ruler.before("fence", "formula_block", formula_block, _INTERRUPTS)
    md.inline.ruler.before("escape", "formula", inline_formula)
    md.inline.ruler.before("autolink", "break", _line_break)
    md.core.ruler.before("inline", "tasks", _mark_tasks_and_long_paragraphs)
    return md


def _too_deep(state: "StateBlock", start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's own signature
    """Turn blocks that are nested deeper than `MAX_DEPTH` into one piece of plain text.

    markdown-it calls this parser rule. The result says whether the rule has consumed lines.
    """
    if silent or state.level < MAX_DEPTH:
        return False
    line = start
    while line < end and (state.isEmpty(line) or state.sCount[line] >= state.blkIndent):
        line += 1
    state.line = max(line, start + 1)
    token = state.push("plain", "", 0)
    token.content = state.getLines(start, state.line, state.blkIndent, keepLastLF=False).strip()
    return True


def _line_break(state: "StateInline", silent: bool) -> bool:  # noqa: FBT001 - markdown-it's own signature
    """Parse a literal `<br>` as a line break.

    markdown-it calls this parser rule. The result says whether there is a `<br>` at the current
    position. A table cell has no other syntax for a line break.
    """
    found = _BREAK.match(state.src, state.pos, state.posMax)
    if found and not silent:
        state.push("hardbreak", "br", 0)
    state.pos = found.end() if found else state.pos
    return found is not None


def _mark_tasks_and_long_paragraphs(state: "StateCore") -> None:
    """Turn `[x]` or `[ ]` at the start of a list item into a check box.

    markdown-it calls this parser rule. The rule also turns paragraphs longer than `MAX_PARAGRAPH`
    into plain text, because hostile text could make the parser very slow.
    """
    tokens = state.tokens
    for index, token in enumerate(tokens):
        if token.type != "inline":
            continue
        task = _TASK.match(token.content)
        if task and index > 1 and tokens[index - 2].type == "list_item_open":
            tokens[index - 2].meta["task"] = CHECKBOXES[task[1].lower()] + " "
            token.content = token.content[task.end() :]
        if len(token.content) > MAX_PARAGRAPH:
            token.type = "plain_inline"
