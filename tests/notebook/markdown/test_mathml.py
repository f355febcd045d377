"""mathml: formulas converted to MathML of known tags."""

import pytest

from swiftask_jupyter.notebook.markdown.html import HTMLElement
from swiftask_jupyter.notebook.markdown.mathml import TAGS, to_mathml


def tags_of(node):
    """Return the tags of a node and of all nodes in it."""
    inside = (tags_of(child) for child in node.children if isinstance(child, HTMLElement))
    return {node.tag}.union(*inside)


@pytest.mark.parametrize(
    ("formula", "tags"),
    [
        (r"$\frac{1}{2}$", {"math", "mfrac", "mrow", "mn"}),
        (r"$$\begin{aligned}a&=b\\c&=d\end{aligned}$$", {"math", "mtable", "mtr", "mtd"}),
        ("$" + "{" * 30 + "x" + "}" * 30 + "$", {"math", "mrow", "mi"}),
    ],
)
def test_a_formula_becomes_mathml_of_known_tags(formula, tags):
    assert tags <= tags_of(to_mathml(formula)) <= TAGS


@pytest.mark.parametrize("formula", [r"$\boxed{x}$", "$" + "{" * 3000 + "x" + "}" * 3000 + "$"])
def test_a_formula_that_cannot_be_converted_has_no_mathml(formula):
    assert to_mathml(formula) is None


@pytest.mark.parametrize(("formula", "display"), [("$x$", "inline"), ("$$x$$", "block")])
def test_double_dollar_signs_make_a_block(formula, display):
    assert to_mathml(formula).attrs["display"] == display
