"""The migrations: every earlier ledger gets the newest tables, and loses nothing."""

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest

from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.migrations import MIGRATIONS, POSTGRES_EXTRAS
from swiftask_jupyter.ledger.sqlite import SQLiteStore
from tests.support.ledgers import a_reply, read


def test_a_ledger_of_the_first_version_is_migrated_with_all_its_rows(tmp_path):
    path = tmp_path / "turns.db"
    path.write_bytes((Path(__file__).parent / "fixtures" / "first.db").read_bytes())
    ledger = Ledger(SQLiteStore(path))

    kept = read(ledger.store)

    assert [row["status"] for row in kept] == ["ok", "error", "interrupted"]
    assert [row["input_tokens"] for row in kept] == [10, None, None]
    assert kept[1]["error"] == "BadRequest: 400"
    reply = a_reply()
    ledger.turns.begin(reply)
    assert (reply.number, len(read(ledger.store))) == (1, 4)
    with ledger.store.read() as table:
        texts = table.execute("SELECT prompt, answer FROM texts ORDER BY turn").fetchall()
    assert texts[0] == ("hello", "hello yourself")
    ledger.close()


@pytest.mark.parametrize("count", range(len(MIGRATIONS)))
def test_a_ledger_of_any_version_gets_the_newest_tables(tmp_path, count):
    def tables(path):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()

    with contextlib.closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
        for statement in (each for migration in MIGRATIONS[:count] for each in migration):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {count}")
    for name in ("old.db", "new.db"):
        store = SQLiteStore(tmp_path / name)
        with store.read():
            pass
        store.close()

    assert tables(tmp_path / "old.db") == tables(tmp_path / "new.db")


def test_a_migration_only_adds_tables_columns_and_indexes():
    adds = re.compile(r"CREATE (TABLE|INDEX) |ALTER TABLE \w+ ADD COLUMN ")

    assert [each for one in MIGRATIONS for each in one if not adds.match(each)] == []


def test_what_postgresql_needs_besides_follows_an_existing_migration():
    assert set(POSTGRES_EXTRAS) <= {*range(1, len(MIGRATIONS) + 1)}
