"""Markdown read into our tree: markdown-it-py does the reading, what it found is built here.

Raw HTML is off, so it stays text. An address that isn't plainly http, https or mailto is not an
address, so a link to it stays text too: nothing the agent wrote is lost, and nothing of it acts.
This module imports markdown_it; import it on first use.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt

from swiftask_jupyter.notebook.markdown.builder import build, normalized
from swiftask_jupyter.notebook.markdown.formulas import formula_block, inline_formula
from swiftask_jupyter.notebook.markdown.tree import Node, safe_href

if TYPE_CHECKING:
    from markdown_it.ruler import RuleOptionsType
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

DEEPEST = 20  # blocks in blocks
LONGEST_PARAGRAPH = 32 * 1024
BOXES = {" ": "\N{BALLOT BOX}", "x": "\N{BALLOT BOX WITH CHECK}"}

_TASK = re.compile(r"\[([ xX])\][ \t]+(?=\S)")
_BREAK = re.compile(r"<br\s{0,9}/?>", re.IGNORECASE)
_INTERRUPTS: "RuleOptionsType" = {"alt": ["paragraph", "reference", "blockquote", "list"]}

References = dict[str, Any]


def read(text: str, references: References) -> list[Node]:
    """The blocks of a cleaned text; link definitions in it are added to the references."""
    return build(_reader().parse(text, {"references": references}))


def read_list(text: str, references: References) -> tuple[list[Node], list[int], bool]:
    """The blocks of a text that begins with a list, the lines of its items, and if it is loose."""
    tokens = _reader().parse(text, {"references": references})
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
    """How much of these complete lines no later line can change.

    That is all before the last block that has begun, but a link definition can still take the
    lines right below it for its title, at the end of a list or a quote too.
    """
    md = _reader()
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


class _Reader(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 markdown-it's name
        return safe_href(url) is not None

    def normalizeLink(self, url: str) -> str:  # noqa: N802 - markdown-it's own name
        return normalized(url)


@cache
def _reader() -> MarkdownIt:
    # Its own nesting limit drops what is deeper; our rule keeps it as text, a little before.
    options = {"html": False, "maxNesting": DEEPEST + 4, "inline_definitions": True}
    md = _Reader("commonmark", options).enable(["table", "strikethrough"])
    md.disable(["html_block", "html_inline"])
    md.block.ruler.before("table", "too_deep", _too_deep)
    md.block.ruler.before("fence", "formula_block", formula_block, _INTERRUPTS)
    md.inline.ruler.before("escape", "formula", inline_formula)
    md.inline.ruler.before("autolink", "break", _line_break)
    md.core.ruler.before("inline", "tasks", _tasks)
    return md


def _too_deep(state: "StateBlock", start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's own signature
    """Nested this deep, the rest is text."""
    if silent or state.level < DEEPEST:
        return False
    line = start
    while line < end and (state.isEmpty(line) or state.sCount[line] >= state.blkIndent):
        line += 1
    state.line = max(line, start + 1)
    token = state.push("plain", "", 0)
    token.content = state.getLines(start, state.line, state.blkIndent, keepLastLF=False).strip()
    return True


def _line_break(state: "StateInline", silent: bool) -> bool:  # noqa: FBT001 - markdown-it's own signature
    """A literal <br>, the only way to break a line in a table's cell: the one tag agents need."""
    found = _BREAK.match(state.src, state.pos, state.posMax)
    if found and not silent:
        state.push("hardbreak", "br", 0)
    state.pos = found.end() if found else state.pos
    return found is not None


def _tasks(state: "StateCore") -> None:
    """Take `[x]` off the first line of list items, and long paragraphs away from the inline rules.

    The inline rules cost more than their length on hostile input, and no one writes 32 KB in one
    paragraph.
    """
    tokens = state.tokens
    for index, token in enumerate(tokens):
        if token.type != "inline":
            continue
        task = _TASK.match(token.content)
        if task and index > 1 and tokens[index - 2].type == "list_item_open":
            tokens[index - 2].meta["task"] = BOXES[task[1].lower()] + " "
            token.content = token.content[task.end() :]
        if len(token.content) > LONGEST_PARAGRAPH:
            token.type = "plain_inline"
