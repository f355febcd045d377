"""JSON, code and tables out of an answer's text, however an agent wraps them."""

import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.answers.answer import answer
from swiftask_jupyter.answers.reply import Reply
from swiftask_jupyter.answers.structured import Code, blocks, code_of, frame_of, json_of


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2]}',
        '  \n{"a": [1, 2]}\n',
        '```json\n{"a": [1, 2]}\n```',
        'Here it is:\n\n```\n{"a": [1, 2]}\n```\n\nEnjoy.',
        '~~~JSON\n{"a": [1, 2]}',
    ],
    ids=["bare", "padded", "fenced", "with words", "never closed"],
)
def test_json_is_the_text_or_its_first_block(text):
    assert json_of(text) == {"a": [1, 2]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON at all",
        'The answer is {"a": 1}, I think.',
        "{'a': 1}",
        '{"a": NaN}',
        "```json\nnothing\n```\n```json\n1\n```",
        "[" * 100_000,
    ],
)
def test_what_is_no_json_is_one_line_and_nothing_is_guessed(text):
    with pytest.raises(errors.AnswerError, match="not JSON") as caught:
        json_of(text)
    assert "\n" not in str(caught.value)


def test_blocks_end_where_a_fence_of_their_kind_ends():
    text = "a\n````md\n```py\n1\n```\n````\nb\n~~~\n```\n~~~\n"

    assert list(blocks(text)) == [Code("```py\n1\n```\n", "md"), Code("```\n", "")]


def test_code_is_the_first_block_or_all_of_it():
    assert code_of("so:\n```python\nx = 1\n```\n```js\ny\n```").text == "x = 1\n"
    assert code_of("x = 1").text == "x = 1"


@pytest.mark.parametrize(
    "text",
    [
        '[{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]',
        '{"x": [1, 2], "y": ["a", "b"]}',
        '{"rows": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}], "count": 2}',
        "Well:\n\n| x | y |\n|---|:-:|\n| 1 | a |\n| 2 | b |\n\nThat is all.",
        "x | y\n--|--\n1 | a\n2 | b",
        "```csv\nx,y\n1,a\n2,b\n```",
        "```tsv\nx\ty\n1\ta\n2\tb\n```",
    ],
    ids=["records", "columns", "one list", "table", "bare table", "csv", "tsv"],
)
def test_a_table_is_read_however_it_is_written(text):
    frame = frame_of(text)

    assert list(frame.columns) == ["x", "y"]
    assert list(frame["x"]) == [1, 2]
    assert list(frame["y"]) == ["a", "b"]
    assert pd.api.types.is_integer_dtype(frame["x"])


@pytest.mark.parametrize(
    "text",
    [
        "| zip | x |\n|---|---|\n| 00123 | 0 |\n| 10115 | 0.5 |",
        "```csv\nzip,x,none\n00123,0,\n10115,0.5,\n```",
        "```tsv\nzip\tx\n00123\t0\n10115\t0.5\n```",
    ],
)
def test_a_code_keeps_its_noughts(text):
    frame = frame_of(text)

    assert frame["zip"].tolist() == ["00123", "10115"]
    assert frame["x"].tolist() == [0.0, 0.5]


def test_a_ragged_table_is_filled_and_an_escaped_bar_is_a_bar():
    frame = frame_of("| a | b |\n|---|---|\n| x \\| y |\n| 1 | z | 3 |\n")

    assert frame.to_numpy().tolist() == [["x | y", ""], ["1", "z"]]


def test_one_object_is_a_row():
    assert frame_of('{"a": 1, "tags": ["x", "y"]}').to_dict("records") == [
        {"a": 1, "tags": ["x", "y"]}
    ]


@pytest.mark.parametrize("text", ["just words", "a | b, as they say", "3", '"text"', "null"])
def test_no_table_is_one_line(text):
    with pytest.raises(errors.AnswerError):
        frame_of(text)


def test_an_answer_gives_what_it_holds(box):
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as client:
        held = client.ask('```json\n[{"a": 1}]\n```')

    assert held.json() == [{"a": 1}]
    assert held.code() == '[{"a": 1}]\n'
    assert list(held.frame()["a"]) == [1]


def test_an_empty_answer_holds_nothing():
    with pytest.raises(errors.AnswerError):
        answer(Reply("echo")).json()


@pytest.mark.parametrize("table", ["a,b\n1,2\n1,2,3\n", ""])
def test_a_table_that_is_none_is_one_line(table):
    with pytest.raises(errors.AnswerError, match="csv is no table"):
        frame_of(f"```csv\n{table}```")


def test_lines_end_at_ends_of_lines_alone():
    assert json_of('```json\r\n{"a": "x\u2028y"}\r\n```') == {"a": "x\u2028y"}
    assert code_of("```python\nx = '\x0c\u2029'\n```").text == "x = '\x0c\u2029'\n"
