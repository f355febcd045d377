"""Queries in a child process: their result as Arrow columns, and no effect on SQLite's locks."""

import subprocess
import sys

import pyarrow as pa
import pytest

from swiftask_jupyter.ledger import arrow as ledger_arrow
from swiftask_jupyter.ledger.usage import UsageFilter
from swiftask_jupyter.usage import arrow
from swiftask_jupyter.usage.query import usage
from tests.support.usage import add_turn, add_varied_turns

pytestmark = pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)


def test_a_query_is_streamed_with_the_types_of_its_columns(ledger):
    add_turn(ledger, "a")
    add_turn(ledger, "b", at=1.0)
    names = ["agent", "at", "input_tokens", "cached"]
    statement, parameters = ledger.usage_queries.query(names, UsageFilter(since=2.0))

    with (
        ledger_arrow.stream(ledger.store.path, names, statement, parameters) as source,
        pa.ipc.open_stream(source) as reader,
    ):
        table = reader.read_all()

    assert table.column("agent").to_pylist() == ["a"]
    assert table.column("input_tokens").to_pylist() == [None]
    assert pa.types.is_dictionary(table.schema.field("agent").type)
    assert [str(table.schema.field(name).type) for name in names[1:]] == [
        "double", "int64", "int64",
    ]  # fmt: skip


def test_a_child_process_that_fails_is_an_error(ledger):
    add_turn(ledger)

    with (
        pytest.raises(OSError, match="the reading process ended with 1"),
        ledger_arrow.stream(ledger.store.path, ["agent"], "SELECT nonsense", ()) as source,
    ):
        assert source.read() == b""


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
