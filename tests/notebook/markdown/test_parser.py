"""parser: Markdown parsed into blocks, and the part of it that later lines cannot change."""

import random
import subprocess
import sys

import pytest

from swiftask_jupyter.notebook.markdown.document import StreamingMarkdown, to_html, to_tree
from swiftask_jupyter.notebook.markdown.html import text_content
from tests.support.markdown import depth, whole_tree


def test_importing_the_document_module_imports_neither_parser_nor_lexers():
    program = (
        "import sys, swiftask_jupyter.notebook.markdown.document\n"
        "print([name for name in ('markdown_it', 'pygments') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    assert done.stdout.strip() == "[]"


def test_blocks_nested_too_deep_are_kept_as_text():
    for text in (
        "> " * 60 + "end",
        "- " * 60 + "end",
        "".join(" " * 2 * n + "- x\n" for n in range(60)),
    ):
        tree = to_tree(text + "\n\nlast")
        assert text_content(tree).rstrip().endswith("last")
        assert depth(tree) <= 45


def test_random_bytes_can_be_parsed():
    chance = random.Random(1)
    for _ in range(50):
        to_html(chance.randbytes(2000).decode("latin-1"))


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
def test_no_line_is_settled_that_a_later_line_can_change(text):
    for size in (1, 2, 3):
        doc = StreamingMarkdown()
        for start in range(0, len(text), size):
            doc.feed(text[start : start + size])
            assert doc.settled + len(doc.tail) == min(start + size, len(text))
        doc.finish()

        assert whole_tree(doc) == to_tree(text)
