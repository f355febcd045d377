"""What both databases do alike: transactions, reads, chunks and many parameters."""

import pytest

from swiftask_jupyter.ledger.store import MAX_PARAMETERS

INSERT = "INSERT INTO marks (mark, at, kind) VALUES (?, ?, 'x')"


def count(store):
    """Return the number of marks."""
    with store.read() as table:
        return table.execute("SELECT count(*) FROM marks").fetchone()[0]


def test_a_write_that_fails_halfway_leaves_nothing_behind(ledger):
    def fail():
        with ledger.store.write() as rows:
            rows.execute(INSERT, ("a", 1.0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert count(ledger.store) == 0


def test_a_reader_sees_what_was_committed_after_it_began(ledger):
    with ledger.store.read() as table:
        before = table.execute("SELECT count(*) FROM marks").fetchone()[0]
        with ledger.store.write() as rows:
            assert rows.execute(INSERT, ("a", 1.0)).rowcount == 1
        after = table.execute("SELECT count(*) FROM marks").fetchone()[0]

    assert (before, after) == (0, 1)


def test_a_query_is_read_in_chunks_of_at_most_that_size(ledger):
    with ledger.store.write() as rows:
        for number in range(5):
            rows.execute(INSERT, (str(number), float(number)))

    chunks = ledger.store.chunks("SELECT at FROM marks WHERE at > ? ORDER BY at", (0.0,), 3)

    assert [[at for (at,) in chunk] for chunk in chunks] == [[1.0, 2.0, 3.0], [4.0]]


def test_one_statement_takes_the_largest_number_of_parameters(ledger):
    marks = ", ".join("?" * MAX_PARAMETERS)
    statement = f"SELECT mark FROM marks WHERE mark IN ({marks})"

    with ledger.store.read() as table:
        found = table.execute(statement, [str(n) for n in range(MAX_PARAMETERS)]).fetchall()

    assert found == []


def test_a_store_can_be_used_again_after_it_was_closed(ledger):
    with ledger.store.write() as rows:
        rows.execute(INSERT, ("a", 1.0))
    ledger.store.close()

    assert count(ledger.store) == 1
