"""Parse Markdown into our tree: markdown-it-py tokenizes, `builder` builds the nodes.

Raw HTML is disabled and stays text. A link whose URL is not plain http, https or mailto stays text
too, so the reader sees everything the agent wrote and none of it can act. This module imports
markdown_it, so import it on first use.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt

from swiftask_jupyter.notebook.markdown.builder import build, normalize_url
from swiftask_jupyter.notebook.markdown.formulas import formula_block, inline_formula
from swiftask_jupyter.notebook.markdown.tree import Node, safe_href

if TYPE_CHECKING:
    from markdown_it.ruler import RuleOptionsType
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

MAX_DEPTH = 20  # nested blocks
MAX_PARAGRAPH = 32 * 1024  # characters
CHECKBOXES = {" ": "\N{BALLOT BOX}", "x": "\N{BALLOT BOX WITH CHECK}"}

_TASK = re.compile(r"\[([ xX])\][ \t]+(?=\S)")
_BREAK = re.compile(r"<br\s{0,9}/?>", re.IGNORECASE)
_INTERRUPTS: "RuleOptionsType" = {"alt": ["paragraph", "reference", "blockquote", "list"]}

References = dict[str, Any]


def parse(text: str, references: References) -> list[Node]:
    """Parse a cleaned text into blocks.

    Args:
        text: Markdown without hidden characters (see `sanitize.sanitize`).
        references: the link definitions known so far; definitions in the text are added to it.
    """
    return build(_markdown_it().parse(text, {"references": references}))


def parse_list(text: str, references: References) -> tuple[list[Node], list[int], bool]:
    """Parse a text that begins with a list.

    Returns the blocks, the line number on which each item of the list begins, and whether the list
    is loose (CommonMark's term for a list whose items are separated by blank lines).
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
    """Return how many leading characters of these complete lines no later line can change.

    That is everything before the last block. One exception: a link definition takes the line right
    below it as its title, even at the end of a list or a quote, so a block that may end in a
    definition is not settled by a block directly below it.
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
    # markdown-it drops what is nested deeper than its own limit. Our `too_deep` rule has a slightly
    # lower limit and keeps that content as text.
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
    """Keep blocks beyond the nesting limit as one plain text."""
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
    """Accept a literal <br>: it is the only way to break a line inside a table cell."""
    found = _BREAK.match(state.src, state.pos, state.posMax)
    if found and not silent:
        state.push("hardbreak", "br", 0)
    state.pos = found.end() if found else state.pos
    return found is not None


def _mark_tasks_and_long_paragraphs(state: "StateCore") -> None:
    """Turn `[x]` at the start of list items into check boxes; keep huge paragraphs as plain text.

    On hostile input the inline rules take more than linear time, and no real paragraph has 32 KB.
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
