"""The record of a turn in a notebook: written from a turn, and checked when it is read."""

import json
import time

import pytest

from swiftask_jupyter.answers.turn import Turn, Usage
from swiftask_jupyter.ledger.notebook_record import (
    InvalidRecord,
    RecordedTurn,
    record_of,
    record_values,
    recorded_turn,
)
from swiftask_jupyter.ledger.schema import frame_columns
from swiftask_jupyter.support.structs import replace

TURN = Turn(
    id="t1", at=time.time(), session="main-1", number=3, agent="echo", dialect="openai",
    status="ok", usage=Usage(1, 2, 3, source="api"), prompt="secret", answer="secret",
    request_digest="d" * 64,
)  # fmt: skip


def test_a_record_holds_no_text_and_reads_back_as_the_row():
    record = json.loads(json.dumps(record_of(TURN)))
    row = dict(
        zip((c.name for c in frame_columns()), record_values(record, "/n.ipynb"), strict=True)
    )

    assert "secret" not in json.dumps(record)
    assert row["at"] == pytest.approx(TURN.at, abs=1e-6)
    assert row["notebook"] == "/n.ipynb"
    assert (row["turn"], row["key"], row["total_tokens"]) == ("t1", "d" * 64, 3)


def test_a_record_holds_the_digest_of_what_was_said():
    turn = replace(TURN, content_digest="c" * 16)

    assert record_of(turn)["content_digest"] == "c" * 16
    assert recorded_turn(record_of(turn)) == RecordedTurn("t1", "c" * 16, "d" * 64)
    assert record_of(TURN)["content_digest"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"turn": ""}, {"turn": None}, {"status": "fine"}, {"number": -1}, {"number": 1.5},
        {"seconds": "fast"}, {"seconds": float("inf")}, {"cached": 1}, {"at": "yesterday"},
        {"at": "2026-01-01T00:00:00"}, {"agent": "a" * 3000}, {"agent": 7}, {"usage": []},
        {"usage": {"input_tokens": 2**60, "source": "api"}}, {"usage": {"source": "guess"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_that_cant_be_true_is_refused(change):
    with pytest.raises(InvalidRecord):
        record_values(record_of(TURN) | change, "/n.ipynb")


def test_what_is_no_object_is_refused():
    with pytest.raises(InvalidRecord):
        record_values(["turn"], "/n.ipynb")
