"""What a panel's views are told of an answer that grows: put together, it is the answer."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter.notebook.panel.patches import GrowingTree
from swiftask_jupyter.sandbox.lorem import LOREM

PUNCTUATION = "*_`[]()#>\n-|$~1. "


class View:
    """What a view holds, kept up as `tree.js` does it."""

    def __init__(self):
        self.root = {"tag": "", "attrs": {}, "kids": []}

    def apply(self, operations):
        """Do what was told."""
        for kind, path, *more in json.loads(json.dumps(operations)):
            node = parent = self.root
            for at in path:
                parent, node = node, node["kids"][at]
            if kind == "+":
                node["text"] += more[0]
            elif kind == "~":
                units = node["text"].encode("utf-16-le")
                kept = units[: len(units) - 2 * more[0]].decode("utf-16-le")
                node["text"] = kept + more[1]
            elif kind == "i":
                node["kids"] += map(made, more[0])
            elif kind == "d":
                del node["kids"][more[0] :]
            elif kind == "r":
                parent["kids"][path[-1]] = made(more[0])
            elif kind == "h":
                node["attrs"]["runs"] = more[0]


def made(node):
    """A node as it travelled, made into one of the view's."""
    if isinstance(node, str):
        return {"text": node}
    tag, *rest = node
    attrs = rest.pop(0) if rest and isinstance(rest[0], dict) else {}
    return {"tag": tag, "attrs": attrs, "kids": [made(kid) for kid in rest]}


def shown(growth):
    return [made(node) for node in growth.encoded()]


def streamed(pieces):
    """The view and the growth after an answer came in these pieces."""
    view, growth = View(), GrowingTree()
    for piece in pieces:
        growth.feed(piece)
        view.apply(growth.changes())
        assert view.root["kids"] == shown(growth)
    view.apply(growth.finish())
    return view, growth


def cut(text, rng, longest=60):
    while text:
        size = rng.randint(1, longest)
        yield text[:size]
        text = text[size:]


@pytest.mark.parametrize("seed", range(12))
def test_a_view_that_applied_every_change_holds_the_whole_answer(seed):
    rng = random.Random(seed)
    text = list(LOREM)
    for _ in range(20 * (seed % 3)):
        text.insert(rng.randrange(len(text)), rng.choice(PUNCTUATION))
    text = "".join(text)

    view, growth = streamed(cut(text, rng))

    assert view.root["kids"] == shown(growth) == shown(GrowingTree.of(text))


@given(st.lists(st.text(alphabet=PUNCTUATION + "ab\U0001f331", max_size=12), max_size=25))
def test_so_does_any_text_however_it_is_cut(pieces):
    view, growth = streamed(pieces)

    assert view.root["kids"] == shown(growth) == shown(GrowingTree.of("".join(pieces)))


@pytest.mark.parametrize(
    ("before", "after", "told"),
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
def test_what_is_told_is_what_is_new(before, after, told):
    growth = GrowingTree()
    growth.feed(before)
    growth.changes()

    growth.feed(after[len(before) :])

    assert growth.changes() == told


def test_code_is_coloured_once_it_is_complete():
    growth = GrowingTree()
    growth.feed("```python\nif x:\n    pass\n")
    assert [change[0] for change in growth.changes()] == ["i"]

    growth.feed("```\n\nnext\n")

    assert ["h", (0, 0), [0, 2, "k", 8, 4, "k"]] in growth.changes()


def test_a_link_that_is_defined_below_is_made_in_its_place():
    view, growth = streamed(["see [it]\n\nmore\n\n", "[it]: https://example.com\n"])

    [first, second] = view.root["kids"]
    assert first["kids"][1]["attrs"] == {"href": "https://example.com"}
    assert second["kids"] == [{"text": "more"}]
    assert view.root["kids"] == shown(growth)


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
def test_a_formula_is_mathml_of_known_tags_or_its_source(formula, tags):
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
