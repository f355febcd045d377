"""Whatever an agent answers, the rendered HTML has only known tags, attributes and URL schemes."""

# ruff: noqa: SIM905 - lists of words read best as words

import html.parser
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter.notebook.markdown.document import StreamingMarkdown, to_html
from swiftask_jupyter.notebook.markdown.formulas import is_harmless
from swiftask_jupyter.notebook.markdown.html import STYLE, TAGS, safe_href
from swiftask_jupyter.support.sanitize import sanitize
from tests.support.payloads import PAYLOADS

ROOT = "swiftask tex2jax_ignore mathjax_ignore"
MATH = "tex2jax_process mathjax_process"
VOID = {"br", "hr"}
CODE_TAGS = {"b", "i", "tt", "var", "dfn", "samp"}
LINK = {"target": "_blank", "rel": "noopener noreferrer nofollow"}
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class HtmlAudit(html.parser.HTMLParser):
    """Parse HTML like a browser's tokenizer, and fail on anything that is not allowed.

    Attributes:
        text: the texts.
        links: the URLs of links.
        math: the formulas that MathJax would typeset.
    """

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
        """Fail if the tag has an attribute or a value that it may not have."""
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
        assert not HIDDEN.search(data)
        self.text.append(data)
        if self.open[-1:] == ["span"]:
            self.math.append(data)

    def handle_comment(self, data):
        pytest.fail(f"a comment: {data!r}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def audit(source):
    """Fail if the HTML has anything that is not allowed; return what it has."""
    found = HtmlAudit(source)
    for formula in found.math:
        assert is_harmless(formula[1:-1] if formula[1] not in "$([" else formula[2:-2])
    return found


def letters(text):
    """Return the letters and digits of a text."""
    return "".join(character for character in text if character.isalnum())


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_becomes_harmless_html(payload):
    audit(to_html(payload))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_every_prefix_of_a_payload_is_harmless_while_it_streams(payload):
    doc = StreamingMarkdown()

    for character in payload:
        doc.feed(character)
        audit(doc.html())
        audit(doc.tail_html(20))
    doc.finish()

    assert doc.html() == to_html(payload)


@pytest.mark.parametrize("before", ["- ", "> ", "| a |\n|---|\n| ", "**", "# ", "[", "```html\n"])
def test_a_payload_inside_other_markup_is_harmless(before):
    for payload in PAYLOADS:
        audit(to_html(before + payload))


def test_there_are_at_least_sixty_payloads():
    assert len(set(PAYLOADS)) >= 60


@pytest.mark.parametrize("payload", [p for p in PAYLOADS if "evil" in p or "script:" in p])
def test_no_link_of_a_payload_has_a_user_name_or_a_script_scheme(payload):
    for href in audit(to_html(payload)).links:
        assert "@" not in href.split("/")[2] if href.startswith("http") else True
        assert not re.match(r"(?i)\s*(java|vb|live)script", href)


def test_no_payload_with_a_dangerous_command_reaches_mathjax():
    hostile = [payload for payload in PAYLOADS if "\\href" in payload or "\\def" in payload]

    assert len(hostile) >= 4
    for payload in hostile:
        assert not audit(to_html(payload)).math


@given(st.text())
def test_any_text_becomes_harmless_html(text):
    audit(to_html(text))


WORDS = st.sampled_from(
    "a b1 é 漢 شكرا <b> <a <!-- &lt; &#60; `  ``` $ $$ \\( \\) \\[ \\] \\href{x} ( ) [ ] ]( ![ ]: "
    ": http://e.x "
    "javascript: \" ' > # - 1. | |-|-| ** _ ~~ \\ / = + \x1b \u202e \u200d \ud83d \r".split(" ")
)
MARKUP = st.lists(WORDS | st.sampled_from("\n \t"), max_size=60).map("".join)


@given(MARKUP)
def test_any_markup_becomes_harmless_html(text):
    audit(to_html(text))


@given(
    st.lists(st.sampled_from("Some words * here _ and ~ there - <i> > | ! ` \n \n\n".split(" ")))
)
def test_markdown_removes_its_own_signs_and_no_words(pieces):
    text = " ".join(pieces)

    assert letters("".join(audit(to_html(text)).text)) == letters(sanitize(text))
