"""The SQLite store: journal modes, network file systems, locks, full disks and permissions."""

import os
import sqlite3
import stat
import threading
from pathlib import PureWindowsPath

import pytest

from swiftask_jupyter import Swiftask
from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.ledger import sqlite as module
from swiftask_jupyter.ledger.sqlite import SQLiteStore


@pytest.fixture
def mounts(monkeypatch, tmp_path):
    """A mount table with a network file system, and a local disk mounted in it."""
    file = tmp_path / "mounts"
    home = str(tmp_path / "network home").replace(" ", "\\040")
    file.write_text(
        "/dev/sda1 / ext4 rw 0 0\n"
        f"server:/home {home} nfs4 rw 0 0\n"
        f"/dev/sdb1 {home}/scratch xfs rw 0 0\n"
    )
    monkeypatch.setattr(module, "MOUNTS", file)
    return tmp_path / "network home"


def journal_mode(path):
    connection = sqlite3.connect(path)
    (found,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    return found


def test_a_network_file_system_is_recognized_by_its_mount_point(mounts, monkeypatch):
    assert module.network_file_system(mounts / "ada" / "turns.db") == "nfs4"
    assert module.network_file_system(mounts / "scratch" / "turns.db") is None
    assert module.network_file_system(mounts.parent / "turns.db") is None
    monkeypatch.setattr(module, "MOUNTS", mounts / "none")
    assert module.network_file_system(mounts / "ada" / "turns.db") is None


def test_a_network_file_system_is_recognized_behind_a_symlink(mounts):
    home = mounts.parent / "home"
    mounts.mkdir()
    home.symlink_to(mounts)

    assert module.network_file_system(home / "turns.db") == "nfs4"


def test_a_mount_point_with_escaped_characters_is_recognized(monkeypatch, tmp_path):
    name = tmp_path / "a\ttab, a\nline, a \\ and \x85 and \udcff"
    shown = str(name)
    for each in "\\\t\n ":
        shown = shown.replace(each, f"\\{ord(each):03o}")
    (tmp_path / "mounts").write_bytes(
        os.fsencode(f"/dev/sda / ext4 rw 0 0\nx {shown} cifs rw 0 0\n")
    )
    monkeypatch.setattr(module, "MOUNTS", tmp_path / "mounts")

    assert module.network_file_system(name / "turns.db") == "cifs"
    assert module.network_file_system(tmp_path / "turns.db") is None


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
def test_a_windows_network_path_is_recognized(path, share):
    assert module.unc_share(PureWindowsPath(path)) == share


def test_a_local_ledger_uses_a_write_ahead_log(tmp_path):
    store = SQLiteStore(tmp_path / "turns.db")
    with store.write():
        pass
    store.close()

    assert journal_mode(tmp_path / "turns.db") == "wal"


def test_a_ledger_on_a_network_file_system_uses_no_log_and_warns_once(box, mounts):
    path = mounts / "turns.db"
    client = Swiftask(base_url=box.url, token=box.token, agent="echo", store=path)

    with pytest.warns(module.LedgerWarning, match=r"network's file system \(nfs4\)") as warned:
        assert [client.ask(text).text for text in ("hello", "again")] == ["hello", "again"]
    client.close()

    assert len(warned) == 1
    assert journal_mode(path) == "delete"


def write_mark(store, value="x"):
    """Write one row."""
    with store.write() as rows:
        rows.execute(
            "INSERT INTO marks (mark, at, kind, value) VALUES (hex(randomblob(8)), 1, 'x', ?)",
            (value,),
        )


@pytest.mark.filterwarnings("ignore::swiftask_jupyter.ledger.sqlite.LedgerWarning")
def test_a_commit_blocked_by_a_reader_fails_and_the_next_write_succeeds(mounts, monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite.BUSY_SECONDS", 0.0)
    store = SQLiteStore(mounts / "turns.db")
    write_mark(store)
    reader = sqlite3.connect(mounts / "turns.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM marks").fetchall()
    with pytest.raises(StoreError, match=r"database is locked.*try again when it is done"):
        write_mark(store)
    reader.close()

    write_mark(store)

    with store.read() as table:
        assert table.execute("SELECT count(*) FROM marks").fetchone() == (2,)
    store.close()


def test_opening_a_ledger_waits_for_another_connection_and_then_enables_the_log(
    monkeypatch, tmp_path
):
    holder = sqlite3.connect(tmp_path / "turns.db", isolation_level=None)
    holder.execute("CREATE TABLE marks_of_another (x)")
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM marks_of_another").fetchall()
    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite.BUSY_SECONDS", 0.0)
    store = SQLiteStore(tmp_path / "turns.db")
    with pytest.raises(StoreError, match=r"database is locked.*try again when it is done"):
        write_mark(store)

    def connect(path):  # without SQLite's own waiting, as when two enable the log at once
        return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)

    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite.BUSY_SECONDS", 30.0)
    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite._connect", connect)
    monkeypatch.setattr(module.time, "sleep", lambda _: holder.close())
    write_mark(store)
    store.close()

    assert journal_mode(tmp_path / "turns.db") == "wal"


def test_a_write_on_a_full_disk_fails_and_the_next_write_succeeds(tmp_path):
    store = SQLiteStore(tmp_path / "turns.db")
    write_mark(store)
    writer = store._writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreError, match="database or disk is full"):
        write_mark(store, "x" * 100_000)
    write_mark(store)

    with store.read() as table:
        assert table.execute("SELECT count(*) FROM marks").fetchone() == (2,)
    store.close()


@pytest.mark.filterwarnings("ignore::swiftask_jupyter.ledger.sqlite.LedgerWarning")
def test_threads_lose_no_rows_where_sqlite_has_no_write_ahead_log(monkeypatch, tmp_path):
    """SQLite's VFS `unix-dotfile`, which has no shared memory, stands in for such a disk."""

    def connect(path):
        return sqlite3.connect(
            f"file:{path}?vfs=unix-dotfile", uri=True, timeout=30, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip

    monkeypatch.setattr("swiftask_jupyter.ledger.sqlite._connect", connect)
    stores = [SQLiteStore(tmp_path / "turns.db") for _ in range(3)]

    def write(store):
        for _ in range(10):
            write_mark(store)

    threads = [threading.Thread(target=write, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with stores[0].read() as table:
        assert table.execute("SELECT count(*) FROM marks").fetchone() == (30,)
        assert table.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    for store in stores:
        store.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions elsewhere")
def test_only_its_owner_can_read_the_files_of_a_ledger(tmp_path):
    store = SQLiteStore(tmp_path / "deep" / "turns.db")
    write_mark(store, "secret thoughts")

    for path in (tmp_path / "deep").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_a_store_closes_its_connections_when_it_is_garbage_collected(tmp_path):
    store = SQLiteStore(tmp_path / "ledger.db")
    with store.read() as reader, store.write() as writer:
        pass
    del store
    for connection in (reader, writer):
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_the_error_for_an_unusable_path_names_the_setting(tmp_path):
    (tmp_path / "file").write_text("x")

    store = SQLiteStore(tmp_path / "file" / "turns.db")

    with pytest.raises(StoreError, match="SWIFTASK_STORE"), store.read():
        pass


def test_a_file_that_is_not_a_ledger_is_refused_and_not_modified(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes " * 1000)

    with pytest.raises(StoreError, match=r"notes\.txt"), SQLiteStore(path).read():
        pass
    assert path.read_text() == "my notes " * 1000
