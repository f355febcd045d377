"""The ledger as DataFrames: rows, groups, totals, and the same again from notebooks."""

import datetime as dt
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.answers.reply import Delta, Reply, Standing, Usage
from swiftask_jupyter.ledger import arrow
from swiftask_jupyter.ledger.schema import COLUMNS
from swiftask_jupyter.ledger.turns import Place, new_id
from swiftask_jupyter.ledger.usage import Selection
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.usage import arrow as usage_arrow
from swiftask_jupyter.usage.query import moment, usage

NAMES = [column.name for column in COLUMNS]
DAY = 86_400
IN_A_FILE = pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)
NOON = 20_000 * DAY + DAY / 2


def names(ledger):
    """The frame's columns: a ledger that several share says whose a call was."""
    return [*NAMES, "user"] if ledger.accounts.shared else NAMES


def add(ledger, agent="a", *, at=NOON, status="ok", notebook="/n.ipynb", spent=None, **fields):
    """Put a turn into the ledger."""
    reply = Reply(agent, turn=new_id(), session="main-1", dialect="openai", at=at)
    reply.standing = Standing("c1", "c1", "r1", "cell")
    ledger.turns.begin(reply, Place(notebook, "main-1"), "the prompt")
    reply.status, reply.seconds, reply.attempts = status, 2.0, 1
    reply.usage = spent or Usage()
    for name, value in fields.items():
        setattr(reply, name, value)
    reply.apply([Delta("the answer")])
    if status != "running":
        ledger.turns.complete(reply)
    return reply


def test_an_empty_ledger_is_a_frame_with_all_its_columns_and_dtypes(ledger):
    frame = usage(ledger.accounts)

    assert list(frame.columns) == names(ledger)
    assert frame.empty
    assert str(frame["at"].dtype) == "datetime64[us, UTC]"
    assert str(frame["input_tokens"].dtype) == "Int64"
    assert frame["agent"].dtype == "category"
    assert frame.swiftask.totals()["calls"].sum() == 0


def test_rows_come_oldest_first_however_they_were_begun(ledger):
    for at in (3.0, 1.0, 2.0):
        add(ledger, at=at)

    assert usage(ledger.accounts)["at"].is_monotonic_increasing


def test_what_was_not_reported_is_missing_and_what_was_is_exact(ledger):
    add(ledger, spent=Usage(1, 2**60, None, 2**53 + 1, 0.1, "api"), at=1.7e9 + 0.123457)
    add(ledger)

    first, second = usage(ledger.accounts).to_dict("records")

    assert (first["output_tokens"], first["reported_total"]) == (2**60, 2**53 + 1)
    assert first["at"].timestamp() == 1.7e9 + 0.123457
    assert first["credits"] == 0.1
    assert pd.isna(second["input_tokens"])
    assert second["usage_source"] == "none"
    assert pd.isna(second["key"])


def test_whether_there_are_so_many_rows_is_told_on_every_database(ledger):
    for _ in range(2):
        add(ledger)

    assert [ledger.accounts.has(count, Selection()) for count in (1, 2, 3)] == [True, True, False]


def test_texts_come_on_request_only(ledger):
    add(ledger)

    assert "prompt" not in usage(ledger.accounts)
    (row,) = usage(ledger.accounts, text=True).to_dict("records")
    assert (row["prompt"], row["answer"]) == ("the prompt", "the answer")


@pytest.mark.parametrize(
    ("wanted", "agents"),
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
def test_the_rows_wanted_are_chosen(ledger, wanted, agents):
    add(ledger, "a", at=NOON - 1)
    add(ledger, "b", at=NOON)
    add(ledger, "c", at=NOON + DAY, notebook="/other.ipynb")

    assert list(usage(ledger.accounts, **wanted)["agent"]) == agents
    assert usage(ledger.accounts, "status", **wanted)["calls"].sum() == len(agents)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="no such clock")
