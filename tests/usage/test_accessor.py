"""`frame.swiftask`: groups, exports, columns, and the frames that it accepts."""

import pandas as pd
import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.usage.query import usage
from tests.support.usage import add_turn, add_varied_turns, column_names


@pytest.mark.parametrize("by", [5, ["agent", 5], ",", ["", " "]])
def test_an_invalid_list_of_groups_is_an_error_of_one_line(ledger, by):
    frame = usage(ledger.usage_queries)
    for grouped in (lambda: usage(ledger.usage_queries, by), lambda: frame.swiftask.totals(by)):
        with pytest.raises(errors.ConfigurationError, match=r"group.*; by day, agent"):
            grouped()


@pytest.mark.parametrize("by", ["agent,agent", ["agent", " agent"]])
def test_a_group_that_is_named_twice_counts_once(ledger, by):
    add_turn(ledger)

    assert usage(ledger.usage_queries, by)["agent"].tolist() == ["a"]
    assert usage(ledger.usage_queries).swiftask.totals(by)["agent"].tolist() == ["a"]


def test_an_unknown_group_is_refused_and_the_known_ones_are_named(ledger):
    with pytest.raises(errors.ConfigurationError, match=r"grouped by colour; by day, agent, "):
        usage(ledger.usage_queries, "agent,colour")


def test_an_exported_frame_can_be_read_again(ledger, tmp_path):
    add_varied_turns(ledger)
    frame = usage(ledger.usage_queries)

    again = pd.read_parquet(frame.swiftask.export(tmp_path / "usage.parquet"))
    listed = pd.read_csv(frame.swiftask.export(tmp_path / "usage.csv"))

    pd.testing.assert_frame_equal(frame, again)
    assert list(listed.columns) == column_names(ledger)
    assert len(listed) == len(frame)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("usage.xlsx", "names no format; end it in"),
        ("no/folder.csv", "can't be written"),
        ("~nobody-here/usage.csv", "can't be written"),
    ],
)
def test_an_impossible_export_is_an_error_of_one_line(ledger, tmp_path, monkeypatch, name, line):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.ConfigurationError, match=line):
        usage(ledger.usage_queries).swiftask.export(name)


def test_columns_returns_dtype_unit_and_meaning(ledger):
    columns = usage(ledger.usage_queries).swiftask.columns()

    assert list(columns.index) == column_names(ledger)
    assert columns.loc["seconds", "unit"] == "s"
    assert columns.loc["input_tokens", "dtype"] == "Int64"
    assert (columns["meaning"] != "").all()


def test_a_frame_without_the_columns_of_usage_is_refused(ledger):
    usage(ledger.usage_queries)

    with pytest.raises(AttributeError, match="for what usage"):
        pd.DataFrame({"a": [1]}).swiftask  # noqa: B018 - asking for it is what fails
    with pytest.raises(AttributeError, match="no column seconds: "):
        usage(ledger.usage_queries).drop(columns="seconds").swiftask.totals()
