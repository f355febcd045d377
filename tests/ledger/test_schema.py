"""The schema: columns, statements and frames derive from the annotated fields of a turn."""

import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftask_jupyter.answers.turn import Turn, Usage, new_id
from swiftask_jupyter.ledger import schema
from swiftask_jupyter.ledger.migrations import MIGRATIONS

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
COUNT = st.none() | st.integers(1, 2**53)
TURNS = st.builds(
    Turn,
    id=st.just("t1"), at=st.floats(1, 4e9), notebook=st.none() | TEXT.filter(bool),
    session=TEXT.filter(bool), number=st.integers(0, 9), cell=st.none() | TEXT.filter(bool),
    slot=st.none() | TEXT.filter(bool), run=st.none() | TEXT.filter(bool),
    surface=st.sampled_from(["cell", "panel", "python", "batch"]),
    history_digest=st.none() | TEXT.filter(bool), agent=TEXT, dialect=TEXT,
    status=st.sampled_from(["ok", "error", "interrupted"]),
    finish_reason=st.none() | TEXT.filter(bool), attempts=st.integers(0, 9),
    seconds=st.floats(0, 1e6), first_token_seconds=st.none() | st.floats(0, 1e6),
    usage=st.builds(
        Usage, input_tokens=COUNT, output_tokens=COUNT, total_tokens=COUNT, reported_total=COUNT,
        credits=st.none() | st.floats(0, 1e9), source=st.sampled_from(["api", "stream", "none"]),
    ),
    cached=st.booleans(), request_digest=TEXT, content_digest=TEXT,
    conversation=st.none() | TEXT.filter(bool), error=st.none() | TEXT.filter(bool), prompt=TEXT,
    answer=TEXT, raw=st.dictionaries(TEXT, TEXT | st.integers(-9, 9), max_size=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def tables():
    connection = sqlite3.connect(":memory:")
    for migration in MIGRATIONS:
        for statement in migration:
            connection.execute(statement)
    yield connection
    connection.close()


def test_every_column_exists_in_its_table_and_none_is_forgotten(tables):
    for table, others in (("turns", {"owner", "user"}), ("texts", {"turn"})):
        there = {row[1] for row in tables.execute(f"PRAGMA table_info({table})")}
        listed = {column.name for column in schema.columns() if column.table == table}
        assert listed == there - others


@given(TURNS)
def test_what_is_written_is_read_back(turn):
    with sqlite3.connect(":memory:") as tables:
        for migration in MIGRATIONS:
            for statement in migration:
                tables.execute(statement)
        row, texts = schema.insert("turns", "owner"), schema.insert("texts")
        tables.execute(row.sql, (*row.values(turn), "me"))
        tables.execute(texts.sql, texts.values(turn))
        for table in ("turns", "texts"):
            ended = schema.update(table)
            tables.execute(f"{ended.sql} WHERE turn = ?", (*ended.values(turn), turn.id))
        both = schema.selection("turns", "texts")
        [found] = tables.execute(f"SELECT {both.sql} FROM turns JOIN texts USING (turn)").fetchall()

    assert both.turn(found) == turn


def test_what_no_database_takes_is_replaced():
    turn = Turn(id=new_id(), at=time.time(), session="half \ud83d", raw={"a": {1, 2}})
    stored = schema.insert("turns").values(turn)

    assert "half ?" in stored
    assert schema.update("texts").values(turn)[-1] is None


def test_a_column_says_what_it_means_and_its_dtype():
    columns = {column.name: column for column in schema.frame_columns()}

    assert columns["input_tokens"].kind == "whole"
    assert columns["at"].kind == "moment"
    assert columns["status"].choices == (
        "running", "ok", "error", "interrupted", "lost", "refused"
    )  # fmt: skip
    assert all(column.meaning for column in columns.values())
