"""An answer's Markdown as a tree, as HTML, and while it grows."""

import json
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter.notebook.markdown import document as markdown
from swiftask_jupyter.notebook.markdown.document import Document, to_html, to_tree
from swiftask_jupyter.notebook.markdown.html import STYLE
from swiftask_jupyter.notebook.markdown.tree import Node, text_content

PARAGRAPH = "The **quick** brown fox, `code` and [a link](https://example.com) jump over it.\n\n"
ATTRS = ' target=_blank rel="noopener noreferrer nofollow"'


def inside(text):
    """The HTML of an answer without its root element and style."""
    html = to_html(text).replace(STYLE, "")
    start = '<div class="swiftask tex2jax_ignore mathjax_ignore">\n'
    assert html.startswith(start)
    assert html.endswith("</div>")
    return html[len(start) : -len("</div>")]


def tree(doc):
    """All of a document so far."""
    return [node for block in doc.blocks() for node in block] + doc.open_nodes()


def math(formula):
    return f'<span class="tex2jax_process mathjax_process">{formula}</span>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""),
        (
            "a *b* **c** ~~d~~ `e`",
            "<p>a <em>b</em> <strong>c</strong> <s>d</s> <code>e</code></p>\n",
        ),
        ("# a\n\nb\n===\n", "<h1>a</h1>\n<h1>b</h1>\n"),
        ("a  \nb\nc<br/>d", "<p>a<br>b\nc<br>d</p>\n"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>\n"),
        ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>\n"),
        ("3. a\n   - b", "<ol start=3><li>a<ul><li>b</li></ul></li></ol>\n"),
        (
            "- [ ] a\n- [x] *b*",
            "<ul><li class=task>☐ a</li><li class=task>☑ <em>b</em></li></ul>\n",
        ),
        ("> a\nb", "<blockquote><p>a\nb</p></blockquote>\n"),
        ("a\n\n***\n", "<p>a</p>\n<hr>\n"),
        ("<b>&lt;\"'&amp;", "<p>&lt;b&gt;&lt;\"'&amp;</p>\n"),
        ("    a < b\n", "<pre><code>a &lt; b\n</code></pre>\n"),
        ("```\n\na\n```", "<pre><code>\na\n</code></pre>\n"),
        ("```nosuch\nif\n```", "<pre><code>if\n</code></pre>\n"),
        (
            "|a|b|\n|:-|-:|\n|1|2|",
            (
                "<table><thead><tr><th class=l>a</th><th class=r>b</th></tr></thead>"
                "<tbody><tr><td class=l>1</td><td class=r>2</td></tr></tbody></table>\n"
            ),
        ),
        ("[a](https://b.example)", f'<p><a href="https://b.example"{ATTRS}>a</a></p>\n'),
        ("[a][b]\n\n[b]: https://b.example", f'<p><a href="https://b.example"{ATTRS}>a</a></p>\n'),
        ("![a](https://b.example)", f'<p><a href="https://b.example"{ATTRS}>🖼 a</a></p>\n'),
        (
            "[![a](https://b.example)](https://c.example)",
            f'<p><a href="https://c.example"{ATTRS}>🖼 a</a></p>\n',
        ),
        ("[a](/b) ![c](d)", "<p>[a](/b) ![c](d)</p>\n"),
        (
            "(https://b.example/c_d_e). https://",
            (
                f'<p>(<a href="https://b.example/c_d_e"{ATTRS}>https://b.example/c_d_e</a>). '
                "https://</p>\n"
            ),
        ),
        ("שלום", "<p dir=auto>שלום</p>\n"),
        ("- שלום\n\n- b", "<ul><li dir=auto><p>שלום</p></li><li><p>b</p></li></ul>\n"),
        ("a\x1bb", "<p>a␛b</p>\n"),
    ],
)
def test_markdown_is_written_as_html(text, html):
    assert inside(text) == html


