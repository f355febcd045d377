"""A ledger on a disk that has no write-ahead log works all the same, and says so."""

import os
import sqlite3
import threading
from pathlib import PureWindowsPath

import pytest

from swiftask_jupyter import Swiftask
from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.ledger import sqlite as journal
from swiftask_jupyter.ledger.sqlite import SQLiteStore


@pytest.fixture
def mounts(monkeypatch, tmp_path):
    """What is mounted where, as Linux tells it."""
    file = tmp_path / "mounts"
    home = str(tmp_path / "network home").replace(" ", "\\040")
    file.write_text(
        "/dev/sda1 / ext4 rw 0 0\n"
        f"server:/home {home} nfs4 rw 0 0\n"
        f"/dev/sdb1 {home}/scratch xfs rw 0 0\n"
    )
    monkeypatch.setattr(journal, "MOUNTS", file)
    return tmp_path / "network home"


def mode(path):
    connection = sqlite3.connect(path)
    (found,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    return found


def test_a_networks_file_system_is_known_by_its_mount(mounts, monkeypatch):
    assert journal.network_file_system(mounts / "ada" / "turns.db") == "nfs4"
    assert journal.network_file_system(mounts / "scratch" / "turns.db") is None
    assert journal.network_file_system(mounts.parent / "turns.db") is None
    monkeypatch.setattr(journal, "MOUNTS", mounts / "none")
    assert journal.network_file_system(mounts / "ada" / "turns.db") is None


def test_a_networks_disk_behind_a_symlink_is_one(mounts):
    home = mounts.parent / "home"
    mounts.mkdir()
    home.symlink_to(mounts)

    assert journal.network_file_system(home / "turns.db") == "nfs4"


def test_a_mount_of_any_name_is_known(monkeypatch, tmp_path):
    name = tmp_path / "a\ttab, a\nline, a \\ and \x85 and \udcff"
    shown = str(name)
    for each in "\\\t\n ":
        shown = shown.replace(each, f"\\{ord(each):03o}")
    (tmp_path / "mounts").write_bytes(
        os.fsencode(f"/dev/sda / ext4 rw 0 0\nx {shown} cifs rw 0 0\n")
    )
    monkeypatch.setattr(journal, "MOUNTS", tmp_path / "mounts")

    assert journal.network_file_system(name / "turns.db") == "cifs"
    assert journal.network_file_system(tmp_path / "turns.db") is None


@pytest.mark.parametrize(
    ("path", "share"),
    [
        (r"\\server\homes\ada\turns.db", r"\\server\homes"),
        (r"\\?\UNC\server\homes\turns.db", r"\\server\homes"),
        (r"\\?\C:\Users\ada\turns.db", None),
        (r"\\.\C:\turns.db", None),
        (r"C:\Users\ada\turns.db", None),
    ],
)
def test_a_path_of_windows_network_is_one(path, share):
    assert journal.unc_share(PureWindowsPath(path)) == share


def test_a_local_ledger_writes_ahead(tmp_path):
    database = SQLiteStore(tmp_path / "turns.db")
    with database.write():
        pass
    database.close()

    assert mode(tmp_path / "turns.db") == "wal"


def test_on_a_networks_disk_the_ledger_works_without_and_warns_once(box, mounts):
    path = mounts / "turns.db"
    client = Swiftask(base_url=box.url, token=box.token, agent="echo", store=path)

    with pytest.warns(journal.LedgerWarning, match=r"network's file system \(nfs4\)") as told:
        assert [client.ask(text).text for text in ("hello", "again")] == ["hello", "again"]
    client.close()

    assert len(told) == 1
    assert mode(path) == "delete"


def mark(database, value="x"):
    with database.write() as rows:
        rows.execute(
            "INSERT INTO marks (mark, at, kind, value) VALUES (hex(randomblob(8)), 1, 'x', ?)",
            (value,),
        )


@pytest.mark.filterwarnings("ignore::swiftask_jupyter.ledger.sqlite.LedgerWarning")
def test_a_reader_that_holds_up_a_commit_costs_that_one_write_alone(mounts, monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite.BUSY_SECONDS", 0.0)
    database = SQLiteStore(mounts / "turns.db")
    mark(database)
    reader = sqlite3.connect(mounts / "turns.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM marks").fetchall()
    with pytest.raises(StoreError, match=r"database is locked.*try again when it is done"):
        mark(database)
    reader.close()

    mark(database)

    with database.read() as table:
        assert table.execute("SELECT count(*) FROM marks").fetchone() == (2,)
    database.close()


def test_a_fresh_ledger_that_another_holds_is_waited_for_and_has_a_log(monkeypatch, tmp_path):
    holder = sqlite3.connect(tmp_path / "turns.db", isolation_level=None)
    holder.execute("CREATE TABLE marks_of_another (x)")
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM marks_of_another").fetchall()
    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite.BUSY_SECONDS", 0.0)
    database = SQLiteStore(tmp_path / "turns.db")
    with pytest.raises(StoreError, match=r"database is locked.*try again when it is done"):
        mark(database)

    def connect(path):  # SQLite does not wait, as where two turn the log on at once
        return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)

    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite.BUSY_SECONDS", 30.0)
    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite._connect", connect)
    monkeypatch.setattr(journal.time, "sleep", lambda _: holder.close())
    mark(database)
    database.close()

    assert mode(tmp_path / "turns.db") == "wal"


def test_a_full_disk_is_called_one_and_costs_that_one_write_alone(tmp_path):
    database = SQLiteStore(tmp_path / "turns.db")
    mark(database)
    writer = database._writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreError, match="database or disk is full"):
        mark(database, "x" * 100_000)
    mark(database)

    with database.read() as table:
        assert table.execute("SELECT count(*) FROM marks").fetchone() == (2,)
    database.close()


@pytest.mark.filterwarnings("ignore::swiftask_jupyter.ledger.sqlite.LedgerWarning")
def test_where_sqlite_itself_has_no_log_threads_still_lose_nothing(monkeypatch, tmp_path):
    """SQLite's own file system without shared memory stands in for such a disk."""

    def connect(path):
        return sqlite3.connect(
            f"file:{path}?vfs=unix-dotfile", uri=True, timeout=30, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip

    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite._connect", connect)
    databases = [SQLiteStore(tmp_path / "turns.db") for _ in range(3)]

    def write(database):
        for _ in range(10):
            mark(database)

    threads = [threading.Thread(target=write, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with databases[0].read() as table:
        assert table.execute("SELECT count(*) FROM marks").fetchone() == (30,)
        assert table.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    for database in databases:
        database.close()
