"""What an agent may answer, and what never leaves our writer whatever it answers."""


# ruff: noqa: SIM905, RUF005 lists of cases are easiest to read as words

import html.parser
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter.notebook.markdown.document import Document, to_html, to_tree
from swiftask_jupyter.notebook.markdown.formulas import is_harmless
from swiftask_jupyter.notebook.markdown.html import STYLE
from swiftask_jupyter.notebook.markdown.tree import TAGS, Node, safe_href, text_content
from swiftask_jupyter.support.sanitize import sanitize

ROOT = "swiftask tex2jax_ignore mathjax_ignore"
MATH = "tex2jax_process mathjax_process"
VOID = {"br", "hr"}
CODE_TAGS = {"b", "i", "tt", "var", "dfn", "samp"}
LINK = {"target": "_blank", "rel": "noopener noreferrer nofollow"}
FOREIGN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def read_payload(text: str) -> str:
    text = text.strip("\n")
    if text.startswith("!esc "):
        text = text[5:].encode("ascii").decode("unicode_escape")
    return text


PAYLOADS = [
    read_payload(text)
    for text in (Path(__file__).parents[1] / "support" / "hostile_payloads.txt")
    .read_text(encoding="utf-8")
    .partition("\n")[2]
    .split("%%%%\n")
]


class Audit(html.parser.HTMLParser):
    """Reads HTML as a browser's tokenizer would, and refuses all that is not known."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.links, self.math, self.styles = [], [], [], [], 0
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "style":
            assert (attrs, self.open, self.styles) == ([], ["div"], 0)
            self.styles += 1
        elif tag == "div":
            assert (attrs, self.open) == ([("class", ROOT)], [])
        else:
            assert self.open[0] == "div"
            assert tag in TAGS or (tag in CODE_TAGS and self.open[-1] == "code" and not attrs)
            self.check(tag, dict(attrs))
            assert len(attrs) == len(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def check(self, tag, attrs):
        if tag == "a":
            href = attrs.pop("href")
            assert re.match(r"(https?://[a-z0-9_.\[-]|mailto:.)", href, re.IGNORECASE)
            assert href == safe_href(href)
            assert "a" not in self.open
            assert attrs == LINK
            self.links.append(href)
            return
        assert attrs.pop("dir", "auto") == "auto"
        if tag == "span":
            assert attrs == {"class": MATH}
        elif tag == "ol":
            assert attrs.keys() <= {"start"}
            assert re.fullmatch(r"\d{1,10}", attrs.get("start", "1"))
        elif tag in ("td", "th"):
            assert attrs.get("class", "l") in "lmr"
            assert attrs.keys() <= {"class"}
        elif tag == "li":
            assert attrs in ({}, {"class": "task"})
        else:
            assert attrs == {}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            assert f"<style>{data}</style>" == STYLE
            return
        assert not FOREIGN.search(data)
        self.text.append(data)
        if self.open[-1:] == ["span"]:
            self.math.append(data)

    def handle_comment(self, data):
        pytest.fail(f"a comment: {data!r}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def letters(text):
    return "".join(character for character in text if character.isalnum())


def audited(source):
    audit = Audit(source)
    for formula in audit.math:
        assert is_harmless(formula[1:-1] if formula[1] not in "$([" else formula[2:-2])
    return audit


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_becomes_harmless_html(payload):
    """Known tags, known attributes and known schemes only."""
    audited(to_html(payload))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_is_as_harmless_while_it_arrives(payload):
    """No prefix of an attack gets through either."""
    doc = Document()

    for character in payload:
        doc.feed(character)
        audited(doc.html())
        audited(doc.tail_html(20))
    doc.finish()

    assert doc.html() == to_html(payload)


@pytest.mark.parametrize("before", ["- ", "> ", "| a |\n|---|\n| ", "**", "# ", "[", "```html\n"])
def test_a_payload_is_as_harmless_inside_something_else(before):
    for payload in PAYLOADS:
        audited(to_html(before + payload))


def test_there_are_at_least_sixty_payloads():
    assert len(set(PAYLOADS)) >= 60


@pytest.mark.parametrize("payload", [p for p in PAYLOADS if "evil" in p or "script:" in p])
def test_no_link_of_a_payload_has_a_user_name_or_a_script(payload):
    for href in audited(to_html(payload)).links:
        assert "@" not in href.split("/")[2] if href.startswith("http") else True
        assert not re.match(r"(?i)\s*(java|vb|live)script", href)


def test_nothing_a_payload_says_is_formula_enough_for_mathjax():
    hostile = [payload for payload in PAYLOADS if "\\href" in payload or "\\def" in payload]

    assert len(hostile) >= 4
    for payload in hostile:
        assert not audited(to_html(payload)).math


@given(st.text())
def test_any_text_becomes_harmless_html(text):
    audited(to_html(text))


WORDS = st.sampled_from(
    "a b1 é 漢 شكرا <b> <a <!-- &lt; &#60; `  ``` $ $$ \\( \\) \\[ \\] \\href{x} ( ) [ ] ]( ![ ]: "
    ": http://e.x "
    "javascript: \" ' > # - 1. | |-|-| ** _ ~~ \\ / = + \x1b \u202e \u200d \ud83d \r".split(" ")
)
MARKUP = st.lists(WORDS | st.sampled_from("\n \t"), max_size=60).map("".join)


@given(MARKUP)
def test_any_markup_becomes_harmless_html(text):
    audited(to_html(text))


@given(
    st.lists(st.sampled_from("Some words * here _ and ~ there - <i> > | ! ` \n \n\n".split(" ")))
)
def test_no_word_is_lost(pieces):
    """Markdown takes its signs away, and nothing else."""
    text = " ".join(pieces)

    assert letters("".join(audited(to_html(text)).text)) == letters(sanitize(text))


@pytest.mark.parametrize(
    "url",
    """https://a.example http://a.example:80/b?c=d#e https://a/ mailto:a@b.example
    https://[::1]:8888/x HTTPS://A.EXAMPLE https://a.example/@user https://a.example/(b)""".split(),
)
def test_an_ordinary_address_is_a_link(url):
    assert safe_href(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "//a",
        "a",
        "#a",
        "?a",
        "http:a",
        "http:/a",
        "http://",
        "https:///a",
        "ftp://a",
        "data:,",
    ]
    + ["javascript:1", " https://a", "https://a\n", "https://a b", "https://u@a", "https://u:p@a/"]
    + ["https://a\\b", 'https://a/"', "https://a/<", "https://a/é", "https://a:b", "x:https://a"]
    + ["https://a\x00", "mailto:", "mailto:a b", "https://a%2eb", "https://a/" + "b" * 3000],
)
def test_any_other_address_is_not(url):
    assert safe_href(url) is None


def test_an_entity_hides_nothing_either():
    [paragraph] = to_tree("a&#x202e;b&#x200b;c")

    assert text_content([paragraph]) == "a⟦U+202E⟧b⟦U+200B⟧c"


def test_a_tag_that_is_not_ours_is_never_written():
    from swiftask_jupyter.notebook.markdown.html import render

    with pytest.raises(ValueError, match="no such tag"):
        render([Node("script", {}, ("alert(1)",))])


def test_an_address_is_checked_again_where_it_is_written():
    from swiftask_jupyter.notebook.markdown.html import render

    assert render([Node("a", {"href": "javascript:1"}, ("x",))]) == "<a>x</a>\n"