@pytest.mark.parametrize(
    "formula",
    ["$a_1_b$", "$$a$$", "\\(a_1_ \\\\ b_2_\\)", "\\[\\frac{a}{b}\\]", "$\\{x\\}$", "$\\$5$"],
)
def test_a_formula_reaches_mathjax_as_it_was_written(formula):
    assert inside(f"x {formula} y") == f"<p>x {math(formula)} y</p>\n"


def test_the_lines_of_a_formula_are_not_read_as_lists_or_headings():
    for formula in ("$$\n- a\n# b\n$$", "\\[\na\n===\n\\]"):
        assert inside(f"x\n{formula}\ny") == f"<p>x</p>\n<p>{math(formula)}</p>\n<p>y</p>\n"


@pytest.mark.parametrize(
    "text",
    ["$5 and $6", "$ 5$", "$5 $", "a$b", "US$5, `$x`", "$$", "\\begin{equation}x\\end{equation}"],
)
def test_a_price_is_no_formula(text):
    assert "mathjax_process" not in to_html(text)


def test_a_formula_that_could_do_more_than_draw_is_shown_as_its_source():
    assert inside("$\\href{x}{y}$") == "<p><code>$\\href{x}{y}$</code></p>\n"


def test_code_is_coloured():
    code = (
        'def first(number: int) -> str:\n    return "text" + more_text_here  # a comment, not in\n'
    )
    html = to_html(f"```python\n{code}```")

    assert "<b>def</b> <dfn>first</dfn>(number: <samp>int</samp>)" in html
    assert '<tt>"text"</tt>' in html
    assert "<i># a comment, not in</i>" in html
    assert html.count("<style>") == 1


def test_an_answer_without_code_brings_no_style():
    assert "<style>" not in to_html(PARAGRAPH)


@pytest.mark.parametrize("code", ["a=1;" * 500, "[1,2,3,4]\n" * 50, "if x in y or z: pass\n" * 50])
def test_colours_are_left_out_before_code_doubles_in_size(code):
    around = len("<pre><code></code></pre>\n")

    assert len(inside(f"```python\n{code}\n```")) - around <= 1.6 * (len(code) + 1) + 300


def test_long_code_is_not_coloured():
    assert "<b>" not in to_html("```python\n" + "import x\n" * 10_000 + "```")


def test_a_lexer_that_stumbles_leaves_the_code_without_colours(monkeypatch):
    from swiftask_jupyter.notebook.markdown import highlight

    def stumble(*_):
        raise RecursionError

    monkeypatch.setattr(highlight, "_tokenize", stumble)

    assert highlight.highlight("import x", "python") == [("", "import x")]


def test_a_tree_can_be_sent_as_json():
    assert json.loads(json.dumps(to_tree("# *a*"))) == [["h1", {}, [["em", {}, ["a"]]]]]


def test_the_language_of_code_is_in_the_tree_and_not_in_the_html():
    assert to_tree("```C++ x\na\n```") == [
        Node("pre", {}, (Node("code", {"lang": "c++"}, ("a\n",)),))
    ]
    assert "lang" not in to_html("```C++ x\na\n```")