def test_a_time_without_a_zone_is_this_machines_whoever_made_it(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Etc/GMT+5")
        time.tzset()
        zoned = pd.Timestamp("2026-01-31 09:00", tz="UTC")
        moments = [
            moment(each)
            for each in (
                "2026-01-31T09:00", dt.datetime.fromisoformat("2026-01-31T09:00"),
                pd.Timestamp("2026-01-31 09:00"), zoned, zoned.to_pydatetime(),
            )
        ]  # fmt: skip
    time.tzset()

    assert [each - moments[-1] for each in moments] == [5 * 3600.0] * 3 + [0.0, 0.0]


@pytest.mark.parametrize("since", ["yesterday", "7y", object(), pd.NaT])
def test_a_time_that_is_none_is_one_clear_line(ledger, since):
    with pytest.raises(errors.ConfigurationError, match="is no time; write 7d"):
        usage(ledger.accounts, since=since)


@pytest.mark.parametrize("by", [5, ["agent", 5], ",", ["", " "]])
def test_what_names_no_group_is_one_clear_line(ledger, by):
    frame = usage(ledger.accounts)
    for grouped in (lambda: usage(ledger.accounts, by), lambda: frame.swiftask.totals(by)):
        with pytest.raises(errors.ConfigurationError, match=r"group.*; by day, agent"):
            grouped()


@pytest.mark.parametrize("by", ["agent,agent", ["agent", " agent"]])
def test_a_group_named_twice_is_one(ledger, by):
    add(ledger)

    assert usage(ledger.accounts, by)["agent"].tolist() == ["a"]
    assert usage(ledger.accounts).swiftask.totals(by)["agent"].tolist() == ["a"]


def test_sums_have_no_text_and_say_so(ledger):
    with pytest.raises(errors.ConfigurationError, match="leave out either by or text"):
        usage(ledger.accounts, "agent", text=True)


def test_a_group_that_is_none_names_those_there_are(ledger):
    with pytest.raises(errors.ConfigurationError, match=r"grouped by colour; by day, agent, "):
        usage(ledger.accounts, "agent,colour")


def many(ledger):
    """Turns of every kind."""
    spent = [Usage(1, 2, 3, 3, 0.5, "api"), Usage(), Usage(credits=2.0, source="api")]
    for number in range(60):
        status = ("ok", "ok", "error", "interrupted", "refused", "running")[number % 6]
        add(
            ledger, "ab"[number % 2], at=NOON + number * 7_000, status=status,
            notebook=(None, "/n.ipynb", "/m.ipynb")[number % 3], spent=spent[number % 3],
            cached=number % 10 == 0, first_token_seconds=number / 10 if number % 4 else None,
            finish_reason="stop", error="it broke" if status == "error" else None,
        )  # fmt: skip


@pytest.mark.parametrize("by", ["day", "agent", "notebook", "status", "surface,cell", "agent,day"])
def test_sums_made_in_the_database_are_those_made_of_the_rows(ledger, by):
    many(ledger)

    made = usage(ledger.accounts, by)

    expected = usage(ledger.accounts).swiftask.totals(by)
    pd.testing.assert_frame_equal(made, expected, check_dtype=False, check_categorical=False)
    none = usage(ledger.accounts, by, since=9e9)
    assert list(map(str, made.dtypes)) == list(map(str, none.dtypes))


def test_totals_say_how_many_calls_reported_nothing(ledger):
    add(ledger, spent=Usage(1, 2, 3, source="api"))
    add(ledger)
    add(ledger, status="refused")
    add(ledger, cached=True, spent=Usage(0, 0, 0, credits=0.0))

    (row,) = usage(ledger.accounts).swiftask.totals().to_dict("records")

    assert {name: row[name] for name in ("calls", "refused", "cached", "unreported")} == {
        "calls": 2, "refused": 1, "cached": 1, "unreported": 1,
    }  # fmt: skip
    assert row["total_tokens"] == 3
    assert pd.isna(row["credits"])


def test_credits_are_a_difference_only_where_they_grow_throughout_a_session(ledger):
    for place, (agent, spent) in enumerate(
        [("grows", 1.0), ("falls", 3.0), ("grows", 1.5), ("falls", 2.0), ("grows", 4.0)]
    ):
        add(ledger, agent, at=NOON + place, spent=Usage(credits=spent, source="api"))
    add(ledger, "grows", at=NOON + 9)
    add(ledger, "grows", at=NOON + 10, spent=Usage(0, 0, 0, credits=0.0), cached=True)

    cost = usage(ledger.accounts).swiftask.cost()

    grows = cost[cost["agent"] == "grows"]
    assert grows["credits_difference"].tolist() == [pd.NA, 0.5, 2.5, pd.NA, pd.NA]
    assert cost.loc[cost["agent"] == "falls", "credits_difference"].isna().all()
    assert grows["credits"].tolist() == [1.0, 1.5, 4.0, pd.NA, 0.0]


def test_frames_put_together_are_a_frame(ledger):
    for place, spent in enumerate((1.0, None, 1.5)):
        add(ledger, at=NOON + place, spent=Usage(credits=spent, source="api"))
    frame = usage(ledger.accounts)

    both = pd.concat([frame[:2], frame[2:].reset_index(drop=True)]).swiftask

    assert both.cost()["credits_difference"].tolist() == [pd.NA, pd.NA, 0.5]
    assert both.totals()["credits"].tolist() == [2.5]


def test_opentelemetrys_names_are_columns_on_request(ledger):
    add(ledger, spent=Usage(1, 2, 3, source="api"), finish_reason="stop")
    add(ledger)

    first, second = usage(ledger.accounts).swiftask.traces().to_dict("records")

    assert (first["gen_ai.usage.input_tokens"], first["gen_ai.usage.output_tokens"]) == (1, 2)
    assert first["gen_ai.response.finish_reasons"] == ["stop"]
    assert first["gen_ai.agent.id"] == "a"
    assert first["swiftask.status"] == "ok"
    assert pd.isna(second["gen_ai.usage.input_tokens"])


def test_a_frame_is_exported_and_read_again(ledger, tmp_path):
    many(ledger)
    frame = usage(ledger.accounts)

    again = pd.read_parquet(frame.swiftask.export(tmp_path / "usage.parquet"))
    listed = pd.read_csv(frame.swiftask.export(tmp_path / "usage.csv"))

    pd.testing.assert_frame_equal(frame, again)
    assert list(listed.columns) == names(ledger)
    assert len(listed) == len(frame)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("usage.xlsx", "names no format; end it in"),
        ("no/folder.csv", "can't be written"),
        ("~nobody-here/usage.csv", "can't be written"),
    ],
)
def test_an_export_that_can_not_be_is_one_clear_line(ledger, tmp_path, monkeypatch, name, line):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.ConfigurationError, match=line):
        usage(ledger.accounts).swiftask.export(name)


