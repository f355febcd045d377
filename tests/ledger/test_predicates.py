"""Each predicate says the same of a turn in Python and in SQL."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter.answers.turn import Turn, Usage
from swiftask_jupyter.ledger import schema
from swiftask_jupyter.ledger.migrations import MIGRATIONS

PREDICATES = {
    "call": (schema.is_call, schema.IS_CALL),
    "suspect": (schema.is_suspect, schema.IS_SUSPECT),
    "replayable": (schema.is_replayable, schema.IS_REPLAYABLE),
}
FILES = {"files": [{"url": "https://a.example/b.png"}]}
TURNS = st.builds(
    Turn,
    id=st.just("t1"), session=st.just("s"),
    surface=st.sampled_from(["cell", "batch", "import"]),
    status=st.sampled_from(["running", "ok", "error", "interrupted", "refused"]),
    cached=st.booleans(),
    usage=st.builds(
        Usage, input_tokens=st.none() | st.integers(1, 3), output_tokens=st.none() | st.just(2),
        reported_total=st.none() | st.integers(1, 2),
        source=st.sampled_from(["api", "stream", "none"]),
    ),
    answer=st.sampled_from(["", '""', " \n'", "yes", "'no'"]),
    finish_reason=st.sampled_from([None, "", "stop", "content_filter", "SAFETY", "error"]),
    raw=st.sampled_from([{}, FILES, {"files": []}, {"model": "m"}]),
)  # fmt: skip


@pytest.mark.parametrize(("function", "expression"), PREDICATES.values(), ids=PREDICATES)
@given(turn=TURNS)
def test_python_and_sql_agree(function, expression, turn):
    with sqlite3.connect(":memory:") as tables:
        for migration in MIGRATIONS:
            for statement in migration:
                tables.execute(statement)
        for table, extra in (("turns", ("owner",)), ("texts", ())):
            begun, ended = schema.insert(table, *extra), schema.update(table)
            tables.execute(begun.sql, (*begun.values(turn), *("me" for _ in extra)))
            tables.execute(f"{ended.sql} WHERE turn = ?", (*ended.values(turn), turn.id))
        [(found,)] = tables.execute(f"SELECT {expression} FROM turns JOIN texts USING (turn)")

    assert bool(found) == function(turn)


@pytest.mark.parametrize(
    ("fields", "suspect"),
    [
        ({"answer": "hello"}, False),
        ({}, True),
        ({"answer": ' "" \n'}, True),
        ({"raw": FILES}, False),
        ({"answer": "Sorry.", "usage": Usage(reported_total=1, source="stream")}, True),
        ({"answer": "Sorry.", "usage": Usage(1, 1, 2, 1, source="stream")}, False),
        ({"status": "error"}, False),
        ({"answer": "half", "finish_reason": "content_filter"}, True),
        ({"answer": "half", "finish_reason": "length"}, False),
    ],
    ids=[
        "text",
        "nothing",
        "quotes",
        "a file",
        "uncounted",
        "counted",
        "failed",
        "filtered",
        "cut",
    ],
)
def test_an_answer_without_content_or_with_the_usage_of_a_failure_is_suspect(fields, suspect):
    turn = Turn(**{"status": "ok", **fields})

    assert schema.is_suspect(turn) is suspect
    assert schema.is_replayable(turn) is (turn.status == "ok" and not suspect)
