"""Extraction of JSON, code and tables from the text of an answer."""

import pandas as pd
import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.answers.structured import (
    CodeBlock,
    extract_code,
    extract_frame,
    extract_json,
    fenced_blocks,
    find_json,
)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2]}',
        '  \n{"a": [1, 2]}\n',
        '```json\n{"a": [1, 2]}\n```',
        'Here it is:\n\n```\n{"a": [1, 2]}\n```\n\nEnjoy.',
        '~~~JSON\n{"a": [1, 2]}',
    ],
    ids=["bare", "padded", "fenced", "with words", "not closed"],
)
def test_json_is_the_whole_text_or_its_first_fenced_block(text):
    assert extract_json(text) == {"a": [1, 2]}


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
def test_invalid_json_is_an_error_of_one_line_and_nothing_is_guessed(text):
    with pytest.raises(errors.AnswerError, match="not JSON") as caught:
        extract_json(text)
    assert "\n" not in str(caught.value)


def test_a_block_ends_only_at_a_closing_fence_of_its_own_kind_and_length():
    text = "a\n````md\n```py\n1\n```\n````\nb\n~~~\n```\n~~~\n"

    assert list(fenced_blocks(text)) == [CodeBlock("```py\n1\n```\n", "md"), CodeBlock("```\n", "")]


def test_code_is_the_first_fenced_block_or_the_whole_text():
    assert extract_code("so:\n```python\nx = 1\n```\n```js\ny\n```").text == "x = 1\n"
    assert extract_code("x = 1").text == "x = 1"


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
def test_a_table_is_read_from_json_markdown_csv_and_tsv(text):
    frame = extract_frame(text)

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
def test_a_column_with_leading_zeros_stays_text(text):
    frame = extract_frame(text)

    assert frame["zip"].tolist() == ["00123", "10115"]
    assert frame["x"].tolist() == [0.0, 0.5]


def test_rows_are_padded_or_cut_to_the_header_and_an_escaped_bar_is_text():
    frame = extract_frame("| a | b |\n|---|---|\n| x \\| y |\n| 1 | z | 3 |\n")

    assert frame.to_numpy().tolist() == [["x | y", ""], ["1", "z"]]


def test_a_single_json_object_is_one_row():
    assert extract_frame('{"a": 1, "tags": ["x", "y"]}').to_dict("records") == [
        {"a": 1, "tags": ["x", "y"]}
    ]


@pytest.mark.parametrize("text", ["just words", "a | b, as they say", "3", '"text"', "null"])
def test_an_answer_without_a_table_is_an_answer_error(text):
    with pytest.raises(errors.AnswerError):
        extract_frame(text)


@pytest.mark.parametrize("table", ["a,b\n1,2\n1,2,3\n", ""])
def test_malformed_csv_is_an_answer_error(table):
    with pytest.raises(errors.AnswerError, match="csv is no table"):
        extract_frame(f"```csv\n{table}```")


def test_line_separators_within_json_and_code_do_not_split_lines():
    assert extract_json('```json\r\n{"a": "x\u2028y"}\r\n```') == {"a": "x\u2028y"}
    assert extract_code("```python\nx = '\x0c\u2029'\n```").text == "x = '\x0c\u2029'\n"


def test_an_indented_fence_closes_a_block_unless_it_is_indented_like_code():
    text = "```\na\n   ```\nb\n```\nc\n    ```\nd"

    assert [block.text for block in fenced_blocks(text)] == ["a\n", "c\n    ```\nd\n"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": {"b": 1} and then {"c": 2}', {"b": 1}),
        ('[{"a": 1}, {"a": 2}]', {"a": 1}),
        ('{"a": 1}\n```json\n{"b": 2}\n```', {"b": 2}),
        ("{}, {}", {}),
    ],
    ids=["after an unfinished one", "in a list", "in a block first", "empty"],
)
def test_an_embedded_object_is_found_with_words_around_it(text, value):
    assert find_json(text, embedded=True) == value