def test_columns_say_what_they_are_in_which_unit_and_on_whose_word(ledger):
    told = usage(ledger.accounts).swiftask.columns()

    assert list(told.index) == names(ledger)
    assert told.loc["seconds", "unit"] == "s"
    assert told.loc["input_tokens", "dtype"] == "Int64"
    assert (told["meaning"] != "").all()


def test_another_frame_has_no_usage(ledger):
    usage(ledger.accounts)

    with pytest.raises(AttributeError, match="for what usage"):
        pd.DataFrame({"a": [1]}).swiftask  # noqa: B018 - asking for it is what fails
    with pytest.raises(AttributeError, match="no column seconds: "):
        usage(ledger.accounts).drop(columns="seconds").swiftask.totals()


@IN_A_FILE
def test_a_frame_through_arrow_is_the_same_frame(ledger, monkeypatch):
    many(ledger)
    plain = usage(ledger.accounts, text=True)
    read = []
    stream = arrow.stream
    monkeypatch.setattr(arrow, "stream", lambda *asked: read.append(asked) or stream(*asked))
    monkeypatch.setattr(usage_arrow, "WORTH_IT", 10)

    through = usage(ledger.accounts, text=True)
    some = usage(ledger.accounts, text=True, agent="a", since=NOON)

    pd.testing.assert_frame_equal(plain, through)
    assert some["turn"].tolist() == plain["turn"][plain["agent"] == "a"].tolist()
    assert len(read) == 2


@IN_A_FILE
def test_where_arrow_fails_the_frame_is_read_all_the_same(ledger, monkeypatch, tmp_path):
    many(ledger)
    plain = usage(ledger.accounts)
    broken = tmp_path / "child.py"
    broken.write_text("raise SystemExit(3)")
    monkeypatch.setattr(arrow, "CHILD", broken)
    monkeypatch.setattr(usage_arrow, "WORTH_IT", 10)

    pd.testing.assert_frame_equal(plain, usage(ledger.accounts))


@IN_A_FILE
def test_a_large_ledger_read_through_arrow_spoils_no_lock_of_this_process(ledger, monkeypatch):
    """A second copy of SQLite in one process would drop the locks that this one holds."""
    many(ledger)
    monkeypatch.setattr(usage_arrow, "WORTH_IT", 10)
    with ledger.database.write() as rows:
        usage(ledger.accounts)
        other = (
            "import sqlite3, sys\n"
            "rows = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
            "rows.execute('BEGIN IMMEDIATE')"
        )
        path = str(ledger.database.path)
        done = subprocess.run(
            [sys.executable, "-c", other, path], capture_output=True, text=True, check=False
        )
        rows.execute("UPDATE turns SET agent = 'c' WHERE agent = 'a'")

    assert "database is locked" in done.stderr


def test_the_client_reads_its_own_notebooks_usage(box):
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
def test_a_notebook_is_the_same_however_its_path_is_written(box, monkeypatch, tmp_path, named):
    monkeypatch.chdir(tmp_path)
    to = {"base_url": box.url, "token": box.token, "agent": "echo"}
    with Swiftask(**to, notebook=named) as mine, Swiftask(**to) as client:
        mine.ask("hello")

        assert len(client.usage(notebook=named)) == 1
        assert len(client.usage(notebook=tmp_path / "n.ipynb")) == 1
        monkeypatch.chdir("/")
        assert mine.notebook == str(tmp_path / "n.ipynb")


def test_a_failure_in_the_frame_is_its_one_line_with_its_secret_masked(client, box):
    box.fail(Fault(status=500, message=f"no {box.token}"), times=None)

    with pytest.raises(errors.ServiceUnavailable):
        client.ask("hello")

    (row,) = client.usage().to_dict("records")
    assert row["status"] == "error"
    assert box.token not in row["error"]
    assert "••••" in row["error"]
    assert row["at"].timestamp() == pytest.approx(time.time(), abs=60)
