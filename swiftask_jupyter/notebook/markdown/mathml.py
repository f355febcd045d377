"""Converts a formula to MathML, which browsers draw without MathJax.

In a cell's output, MathJax draws the formulas. A chat panel may be on a page without MathJax. Only
formulas that `formulas.is_harmless` accepts are converted. The package latex2mathml converts the
formula and is imported on first use. If the converted formula contains a tag that is not allowed,
the source of the formula is displayed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape
from typing import TYPE_CHECKING

from swiftask_jupyter.notebook.markdown.html import HTMLElement
from swiftask_jupyter.support.sanitize import sanitize

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

TAGS = frozenset(
    "math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover"  # noqa: SIM905 - a list of words reads best as words
    " mtable mtr mtd mstyle mpadded mphantom".split()
)
# The allowed attributes of MathML elements, each with a pattern for the allowed values.
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
# Environments whose columns align at each &; the converter aligns columns in `array` only.
_ALIGNED_ENVIRONMENT = re.compile(
    r"\\(begin|end)\{(?:align|aligned|alignat|split|gathered|gather)\*?\}"
)


@lru_cache(512)
def to_mathml(source: str) -> HTMLElement | None:
    """Convert a formula to a MathML tree.

    The result is `None` if the formula can't be converted, or if the MathML contains a tag that is
    not allowed. The caller then displays the source of the formula.

    Args:
        source: the formula with its delimiters, such as `$x$`.
    """
    from latex2mathml.converter import convert_to_element

    short = source[0] == "$" and source[1:2] != "$"
    inside = source[1:-1] if short else source[2:-2]
    block = source.startswith(("$$", "\\["))
    try:
        element = convert_to_element(_use_arrays(inside), display="block" if block else "inline")
        return _to_node(element)
    except BaseException as error:  # thousands of braces raise RecursionError
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def _use_arrays(formula: str) -> str:
    """Replace environments such as `align` in a formula by the environment `array`.

    latex2mathml aligns columns only in `array`.
    """

    def array(found: re.Match[str]) -> str:
        return "\\begin{array}{rlrlrl}" if found[1] == "begin" else "\\end{array}"

    return _ALIGNED_ENVIRONMENT.sub(array, formula)


def _to_node(element: Element) -> HTMLElement:
    """Convert an XML element from latex2mathml, with its children, to a node.

    Attributes that are not allowed are left out.

    Raises:
        ValueError: a tag is not allowed, or the text contains LaTeX that was not converted.
    """
    tag = element.tag.rpartition("}")[2]
    text = sanitize(unescape(element.text or ""))
    if tag not in TAGS or "\\" in text or (tag in ("mi", "mo") and text == "&"):
        raise ValueError(tag)
    attrs: dict[str, str | int] = {
        name: value
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and _ATTRIBUTES[name].fullmatch(value)
    }
    children: tuple[HTMLElement | str, ...] = tuple(_to_node(child) for child in element)
    return HTMLElement(tag, attrs, (text, *children) if text.strip() else children)
