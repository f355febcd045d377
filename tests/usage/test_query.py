"""`Swiftask.usage`: which turns are read, which columns, and groups summed by the database."""

import datetime as dt
import time
from pathlib import Path

import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.usage.query import parse_since, usage
from tests.support.usage import DAY, NOON, add_turn, add_varied_turns


def test_rows_are_sorted_by_time(ledger):
    for at in (3.0, 1.0, 2.0):
        add_turn(ledger, at=at)

    assert usage(ledger.usage_queries)["at"].is_monotonic_increasing


def test_prompt_and_answer_are_columns_only_on_request(ledger):
    add_turn(ledger)

    assert "prompt" not in usage(ledger.usage_queries)
    (row,) = usage(ledger.usage_queries, text=True).to_dict("records")
    assert (row["prompt"], row["answer"]) == ("the prompt", "the answer")


@pytest.mark.parametrize(
    ("filters", "agents"),
    [
        ({"since": NOON}, ["b", "c"]),
        ({"since": dt.datetime.fromtimestamp(NOON, dt.UTC)}, ["b", "c"]),
        ({"since": "2300-01-31"}, []),
        ({"since": "7d"}, []),
        ({"since": dt.timedelta(days=36_000)}, ["a", "b", "c"]),
        ({"agent": "b"}, ["b"]),
        ({"notebook": "/other.ipynb"}, ["c"]),
        ({"session": "main-1"}, ["a", "b", "c"]),
        ({"session": "main-2"}, []),
    ],
)
def test_filters_select_turns_for_rows_and_for_groups(ledger, filters, agents):
    add_turn(ledger, "a", at=NOON - 1)
    add_turn(ledger, "b", at=NOON)
    add_turn(ledger, "c", at=NOON + DAY, notebook="/other.ipynb")

    assert list(usage(ledger.usage_queries, **filters)["agent"]) == agents
    assert usage(ledger.usage_queries, "status", **filters)["calls"].sum() == len(agents)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="no such clock")
def test_a_time_without_a_zone_is_in_the_zone_of_this_machine(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Etc/GMT+5")
        time.tzset()
        zoned = pd.Timestamp("2026-01-31 09:00", tz="UTC")
        moments = [
            parse_since(each)
            for each in (
                "2026-01-31T09:00", dt.datetime.fromisoformat("2026-01-31T09:00"),
                pd.Timestamp("2026-01-31 09:00"), zoned, zoned.to_pydatetime(),
            )
        ]  # fmt: skip
    time.tzset()

    assert [each - moments[-1] for each in moments] == [5 * 3600.0] * 3 + [0.0, 0.0]


@pytest.mark.parametrize("since", ["yesterday", "7y", object(), pd.NaT])
def test_an_invalid_time_is_an_error_of_one_line(ledger, since):
    with pytest.raises(errors.ConfigurationError, match="is no time; write 7d"):
        usage(ledger.usage_queries, since=since)


def test_groups_have_no_text(ledger):
    with pytest.raises(errors.ConfigurationError, match="leave out either by or text"):
        usage(ledger.usage_queries, "agent", text=True)


@pytest.mark.parametrize("sandbox", [False, True])
@pytest.mark.parametrize(
    "by", ["day", "agent", "notebook", "status", "surface,cell", "agent,day", "host,connection"]
)
def test_sums_by_the_database_equal_the_totals_of_the_rows(ledger, by, sandbox):
    add_varied_turns(ledger)

    sums = usage(ledger.usage_queries, by, sandbox=sandbox)

    expected = usage(ledger.usage_queries).swiftask.totals(by, sandbox=sandbox)
    pd.testing.assert_frame_equal(sums, expected, check_dtype=False, check_categorical=False)
    empty = usage(ledger.usage_queries, by, since=9e9)
    assert list(map(str, sums.dtypes)) == list(map(str, empty.dtypes))


def test_a_client_filters_by_its_own_notebook(live, box):
    to = {"base_url": box.url, "token": box.token, "agent": "echo"}
    with Swiftask(**to, notebook="/mine.ipynb") as mine, Swiftask(**to) as client:
        mine.ask("hello")
        client.ask("hello")

        assert len(client.usage()) == len(client.usage(notebook="all")) == 2
        assert len(mine.usage(notebook=".")) == 1
        assert list(client.usage("notebook")["calls"]) == [1, 1]
        with pytest.raises(errors.ConfigurationError, match="which notebook this is"):
            client.usage(notebook=".")


@pytest.mark.parametrize("named", ["n.ipynb", Path("n.ipynb"), "deep/../n.ipynb"])
def test_a_notebook_may_be_named_by_a_relative_path(box, monkeypatch, tmp_path, named):
    monkeypatch.chdir(tmp_path)
    to = {"base_url": box.url, "token": box.token, "agent": "echo"}
    with Swiftask(**to, notebook=named) as mine, Swiftask(**to) as client:
        mine.ask("hello")

        assert len(client.usage(notebook=named)) == 1
        assert len(client.usage(notebook=tmp_path / "n.ipynb")) == 1
        monkeypatch.chdir("/")
        assert mine.notebook == str(tmp_path / "n.ipynb")


def test_the_error_of_a_failed_turn_is_one_line_with_the_token_masked(client, box):
    box.fail(Fault(status=500, message=f"no {box.token}"), times=None)

    with pytest.raises(errors.ServiceUnavailable):
        client.ask("hello")

    (row,) = client.usage().to_dict("records")
    assert row["status"] == "error"
    assert box.token not in row["error"]
    assert "••••" in row["error"]
    assert row["at"].timestamp() == pytest.approx(time.time(), abs=60)
