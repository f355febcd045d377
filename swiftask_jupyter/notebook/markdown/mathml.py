"""A formula as MathML, which browsers draw by themselves.

A cell leaves its formulas to the front end; a panel may stand where there is none. The formula
has been found harmless (`formulas`), and what is made of it is checked here tag by tag all the
same: whatever is not known shows the source. This module imports latex2mathml on first use.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape
from typing import TYPE_CHECKING

from swiftask_jupyter.notebook.markdown.tree import Node
from swiftask_jupyter.support.sanitize import visible

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

TAGS = frozenset(
    "math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover"  # noqa: SIM905 - a list of words reads best as words
    " mtable mtr mtd mstyle mpadded mphantom".split()
)
# What each may carry, and of what kind.
_ATTRIBUTES = {
    "display": re.compile("block|inline"),
    "displaystyle": re.compile("true|false"),
    "mathvariant": re.compile("normal"),
    "stretchy": re.compile("true|false"),
    "fence": re.compile("true|false"),
    "form": re.compile("prefix|postfix|infix"),
    "linethickness": re.compile("0|0px"),
    "width": re.compile(r"\d(?:\.\d+)?em"),
    "columnalign": re.compile("(?:left|right|center)(?: (?:left|right|center)){0,20}"),
}
# These align at each &, which the converter knows under one name only.
_ALIGNED = re.compile(r"\\(begin|end)\{(?:align|aligned|alignat|split|gathered|gather)\*?\}")


@lru_cache(512)
def mathml(source: str) -> Node | None:
    """Return the formula between its dollar signs or brackets; `None` if it must stay source."""
    from latex2mathml.converter import convert_to_element

    short = source[0] == "$" and source[1:2] != "$"
    inside = source[1:-1] if short else source[2:-2]
    block = source.startswith(("$$", "\\["))
    try:
        made = convert_to_element(_aligned(inside), display="block" if block else "inline")
        return _checked(made)
    except BaseException as error:  # three thousand braces end the recursion
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def _aligned(formula: str) -> str:
    def array(found: re.Match[str]) -> str:
        return "\\begin{array}{rlrlrl}" if found[1] == "begin" else "\\end{array}"

    return _ALIGNED.sub(array, formula)


def _checked(element: Element) -> Node:
    tag = element.tag.rpartition("}")[2]
    text = visible(unescape(element.text or ""))
    if tag not in TAGS or "\\" in text or (tag in ("mi", "mo") and text == "&"):
        raise ValueError(tag)
    attrs: dict[str, str | int] = {
        name: value
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and _ATTRIBUTES[name].fullmatch(value)
    }
    children: tuple[Node | str, ...] = tuple(_checked(child) for child in element)
    return Node(tag, attrs, (text, *children) if text.strip() else children)
