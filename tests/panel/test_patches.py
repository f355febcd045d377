"""GrowingTree: the changes that a view gets while an answer grows add up to the answer's tree."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter.notebook.panel.patches import GrowingTree
from swiftask_jupyter.sandbox.lorem import LOREM
from tests.support.frontends import TreeView, view_node

PUNCTUATION = "*_`[]()#>\n-|$~1. "


def sent_tree(tree):
    """Return what a view without any state would show."""
    return [view_node(node) for node in tree.encoded()]


def stream(pieces):
    """Feed an answer in pieces; return the view that got all changes, and the tree."""
    view, tree = TreeView(), GrowingTree()
    for piece in pieces:
        tree.feed(piece)
        view.apply(tree.changes())
        assert view.root["kids"] == sent_tree(tree)
    view.apply(tree.finish())
    return view, tree


def cut(text, rng, longest=60):
    """Yield a text in pieces of random length."""
    while text:
        size = rng.randint(1, longest)
        yield text[:size]
        text = text[size:]


@pytest.mark.parametrize("seed", range(12))
def test_a_view_that_applied_every_change_has_the_whole_answer(seed):
    rng = random.Random(seed)
    text = list(LOREM)
    for _ in range(20 * (seed % 3)):
        text.insert(rng.randrange(len(text)), rng.choice(PUNCTUATION))
    text = "".join(text)

    view, tree = stream(cut(text, rng))

    assert view.root["kids"] == sent_tree(tree) == sent_tree(GrowingTree.of(text))


@given(st.lists(st.text(alphabet=PUNCTUATION + "ab\U0001f331", max_size=12), max_size=25))
def test_a_view_has_the_whole_answer_however_the_text_was_cut(pieces):
    view, tree = stream(pieces)

    assert view.root["kids"] == sent_tree(tree) == sent_tree(GrowingTree.of("".join(pieces)))


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("a", "a b", [["+", (0, 0), " b"]]),
        ("a\n\nb", "a\n\nb c", [["+", (1, 0), " c"]]),
        ("a *b", "a *b*", [["~", (0, 0), 2, ""], ["i", (0,), [["em", "b"]]]]),
        ("a *\U0001f331", "a *\U0001f331*", [["~", (0, 0), 3, ""], ["i", (0,), [["em", "🌱"]]]]),
        ("- a", "- a\n- b", [["i", (0,), [["li", "b"]]]]),
        ("|a|\n|-|\n|b|", "|a|\n|-|\n|b|\n|c|", [["i", (0, 1), [["tr", ["td", "c"]]]]]),
        ("```py\nif 1:", "```py\nif 1:\n  x", [["+", (0, 0, 0), "\n  x"]]),
        ("```py\nx\n", "```py\nx\n``", []),
    ],
)
def test_only_what_is_new_is_sent(before, after, changes):
    tree = GrowingTree()
    tree.feed(before)
    tree.changes()

    tree.feed(after[len(before) :])

    assert tree.changes() == changes


def test_code_is_highlighted_once_it_is_complete():
    tree = GrowingTree()
    tree.feed("```python\nif x:\n    pass\n")
    assert [change[0] for change in tree.changes()] == ["i"]

    tree.feed("```\n\nnext\n")

    assert ["h", (0, 0), [0, 2, "k", 8, 4, "k"]] in tree.changes()


def test_a_link_that_is_defined_below_is_made_in_its_place():
    view, tree = stream(["see [it]\n\nmore\n\n", "[it]: https://example.com\n"])

    [first, second] = view.root["kids"]
    assert first["kids"][1]["attrs"] == {"href": "https://example.com"}
    assert second["kids"] == [{"text": "more"}]
    assert view.root["kids"] == sent_tree(tree)


@pytest.mark.parametrize(
    ("formula", "tags"),
    [
        (r"$\frac{1}{2}$", {"math", "mfrac", "mrow", "mn"}),
        (r"$$\begin{aligned}a&=b\\c&=d\end{aligned}$$", {"math", "mtable", "mtr", "mtd"}),
        (r"$\href{javascript:alert(1)}{x}$", {"code"}),
        (r"$\boxed{x}$", {"code"}),
        ("$" + "{" * 30 + "x" + "}" * 30 + "$", {"math", "mrow", "mi"}),
    ],
)
def test_a_formula_is_sent_as_mathml_of_known_tags_or_as_its_source(formula, tags):
    [[_, node]] = GrowingTree.of(formula).encoded()

    found = set()

    def walk(node):
        if isinstance(node, list):
            found.add(node[0])
            for kid in node[1:]:
                walk(kid)

    walk(node)
    assert tags <= found
    if tags == {"code"}:
        assert node == ["code", formula]
