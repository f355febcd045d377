"""Prompts out of the rows of any DataFrame."""

import numpy as np
import pandas as pd
import pytest

from swiftask_jupyter.batch.rows import Rows
from swiftask_jupyter.errors import ConfigurationError, PromptError

KINDS = pd.DataFrame(
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


@pytest.mark.parametrize("name", KINDS.columns)
def test_a_value_of_any_dtype_is_written_as_python_writes_it(name):
    rows = Rows(KINDS, f"<{{{{{name}}}}}>")

    assert [rows.text(at) for at in range(2)] == [f"<{value}>" for value in KINDS[name]]


def test_what_is_filled_in_is_not_looked_at_again():
    assert Rows(KINDS, "{{s}}").text(1) == "{{i}}"


def test_formats_attributes_and_keys_work_as_in_a_cell():
    rows = Rows(KINDS, '{{f:.2f}} {{t.year}} {{o["k"]}}')

    assert rows.text(0) == "0.50 2025 v"


def test_a_column_of_any_name_is_reached_through_the_row():
    rows = Rows(pd.DataFrame({"my text": ["hi"], "b": [1]}), '{{row["my text"]}}|{{row}}')

    assert rows.text(0) == "hi|my text: hi\nb: 1"


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_a_row_without_its_value_is_refused_and_says_which(missing):
    rows = Rows(pd.DataFrame({"a": [missing, "x"]}, dtype=object), "say {{a}}")

    with pytest.raises(PromptError, match=r"no value for \{\{a\}\}"):
        rows.text(0)
    assert rows.text(1) == "say x"


def test_a_name_that_is_no_column_is_refused_before_any_row_and_the_nearest_named():
    with pytest.raises(PromptError, match=r"no column 'txt' .* did you mean 'text'"):
        Rows(pd.DataFrame({"text": ["a"]}), "{{txt}}")


def test_other_names_may_be_given_and_a_column_comes_first():
    rows = Rows(pd.DataFrame({"a": ["column"]}), "{{a}} {{b}}", names={"a": "other", "b": "{{a}}"})

    assert rows.text(0) == "column {{a}}"


def test_a_name_of_several_columns_is_refused():
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])

    with pytest.raises(PromptError, match="several columns"):
        Rows(frame, "{{a}}")


def test_what_is_no_frame_is_one_clear_line():
    with pytest.raises(ConfigurationError, match="list has no rows; give a DataFrame"):
        Rows(["a"], "{{a}}")


def test_a_prompt_that_is_no_text_is_one_clear_line():
    with pytest.raises(PromptError, match="the prompt is a text, not NoneType"):
        Rows(pd.DataFrame({"a": [1]}), None)


def test_files_are_one_several_or_none():
    several = ["b.txt", "c.txt"]
    frame = pd.DataFrame({"f": ["a.txt", several, None, np.array(several), np.array([])]})
    rows = Rows(frame, "look", files="f")

    assert [rows.files(at) for at in range(5)] == [
        ("a.txt",), ("b.txt", "c.txt"), (), ("b.txt", "c.txt"), (),
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match="no column 'g' of files"):
        Rows(frame, "look", files="g")
