"""StreamingMarkdown: an answer parsed while it arrives in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter.notebook.markdown import document
from swiftask_jupyter.notebook.markdown.document import StreamingMarkdown, to_html, to_tree
from tests.support.markdown import PARAGRAPH, whole_tree

PIECES = st.sampled_from(
    [
        "a", "foo bar", "\n", "\n", "\n\n", "- ", "1. ", "2) ", "> ", "# ", "```", "```py\n", "~~~",
        "    ", "  ", "\t", "|a|b|\n|-|-|\n", "|", "|x|\n", "---", "===", "[a]", "[a]: /u",
        "[a]: http://x.y\n", "'title\n", '"t"', "]:", "*", "**", "_", "`", "$", "$$", "$$\n", "\\[",
        "\\]\n", "\\(", "\\)", "<b>", "<div>\n", "&amp;", "&#x202e;", "\r\n", "\r", "[x] ", "\\",
        "![i](http://e.x)", "[l](http://e.x/a_b)", "+ ", "<!--", "http://a.b/c ", "~~", "***\n",
        "\x1b", "\u200d", "👩", "\ufe0f", "\ud83d", "\ude00", "é", "]", "(", ")", "<br>", "1",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=60).map("".join), st.randoms(use_true_random=False))
def test_an_answer_in_pieces_ends_like_one_parsed_at_once_however_it_is_cut(text, chance):
    doc = StreamingMarkdown()
    start = 0
    while start < len(text):
        end = start + chance.choice((1, 2, 4, 9, 40))
        doc.feed(text[start:end])
        start = end
        chance.choice((lambda: doc.settled, doc.html, lambda: doc.tail_html(10), lambda: None))()
    doc.finish()

    assert whole_tree(doc) == to_tree(text)
    assert doc.html() == to_html(text)
    assert doc.tail == ""


def test_a_block_is_settled_once_a_later_one_has_begun_on_a_complete_line():
    doc = StreamingMarkdown()

    doc.feed("one\n\ntwo")
    assert (doc.settled, doc.tail) == (0, "one\n\ntwo")
    doc.feed("\n")
    assert (doc.settled, doc.tail) == (5, "two\n")
    assert "<p>one</p>" in doc.settled_html()
    assert "<p>two</p>" in doc.tail_html(2000)
    assert "<p>one</p>\n<p>two</p>" in doc.html()


def test_an_incomplete_line_that_may_become_a_table_settles_nothing():
    doc = StreamingMarkdown()

    doc.feed("one\n|a|b|\n|-|-|")
    assert doc.settled == 0
    doc.feed("x|\n")
    doc.finish()

    assert whole_tree(doc) == to_tree("one\n|a|b|\n|-|-|x|\n")


def test_a_link_is_resolved_although_its_definition_comes_last():
    doc = StreamingMarkdown()

    doc.feed("[a]\n\nb\n\nc\n\n")
    assert "href" not in doc.html()
    doc.feed("[a]: https://a.example")
    doc.finish()

    assert doc.html().count("href") == 1


@pytest.mark.parametrize(
    ("block", "limit"),
    [
        (PARAGRAPH, 14),
        ("- an item of a list\n", 25),
        ("|a|b|\n|-|-|\n" + "|c|d|\n" * 20 + "\n", 14),
    ],
)
def test_parsing_a_growing_answer_costs_a_constant_times_its_length(block, limit):
    for length in (20_000, 80_000):
        text = (block * length)[:length]
        doc = StreamingMarkdown()
        for start in range(0, length, 4):
            doc.feed(text[start : start + 4])
            if start % 100 == 0:
                doc.tail_html(512)
        doc.finish()

        assert doc.parsed < limit * length


def test_a_long_open_block_is_plain_text_until_it_is_settled():
    doc = StreamingMarkdown()
    doc.feed("> *a*\n>\n" * 10_000)
    assert "<em>" not in doc.html()
    doc.finish()

    assert doc.html().count("<em>") == 10_000


def test_text_over_the_limit_is_shown_and_not_parsed(monkeypatch):
    monkeypatch.setattr(document, "MAX_ANSWER", 10)
    doc = StreamingMarkdown()
    for character in "0123\n\n789*a* <b>":
        doc.feed(character)
    doc.finish()

    assert doc.html() == to_html("0123\n\n789*a* <b>")
    assert "a* &lt;b&gt;" in doc.html()


def test_a_finished_document_accepts_no_more_text():
    doc = StreamingMarkdown()
    doc.feed("a")
    doc.finish()
    doc.finish()

    with pytest.raises(ValueError, match="finished"):
        doc.feed("b")
