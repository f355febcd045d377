"""html: the tree rendered as HTML that is safe in a trusted cell."""

import pytest

from swiftask_jupyter.notebook.markdown.document import to_html
from swiftask_jupyter.notebook.markdown.html import HTMLElement, render
from tests.support.markdown import LINK_ATTRIBUTES, PARAGRAPH, body_html


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
        ("שלום", "<p dir=auto>שלום</p>\n"),
        ("- שלום\n\n- b", "<ul><li dir=auto><p>שלום</p></li><li><p>b</p></li></ul>\n"),
        ("a\x1bb", "<p>a␛b</p>\n"),
    ],
)
def test_markdown_is_rendered_as_html(text, html):
    assert body_html(text) == html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("[a](https://b.example)", '<p><a href="https://b.example"{}>a</a></p>\n'),
        ("[a][b]\n\n[b]: https://b.example", '<p><a href="https://b.example"{}>a</a></p>\n'),
        ("![a](https://b.example)", '<p><a href="https://b.example"{}>🖼 a</a></p>\n'),
        (
            "[![a](https://b.example)](https://c.example)",
            '<p><a href="https://c.example"{}>🖼 a</a></p>\n',
        ),
        ("[a](/b) ![c](d)", "<p>[a](/b) ![c](d)</p>\n"),
        (
            "(https://b.example/c_d_e). https://",
            '<p>(<a href="https://b.example/c_d_e"{}>https://b.example/c_d_e</a>). https://</p>\n',
        ),
    ],
)
def test_links_images_and_bare_urls_are_rendered_as_links(text, html):
    assert body_html(text) == html.format(LINK_ATTRIBUTES)


def test_code_is_highlighted():
    code = (
        'def first(number: int) -> str:\n    return "text" + more_text_here  # a comment, not in\n'
    )
    html = to_html(f"```python\n{code}```")

    assert "<b>def</b> <dfn>first</dfn>(number: <samp>int</samp>)" in html
    assert '<tt>"text"</tt>' in html
    assert "<i># a comment, not in</i>" in html
    assert html.count("<style>") == 1


def test_an_answer_without_code_has_no_style_sheet():
    assert "<style>" not in to_html(PARAGRAPH)


@pytest.mark.parametrize("code", ["a=1;" * 500, "[1,2,3,4]\n" * 50, "if x in y or z: pass\n" * 50])
def test_highlighting_is_reduced_before_code_doubles_in_size(code):
    around = len("<pre><code></code></pre>\n")

    assert len(body_html(f"```python\n{code}\n```")) - around <= 1.6 * (len(code) + 1) + 300


def test_the_language_of_code_is_not_in_the_html():
    assert "lang" not in to_html("```C++ x\na\n```")


def test_a_tag_that_is_not_in_the_list_is_never_rendered():
    with pytest.raises(ValueError, match="no such tag"):
        render([HTMLElement("script", {}, ("alert(1)",))])


def test_a_url_is_checked_again_when_it_is_rendered():
    assert render([HTMLElement("a", {"href": "javascript:1"}, ("x",))]) == "<a>x</a>\n"