def test_importing_the_module_loads_neither_parser_nor_lexers():
    program = (
        "import sys, swiftask_jupyter.notebook.markdown.document\n"
        "print([name for name in ('markdown_it', 'pygments') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    assert done.stdout.strip() == "[]"


PIECES = st.sampled_from(
    [
        *("a", "foo bar", "\n", "\n", "\n\n", "- ", "1. ", "2) ", "> ", "# ", "```", "```py\n"),
        *(
            "~~~",
            "    ",
            "  ",
            "\t",
            "|a|b|\n|-|-|\n",
            "|",
            "|x|\n",
            "---",
            "===",
            "[a]",
            "[a]: /u",
        ),
        *(
            "[a]: http://x.y\n",
            "'title\n",
            '"t"',
            "]:",
            "*",
            "**",
            "_",
            "`",
            "$",
            "$$",
            "$$\n",
            "\\[",
        ),
        *("\\]\n", "\\(", "\\)", "<b>", "<div>\n", "&amp;", "&#x202e;", "\r\n", "\r", "[x] ", "\\"),
        *("![i](http://e.x)", "[l](http://e.x/a_b)", "+ ", "<!--", "http://a.b/c ", "~~", "***\n"),
        *("\x1b", "\u200d", "👩", "\ufe0f", "\ud83d", "\ude00", "é", "]", "(", ")", "<br>", "1"),
    ]
)


@given(st.lists(PIECES, max_size=60).map("".join), st.randoms(use_true_random=False))
def test_however_it_is_cut_an_answer_ends_as_if_read_in_one_go(text, chance):
    doc = Document()
    start = 0
    while start < len(text):
        end = start + chance.choice((1, 2, 4, 9, 40))
        doc.feed(text[start:end])
        start = end
        chance.choice((lambda: doc.settled, doc.html, lambda: doc.tail_html(10), lambda: None))()
    doc.finish()

    assert tree(doc) == to_tree(text)
    assert doc.html() == to_html(text)
    assert doc.tail == ""


@pytest.mark.parametrize(
    "text",
    [
        "[a]: http://x.y\n'title\nmore'\n\n[a]\n",
        "b\n\n[a]: http://x.y\n'title\n# b\n\n[a]\n",
        "> [a]: http://x.y\n'title\nmore'\n\n[a]\n",
        "- [a]: http://x.y\n'title\nmore'\n\n[a]\n",
        "[a]:\nhttp://x.y\n'title\nmore'\n[a]\n",
        "a\n|b|c|\n|-|-|\n|d|\n\ne\n---\nf\n===\n",
        "-\n\n  a\n\n1. b\n\n\n2. c\n- d\n***\n- e\n",
        "```\na\n````  \n~~~ b\n```\n~~~\nc\n",
        "$$\n# a\n\nb\n$$\n- c\n$$\nd\n$$\n",
    ],
)
def test_no_line_is_settled_too_early(text):
    for size in (1, 2, 3):
        doc = Document()
        for start in range(0, len(text), size):
            doc.feed(text[start : start + size])
            assert doc.settled + len(doc.tail) == min(start + size, len(text))
        doc.finish()

        assert tree(doc) == to_tree(text)


def test_a_block_is_settled_once_a_later_one_has_begun_on_a_complete_line():
    doc = Document()

    doc.feed("one\n\ntwo")
    assert (doc.settled, doc.tail) == (0, "one\n\ntwo")
    doc.feed("\n")
    assert (doc.settled, doc.tail) == (5, "two\n")
    assert "<p>one</p>" in doc.settled_html()
    assert "<p>two</p>" in doc.tail_html(2000)
    assert "<p>one</p>\n<p>two</p>" in doc.html()


def test_a_line_that_may_become_a_table_settles_nothing_before_it_is_complete():
    doc = Document()

    doc.feed("one\n|a|b|\n|-|-|")
    assert doc.settled == 0
    doc.feed("x|\n")
    doc.finish()

    assert tree(doc) == to_tree("one\n|a|b|\n|-|-|x|\n")


def test_a_link_is_found_though_its_definition_comes_last():
    doc = Document()

    doc.feed("[a]\n\nb\n\nc\n\n")
    assert "href" not in doc.html()
    doc.feed("[a]: https://a.example")
    doc.finish()

    assert doc.html().count("href") == 1


def test_an_open_code_block_is_not_read_again():
    doc = Document()
    doc.feed("```python\n")

    for number in range(2000):
        doc.feed("x = 1\n")
        assert doc.tail_html(60).count("x = 1") == min(number + 1, 10)
    assert doc.parsed < 1000
    doc.feed("```\n\nend\n")

    assert doc.settled == 10 + 12_000 + 5
    assert doc.parsed < 5 * 12_000


@pytest.mark.parametrize(
    ("block", "most"),
    [
        (PARAGRAPH, 14),
        ("- an item of a list\n", 25),
        ("|a|b|\n|-|-|\n" + "|c|d|\n" * 20 + "\n", 14),
    ],
)
def test_reading_an_answer_while_it_grows_costs_a_constant_times_its_length(block, most):
    for length in (20_000, 80_000):
        text = (block * length)[:length]
        doc = Document()
        for start in range(0, length, 4):
            doc.feed(text[start : start + 4])
            if start % 100 == 0:
                doc.tail_html(512)
        doc.finish()

        assert doc.parsed < most * length


def test_a_long_open_block_is_plain_text_until_it_ends():
    doc = Document()
    doc.feed("> *a*\n>\n" * 10_000)
    assert "<em>" not in doc.html()
    doc.finish()

    assert doc.html().count("<em>") == 10_000


GROWING = {
    "tight": "- *a* item, with words in it\n",
    "loose": "- *a* item, with words in it\n\n",
    "numbered": "1) *a* item, with words in it\n",
    "nested": "- *a* item\n  - in *it* another\n    - and one more\n\n  a paragraph of it\n",
    "with code": "* item\n\n  ```python\n  x = 1\n\n  y = 2\n  ```\n",
    "table": "| *a* cell | `another` \\| one |\n",
}


@pytest.mark.parametrize("kind", GROWING)
def test_a_long_list_or_table_grows_without_being_read_again(kind):
    head = "| a | b |\n|---|:-:|\n" if kind == "table" else ""
    text = head + GROWING[kind] * (20_000 // len(GROWING[kind]))
    doc = Document()
    for start in range(0, len(text), 97):
        doc.feed(text[start : start + 97])
        seen = tree(doc)
        if start % (97 * 50) == 0:
            assert seen == to_tree(text[: start + 97])
    doc.finish()

    assert tree(doc) == to_tree(text)
    assert doc.parsed < 40 * len(text)


def test_a_list_that_turns_out_to_be_loose_is_loose_from_its_first_item_on():
    tight = "- an item with words\n" * 200
    doc = Document()
    for text in (tight, tight, "\n- the first loose one\n", tight):
        doc.feed(text)
        seen = tree(doc)

    assert seen == to_tree(tight * 2 + "\n- the first loose one\n" + tight)
    assert seen[0].children[0].children[0].tag == "p"


def test_what_is_over_the_limit_is_shown_and_not_read(monkeypatch):
    monkeypatch.setattr(markdown, "MAX_ANSWER", 10)
    doc = Document()
    for character in "0123\n\n789*a* <b>":
        doc.feed(character)
    doc.finish()

    assert doc.html() == to_html("0123\n\n789*a* <b>")
    assert "a* &lt;b&gt;" in doc.html()


def test_a_finished_answer_takes_no_more():
    doc = Document()
    doc.feed("a")
    doc.finish()
    doc.finish()

    with pytest.raises(ValueError, match="finished"):
        doc.feed("b")


def test_what_is_nested_too_deep_is_kept_as_text():
    for text in (
        "> " * 60 + "end",
        "- " * 60 + "end",
        "".join(" " * 2 * n + "- x\n" for n in range(60)),
    ):
        tree = to_tree(text + "\n\nlast")
        assert text_content(tree).rstrip().endswith("last")
        assert depth(tree) <= 45


def depth(nodes):
    return max((1 + depth(node.children) for node in nodes if isinstance(node, Node)), default=0)


@pytest.mark.parametrize(
    "flood", ["**a ", "[", "![", "*_", "`a", "<", "&amp;", "\\(", "~~a", "[a]("]
)
def test_a_flood_of_signs_is_kept_and_not_nested_without_end(flood):
    for length in (2_000, 100_000):
        text = (flood * length)[:length]
        tree = to_tree(text)
        assert depth(tree) <= 45
        if length > 32 * 1024:  # too long for a paragraph: plain
            assert text_content(tree) == text.rstrip()


def test_random_bytes_are_some_document():
    chance = random.Random(1)
    for _ in range(50):
        to_html(chance.randbytes(2000).decode("latin-1"))
