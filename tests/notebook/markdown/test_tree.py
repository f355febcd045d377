"""tree: the nodes that an answer becomes, and the URLs that a link may have."""

import json

import pytest

from swiftask_jupyter.notebook.markdown.document import to_tree
from swiftask_jupyter.notebook.markdown.html import HTMLElement, safe_href, text_content


def test_a_tree_can_be_encoded_as_json():
    assert json.loads(json.dumps(to_tree("# *a*"))) == [["h1", {}, [["em", {}, ["a"]]]]]


def test_the_language_of_code_is_in_the_tree():
    assert to_tree("```C++ x\na\n```") == [
        HTMLElement("pre", {}, (HTMLElement("code", {"lang": "c++"}, ("a\n",)),))
    ]


def test_an_entity_cannot_hide_a_character():
    [paragraph] = to_tree("a&#x202e;b&#x200b;c")

    assert text_content([paragraph]) == "a⟦U+202E⟧b⟦U+200B⟧c"


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example", "http://a.example:80/b?c=d#e", "https://a/", "mailto:a@b.example",
        "https://[::1]:8888/x", "HTTPS://A.EXAMPLE", "https://a.example/@user",
        "https://a.example/(b)",
    ],
)  # fmt: skip
def test_a_plain_url_is_a_link(url):
    assert safe_href(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "", "/", "//a", "a", "#a", "?a", "http:a", "http:/a", "http://", "https:///a", "ftp://a",
        "data:,", "javascript:1", " https://a", "https://a\n", "https://a b", "https://u@a",
        "https://u:p@a/", "https://a\\b", 'https://a/"', "https://a/<", "https://a/é",
        "https://a:b", "x:https://a", "https://a\x00", "mailto:", "mailto:a b", "https://a%2eb",
        "https://a/" + "b" * 3000,
    ],
)  # fmt: skip
def test_any_other_url_is_not_a_link(url):
    assert safe_href(url) is None
