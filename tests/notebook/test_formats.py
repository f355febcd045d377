"""The formats of an answer: text, JSON and code, in a terminal and as HTML."""

import pytest

from swiftask_jupyter.answers.turn import Delta, Reply
from swiftask_jupyter.notebook.mimebundle import final_view, growing_text


def finished(text, form, status="ok"):
    """Return a reply that has ended."""
    reply = Reply(agent="echo", number=1, format=form, status=status)
    reply.apply([Delta(text)])
    return reply


def test_text_is_printed_unchanged_except_for_control_characters(echoing, capsys):
    answer = echoing.run_cell_magic("swiftask", "-f text", "## no *heading*\x1b\n")

    assert capsys.readouterr().out.startswith("## no *heading*␛\n")
    assert answer.text == "## no *heading*\x1b"


def test_json_is_printed_with_indentation(echoing, capsys):
    prompt = 'Here:\n```json\n{"a":[1,2]}\n```\n'

    answer = echoing.run_cell_magic("swiftask", "-f json", prompt)

    assert capsys.readouterr().out.startswith('{\n  "a": [\n    1,\n    2\n  ]\n}\n')
    assert answer.json() == {"a": [1, 2]}


def test_code_is_printed_without_the_text_around_it(echoing, capsys):
    prompt = "So:\n```python\nx = 1\n```\nAnd that is it.\n"

    answer = echoing.run_cell_magic("swiftask", "-f code", prompt)

    assert capsys.readouterr().out.startswith("x = 1\necho · ")
    assert answer.code() == "x = 1\n"


def test_markdown_has_no_final_view_of_its_own():
    assert final_view(finished("# *a*", "md")) is None
    assert final_view(finished("", "text")) is None


@pytest.mark.parametrize(
    ("form", "text", "plain"),
    [
        ("text", "# *a*\n", "# *a*\n"),
        ("json", '{"a":1}', '{\n  "a": 1\n}'),
        ("json", "no JSON", "no JSON"),
        ("code", "So:\n```py\nx\n```\nDone.", "x"),
    ],
)
def test_the_final_view_has_html_and_plain_text(form, text, plain):
    html, shown = final_view(finished(text, form))

    assert shown == plain
    assert "<pre>" in html


@pytest.mark.parametrize("form", ["json", "code"])
def test_an_answer_that_broke_off_is_shown_unchanged(form):
    text = 'So:\n```json\n{"a": 1}\n```'

    assert final_view(finished(text, form, status="error"))[1] == text


@pytest.mark.parametrize("form", ["text", "json"])
def test_unformatted_text_is_one_tail_that_never_settles(form):
    text = growing_text(form)
    for piece in ("# a\n\n", "<b>\n\n", "end"):
        text.feed(piece)
    text.finish()

    assert (text.settled, text.tail) == (0, "# a\n\n<b>\n\nend")
    assert "&lt;b&gt;" in text.html()
    assert "# a" not in text.tail_html(3)
    assert "end" in text.tail_html(3)
    assert "end" not in text.settled_html()
