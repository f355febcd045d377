"""Prompts made of a template and the rows of any DataFrame."""

import numpy as np
import pandas as pd
import pytest

from swiftask_jupyter.batch.rows import RowTemplate
from swiftask_jupyter.errors import ConfigurationError, PromptError

FRAME = pd.DataFrame(
    {
        "i": pd.Series([1, 2], dtype="int64"),
        "f": [0.5, 1e-9],
        "b": [True, False],
        "s": pd.Series(["ä", "{{i}}"], dtype="string"),
        "o": [{"k": "v"}, [1]],
        "n": pd.Series([1, 2], dtype="Int64"),
        "t": pd.to_datetime(["2025-01-01", "2025-01-02"], utc=True),
        "d": pd.to_timedelta([1, 2], unit="h"),
        "c": pd.Categorical(["x", "y"]),
        "p": pd.period_range("2025-01", periods=2, freq="M"),
    }
).set_axis(["same", "same"])


@pytest.mark.parametrize("name", FRAME.columns)
def test_a_value_of_any_dtype_is_written_as_its_python_text(name):
    rows = RowTemplate(FRAME, f"<{{{{{name}}}}}>")

    assert [rows.text(at) for at in range(2)] == [f"<{value}>" for value in FRAME[name]]


def test_braces_in_a_value_are_not_filled_again():
    assert RowTemplate(FRAME, "{{s}}").text(1) == "{{i}}"


def test_formats_attributes_and_keys_work_as_in_a_cell():
    rows = RowTemplate(FRAME, '{{f:.2f}} {{t.year}} {{o["k"]}}')

    assert rows.text(0) == "0.50 2025 v"


def test_a_column_of_any_name_is_reached_through_row():
    rows = RowTemplate(pd.DataFrame({"my text": ["hi"], "b": [1]}), '{{row["my text"]}}|{{row}}')

    assert rows.text(0) == "hi|my text: hi\nb: 1"


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_a_missing_value_is_an_error_that_names_the_field(missing):
    rows = RowTemplate(pd.DataFrame({"a": [missing, "x"]}, dtype=object), "say {{a}}")

    with pytest.raises(PromptError, match=r"no value for \{\{a\}\}"):
        rows.text(0)
    assert rows.text(1) == "say x"


def test_an_unknown_column_is_refused_and_the_nearest_name_is_suggested():
    with pytest.raises(PromptError, match=r"no column 'txt' .* did you mean 'text'"):
        RowTemplate(pd.DataFrame({"text": ["a"]}), "{{txt}}")


def test_a_column_takes_precedence_over_a_value_of_names():
    rows = RowTemplate(
        pd.DataFrame({"a": ["column"]}), "{{a}} {{b}}", names={"a": "other", "b": "{{a}}"}
    )

    assert rows.text(0) == "column {{a}}"


def test_a_name_of_several_columns_is_refused():
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])

    with pytest.raises(PromptError, match="several columns"):
        RowTemplate(frame, "{{a}}")


def test_a_list_instead_of_a_frame_is_an_error_of_one_line():
    with pytest.raises(ConfigurationError, match="list has no rows; give a DataFrame"):
        RowTemplate(["a"], "{{a}}")


def test_a_prompt_that_is_no_text_is_an_error_of_one_line():
    with pytest.raises(PromptError, match="the prompt is a text, not NoneType"):
        RowTemplate(pd.DataFrame({"a": [1]}), None)


def test_a_row_has_one_file_several_or_none():
    several = ["b.txt", "c.txt"]
    frame = pd.DataFrame({"f": ["a.txt", several, None, np.array(several), np.array([])]})
    rows = RowTemplate(frame, "look", files="f")

    assert [rows.files(at) for at in range(5)] == [
        ("a.txt",), ("b.txt", "c.txt"), (), ("b.txt", "c.txt"), (),
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match="no column 'g' of files"):
        RowTemplate(frame, "look", files="g")


LABELS = ["first name", 2020, "😀", "a.b", "x: y", "{1}", "#", "d['k']", 3.5, ("m", "n"), "été 2"]


@pytest.mark.parametrize("label", LABELS, ids=str)
def test_a_column_of_any_label_is_filled_by_the_text_of_its_label(label):
    frame = pd.DataFrame([range(len(LABELS))], columns=pd.Index(LABELS, tupleize_cols=False))
    rows = RowTemplate(frame, f"<{{{{{label}}}}}> <{{{{ {label} }}}}>")

    value = LABELS.index(label)
    assert rows.text(0) == f"<{value}> <{value}>"


def test_a_format_and_a_path_may_follow_a_label_of_any_characters():
    frame = pd.DataFrame({"unit price": [1.5], 2020: [{"k": "v"}]})

    assert RowTemplate(frame, '{{unit price:.2f}} {{2020["k"]}}').text(0) == "1.50 v"


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("{{2021}}", "did you mean '2020'"),
        ("{{frist name}}", "did you mean 'first name'"),
        ("{{🙂}}", "there is: first name, 2020"),
        ("{{first name | upper}}", "did you mean 'first name'"),
        ("{{}} { {x} } {{first_name}}", "did you mean 'first name'"),
    ],
)
def test_a_field_that_is_no_column_is_refused_whatever_its_characters(field, said):
    with pytest.raises(PromptError, match="no column") as caught:
        RowTemplate(pd.DataFrame({"first name": ["a"], 2020: [1]}), field)
    assert said in str(caught.value)


def test_labels_with_one_text_are_the_name_of_several_columns():
    with pytest.raises(PromptError, match="'2020' is the name of several columns"):
        RowTemplate(pd.DataFrame({2020: [1], "2020": [2]}), "{{2020}}")


def test_braces_that_cannot_be_a_field_stay_in_every_row():
    text = '{{}} {{ }} {"a":{"b":1}} {% x %} ${HOME} {{a}^2} {x}'

    assert RowTemplate(pd.DataFrame({"a": [1]}), text).text(0) == text


def test_a_value_of_names_sends_braces_as_they_are():
    rows = RowTemplate(pd.DataFrame({"a": [1]}), "{{a}} {{shape}}", names={"shape": "{{x | y}}"})

    assert rows.text(0) == "1 {{x | y}}"
