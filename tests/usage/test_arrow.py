"""Reading a large ledger through Arrow: the same frame, and no effect on SQLite's locks."""

import subprocess
import sys

import pandas as pd
import pytest

from swiftask_jupyter.ledger import arrow as ledger_arrow
from swiftask_jupyter.usage import arrow
from swiftask_jupyter.usage.query import usage
from tests.support.usage import NOON, add_varied_turns

pytestmark = pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)


def test_arrow_gives_the_same_frame(ledger, monkeypatch):
    add_varied_turns(ledger)
    plain = usage(ledger.usage_queries, text=True)
    read = []
    stream = ledger_arrow.stream
    monkeypatch.setattr(ledger_arrow, "stream", lambda *asked: read.append(asked) or stream(*asked))
    monkeypatch.setattr(arrow, "MIN_ROWS", 10)

    through = usage(ledger.usage_queries, text=True)
    some = usage(ledger.usage_queries, text=True, agent="a", since=NOON)

    pd.testing.assert_frame_equal(plain, through)
    assert some["turn"].tolist() == plain["turn"][plain["agent"] == "a"].tolist()
    assert len(read) == 2


def test_the_frame_is_read_without_arrow_if_arrow_fails(ledger, monkeypatch, tmp_path):
    add_varied_turns(ledger)
    plain = usage(ledger.usage_queries)
    broken = tmp_path / "child.py"
    broken.write_text("raise SystemExit(3)")
    monkeypatch.setattr(ledger_arrow, "CHILD", broken)
    monkeypatch.setattr(arrow, "MIN_ROWS", 10)

    pd.testing.assert_frame_equal(plain, usage(ledger.usage_queries))


def test_reading_through_arrow_keeps_the_locks_of_this_process(ledger, monkeypatch):
    """A second copy of SQLite in one process would drop the locks that this one holds."""
    add_varied_turns(ledger)
    monkeypatch.setattr(arrow, "MIN_ROWS", 10)
    with ledger.store.write() as rows:
        usage(ledger.usage_queries)
        other = (
            "import sqlite3, sys\n"
            "rows = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
            "rows.execute('BEGIN IMMEDIATE')"
        )
        path = str(ledger.store.path)
        done = subprocess.run(
            [sys.executable, "-c", other, path], capture_output=True, text=True, check=False
        )
        rows.execute("UPDATE turns SET agent = 'c' WHERE agent = 'a'")

    assert "database is locked" in done.stderr
