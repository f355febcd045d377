"""formulas: which formulas are recognized, and which of them may reach MathJax."""

import pytest

from swiftask_jupyter.notebook.markdown.document import to_html
from tests.support.markdown import body_html


def math(formula):
    """Return the HTML of a formula that MathJax typesets."""
    return f'<span class="tex2jax_process mathjax_process">{formula}</span>'


@pytest.mark.parametrize(
    "formula",
    ["$a_1_b$", "$$a$$", "\\(a_1_ \\\\ b_2_\\)", "\\[\\frac{a}{b}\\]", "$\\{x\\}$", "$\\$5$"],
)
def test_a_formula_reaches_mathjax_unchanged(formula):
    assert body_html(f"x {formula} y") == f"<p>x {math(formula)} y</p>\n"


def test_the_lines_of_a_formula_are_not_parsed_as_lists_or_headings():
    for formula in ("$$\n- a\n# b\n$$", "\\[\na\n===\n\\]"):
        assert body_html(f"x\n{formula}\ny") == f"<p>x</p>\n<p>{math(formula)}</p>\n<p>y</p>\n"


@pytest.mark.parametrize(
    "text",
    ["$5 and $6", "$ 5$", "$5 $", "a$b", "US$5, `$x`", "$$", "\\begin{equation}x\\end{equation}"],
)
def test_a_price_is_not_a_formula(text):
    assert "mathjax_process" not in to_html(text)


def test_a_formula_with_a_command_that_does_more_than_draw_is_shown_as_source():
    assert body_html("$\\href{x}{y}$") == "<p><code>$\\href{x}{y}$</code></p>\n"
