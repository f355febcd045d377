"""Queries for usage frames: rows in chunks, and sums that the database makes."""

import subprocess
import sys

from swiftask_jupyter.answers.turn import Usage
from swiftask_jupyter.ledger import usage
from swiftask_jupyter.ledger.turns import this_process
from swiftask_jupyter.ledger.usage import MEASURES, UsageFilter
from tests.support.usage import NOON, add_turn


def test_has_compares_the_number_of_rows(ledger):
    for _ in range(2):
        add_turn(ledger)

    has = ledger.usage_queries.has
    assert [has(count, UsageFilter()) for count in (1, 2, 3)] == [True, True, False]


def test_rows_come_in_chunks_and_none_is_left_out(ledger, monkeypatch):
    monkeypatch.setattr(usage, "CHUNK", 2)
    for number in range(5):
        add_turn(ledger, at=NOON + number)

    chunks = list(ledger.usage_queries.rows(["at"], UsageFilter(since=NOON + 1)))

    assert [len(chunk) for chunk in chunks] == [2, 2]
    assert sorted(at for chunk in chunks for (at,) in chunk) == [NOON + n for n in range(1, 5)]


def test_sums_count_refused_and_cached_turns_but_not_as_calls(ledger):
    add_turn(ledger, usage=Usage(1, 2, 3, 3, 0.5, "api"))
    add_turn(ledger, cached=True, usage=Usage(1, 2, 3, 3, 0.5, "api"))
    add_turn(ledger, status="refused")
    add_turn(ledger, status="error")

    (row,) = ledger.usage_queries.sums([], UsageFilter())
    sums = dict(zip(MEASURES, row, strict=True))

    assert [sums[each] for each in ("calls", "ok", "error", "refused", "cached")] == [2, 1, 1, 1, 1]
    assert (sums["total_tokens"], sums["credits"], sums["unreported"]) == (3, 0.5, 1)


def test_a_running_turn_of_an_ended_process_is_lost_in_rows_and_in_sums(ledger):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = this_process().split(":")[0]
    add_turn(ledger, "here", status="running")
    add_turn(ledger, "gone", status="running")
    with ledger.store.write() as rows:
        rows.execute("UPDATE turns SET owner = ? WHERE agent = 'gone'", (f"{host}:{ended.pid}:0",))

    (found,) = ledger.usage_queries.rows(["agent", "status"], UsageFilter())
    sums = ledger.usage_queries.sums(["status"], UsageFilter())

    assert sorted(found) == [("gone", "lost"), ("here", "running")]
    assert sorted(each[0] for each in sums) == ["lost", "running"]
