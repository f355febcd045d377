"""builder: nesting limits of the tree."""

import pytest

from swiftask_jupyter.notebook.markdown.document import to_tree
from swiftask_jupyter.notebook.markdown.html import text_content
from tests.support.markdown import depth


@pytest.mark.parametrize(
    "flood", ["**a ", "[", "![", "*_", "`a", "<", "&amp;", "\\(", "~~a", "[a]("]
)
def test_a_flood_of_markup_keeps_its_text_and_is_not_nested_without_limit(flood):
    for length in (2_000, 100_000):
        text = (flood * length)[:length]
        tree = to_tree(text)
        assert depth(tree) <= 45
        if length > 32 * 1024:  # longer than a paragraph may be: plain text
            assert text_content(tree) == text.rstrip()
