"""highlight: which code is highlighted."""

from swiftask_jupyter.notebook.markdown import highlight
from swiftask_jupyter.notebook.markdown.document import to_html


def test_long_code_is_not_highlighted():
    assert "<b>" not in to_html("```python\n" + "import x\n" * 10_000 + "```")


def test_code_on_which_the_lexer_fails_is_shown_without_highlighting(monkeypatch):
    def fail(*_):
        raise RecursionError

    monkeypatch.setattr(highlight, "_tokenize", fail)

    assert highlight.highlight("import x", "python") == [("", "import x")]
