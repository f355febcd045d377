"""incremental: long open blocks are parsed without parsing all of them again."""

import pytest

from swiftask_jupyter.notebook.markdown.document import StreamingMarkdown, to_tree
from tests.support.markdown import whole_tree

ITEMS = {
    "tight": "- *a* item, with words in it\n",
    "loose": "- *a* item, with words in it\n\n",
    "numbered": "1) *a* item, with words in it\n",
    "nested": "- *a* item\n  - in *it* another\n    - and one more\n\n  a paragraph of it\n",
    "with code": "* item\n\n  ```python\n  x = 1\n\n  y = 2\n  ```\n",
    "table": "| *a* cell | `another` \\| one |\n",
}


def test_an_open_code_block_is_not_parsed_again():
    doc = StreamingMarkdown()
    doc.feed("```python\n")

    for number in range(2000):
        doc.feed("x = 1\n")
        assert doc.tail_html(60).count("x = 1") == min(number + 1, 10)
    assert doc.parsed < 1000
    doc.feed("```\n\nend\n")

    assert doc.settled == 10 + 12_000 + 5
    assert doc.parsed < 5 * 12_000


@pytest.mark.parametrize("kind", ITEMS)
def test_a_long_list_or_table_grows_without_being_parsed_again(kind):
    head = "| a | b |\n|---|:-:|\n" if kind == "table" else ""
    text = head + ITEMS[kind] * (20_000 // len(ITEMS[kind]))
    doc = StreamingMarkdown()
    for start in range(0, len(text), 97):
        doc.feed(text[start : start + 97])
        seen = whole_tree(doc)
        if start % (97 * 50) == 0:
            assert seen == to_tree(text[: start + 97])
    doc.finish()

    assert whole_tree(doc) == to_tree(text)
    assert doc.parsed < 40 * len(text)


def test_one_loose_item_makes_all_items_of_the_list_loose():
    tight = "- an item with words\n" * 200
    doc = StreamingMarkdown()
    for text in (tight, tight, "\n- the first loose one\n", tight):
        doc.feed(text)
        seen = whole_tree(doc)

    assert seen == to_tree(tight * 2 + "\n- the first loose one\n" + tight)
    assert seen[0].children[0].children[0].tag == "p"
