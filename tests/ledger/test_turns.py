"""The ledger on disk: begun, completed once, and nothing lost."""

import ctypes
import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from swiftask_jupyter.answers.reply import Delta, Finish, Reply, Usage
from swiftask_jupyter.errors import ConfigurationError, StoreError
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.opening import open_store
from swiftask_jupyter.ledger.owner import is_alive, this_process
from swiftask_jupyter.ledger.schema import COLUMNS
from swiftask_jupyter.ledger.sqlite import SQLiteStore
from swiftask_jupyter.ledger.turns import Place, new_id
from swiftask_jupyter.ledger.usage import Accounts, UsageFilter
from swiftask_jupyter.turns.budget import parse_budget

PLACE = Place("/nb.ipynb", "main")
IN_A_FILE = pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)


@pytest.fixture
def turns(ledger):
    return ledger.turns


def a_reply(**fields):
    return Reply("echo", turn=new_id(), session="main", dialect="openai", at=time.time(), **fields)


def rows(turns):
    return read(turns._store)


def read(database):
    names = [column.name for column in COLUMNS]
    chunks = Accounts(database).rows(names, UsageFilter())
    found = (dict(zip(names, row, strict=True)) for chunk in chunks for row in chunk)
    return sorted(found, key=lambda row: (row["at"], row["turn"]))


def test_a_turn_is_a_row_from_the_moment_it_begins(turns):
    reply = a_reply()

    turns.begin(reply, PLACE, "hello")

    (row,) = rows(turns)
    assert (row["turn"], row["status"], row["notebook"]) == (reply.turn, "running", "/nb.ipynb")


def test_names_with_half_a_character_are_stored_as_no_character(ledger):
    """A path that is no UTF-8 has such halves, and a name typed by a broken front end."""
    half, place = "half \ud83d", Place("/half \udcff.ipynb", "half \ud83d")
    session = ledger.sessions.begin(place.notebook, half)
    ledger.sessions.place(place.session, place.notebook, half)
    ledger.budgets.set(parse_budget("5 calls/session", half, place.notebook))
    reply = a_reply()
    reply.agent = half
    ledger.turns.begin(reply, place, "hello")
    ledger.history.mark("picked", half, reply.turn, half)

    (mark,) = ledger.history.marks(ledger.sessions.lines(half))
    assert mark.value == "half ?"
    assert session.startswith("half ?-")
    assert ledger.sessions.find(place.notebook, half) == "half ?"
    assert ledger.sessions.known(half).name == "half ?"
    assert ledger.sessions.names(place.notebook) == ["half ?"]
    assert ledger.sessions.lines(half)[0].session == "half ?"
    assert ledger.budgets.check(reply, place) == []
    assert ledger.budgets.spent(ledger.budgets.all()[0], half).calls == 1
    assert ledger.turns.costs(half) == []
    (row,) = Accounts(ledger.store).rows(["agent"], UsageFilter(None, half, place.notebook, half))
    assert row == [("half ?",)]


def test_a_turn_is_completed_once_and_never_again(turns):
    reply = a_reply()
    turns.begin(reply, PLACE, "hello")
    reply.apply([Delta("hi"), Finish("stop"), Usage(1, 2, 3, 3, source="stream")])
    reply.status = "ok"

    turns.complete(reply)
    reply.status = "error"
    turns.complete(reply)

    (row,) = rows(turns)
    assert (row["status"], row["input_tokens"], row["usage_source"]) == ("ok", 1, "stream")


def test_turns_are_numbered_in_their_session(turns):
    numbers = []
    for place in (PLACE, PLACE, Place("/nb.ipynb", "other"), Place(None, "third"), PLACE):
        reply = a_reply()
        turns.begin(reply, place, "x")
        numbers.append(reply.number)

    assert numbers == [1, 2, 1, 1, 3]


@IN_A_FILE
def test_a_turn_of_a_killed_process_is_lost_and_still_counted(turns, tmp_path):
    code = """
import os, sys, time
from pathlib import Path
from swiftask_jupyter.answers.reply import Reply
from swiftask_jupyter.ledger import SQLiteStore, Turns
from swiftask_jupyter.ledger.turns import Place, new_id
turns = Turns(SQLiteStore(Path(sys.argv[1])))
turns.begin(Reply("echo", turn=new_id(), at=time.time()), Place(None, "main"), "hello")
os._exit(9)
"""
    path = tmp_path / "deep" / "turns.db"
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    (row,) = rows(turns)
    assert row["status"] == "lost"


def test_half_a_surrogate_pair_does_not_stop_the_ledger(turns):
    reply = a_reply()
    turns.begin(reply, PLACE, "hello \ud800")
    reply.apply([Delta("\udfff")])
    reply.status = "ok"
    turns.complete(reply)

    assert rows(turns)[0]["status"] == "ok"


@IN_A_FILE
@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions elsewhere")
def test_only_the_owner_reads_the_ledger(turns, tmp_path):
    turns.begin(a_reply(), PLACE, "secret thoughts")

    for path in (tmp_path / "deep").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_a_ledger_nobody_has_any_more_closes_its_file(tmp_path):
    database = SQLiteStore(tmp_path / "ledger.db")
    with database.read() as reader, database.write() as writer:
        pass
    del database
    for connection in (reader, writer):
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_a_path_that_can_not_be_used_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(StoreError, match="SWIFTASK_STORE"):
        read(SQLiteStore(tmp_path / "file" / "turns.db"))


def test_a_file_that_is_no_ledger_is_one_clear_line_and_stays_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes " * 1000)

    with pytest.raises(StoreError, match=r"notes\.txt"):
        read(SQLiteStore(path))
    assert path.read_text() == "my notes " * 1000


def test_processes_that_open_the_ledger_at_once_all_write_to_it(tmp_path):
    code = """
import sys, time
from pathlib import Path
from swiftask_jupyter.answers.reply import Reply
from swiftask_jupyter.ledger import SQLiteStore, Turns
from swiftask_jupyter.ledger.turns import Place, new_id
turns = Turns(SQLiteStore(Path(sys.argv[1])))
for _ in range(50):
    reply = Reply("echo", turn=new_id(), at=time.time())
    turns.begin(reply, Place(None, "main"), "hello")
    reply.status = "ok"
    turns.complete(reply)
"""
    path = tmp_path / "turns.db"
    writers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code, str(path)]) for _ in range(4)
    ]

    assert [writer.wait(120) for writer in writers] == [0] * 4
    connection = sqlite3.connect(path)
    count = connection.execute("SELECT count(*) FROM turns WHERE status = 'ok'").fetchone()
    connection.close()
    assert count == (200,)


def test_this_process_is_alive_and_one_that_ended_is_not():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host, _, _ = this_process().split(":")

    assert is_alive(this_process())
    assert not is_alive(f"{host}:{ended.pid}:0")
    assert is_alive("another-host:1:0")


def test_on_windows_a_process_is_alive_until_it_has_ended(monkeypatch):
    """No other system has these calls: what they say of five processes is made up."""
    ended = {11: 259, 12: 0, 13: 1}  # with what; 259 is not yet
    errors = {14: 5, 15: 87}  # access denied; there is none
    asked, closed = [], []

    def open_process(rights, inherit, pid):
        assert (rights, inherit) == (0x1000, 0)
        asked.append(pid)
        return pid if pid in ended else None

    def exit_code(handle, code):
        code._obj.value = ended[handle.value]
        return 1

    kernel = SimpleNamespace(
        OpenProcess=open_process,
        GetExitCodeProcess=exit_code,
        CloseHandle=lambda handle: closed.append(handle.value),
    )
    host = this_process().split(":")[0]
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("swiftask_jupyter.ledger.owner._start", lambda _: "")
    monkeypatch.setattr(ctypes, "WinDLL", lambda *_, **__: kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: errors[asked[-1]], raising=False)

    there = [is_alive(f"{host}:{pid}:") for pid in (11, 12, 13, 14, 15)]

    assert there == [True, False, False, True, False]
    assert closed == [11, 12, 13]


def test_a_ledger_of_the_first_version_keeps_every_row(tmp_path):
    path = tmp_path / "turns.db"
    path.write_bytes((Path(__file__).parent / "fixtures" / "first.db").read_bytes())
    ledger = Ledger(SQLiteStore(path))

    kept = read(ledger.store)

    assert [row["status"] for row in kept] == ["ok", "error", "interrupted"]
    assert [row["input_tokens"] for row in kept] == [10, None, None]
    assert kept[1]["error"] == "BadRequest: 400"
    reply = a_reply()
    ledger.turns.begin(reply, PLACE, "hello")
    assert (reply.number, len(read(ledger.store))) == (1, 4)
    with ledger.store.read() as table:
        texts = table.execute("SELECT prompt, answer FROM texts ORDER BY turn").fetchall()
    assert texts[0] == ("hello", "hello yourself")
    ledger.close()


def test_many_turns_are_begun_and_completed_in_one_transaction(turns):
    first, second = a_reply(), a_reply()
    turns.group([(first, PLACE, "one")], [])
    first.status = "ok"
    first.apply([Delta("hi")])

    turns.group([(second, PLACE, "two")], [(first, PLACE, "one")])

    assert [row["status"] for row in rows(turns)] == ["ok", "running"]


def test_a_group_that_cannot_be_written_whole_is_not_written_at_all(turns):
    reply = a_reply()
    turns.group([(reply, PLACE, "one")], [])

    with pytest.raises(StoreError):
        turns.group([(a_reply(), PLACE, "two"), (reply, PLACE, "one")], [])

    assert len(rows(turns)) == 1


@pytest.mark.parametrize(
    "named",
    [
        "postgresql+psycopg://ada:s3cret@db/turns", "mysql://ada:s3cret@db/turns",
        "sqlite:///s3cret.db", "jdbc:postgresql://ada:s3cret@db/turns", "ada:s3cret@db/turns",
        "host=db password=s3cret", "sslmode=require PASSWORD = s3cret",
        "postgresql:/ada:s3cret@db/turns", "postgresql://ada:s3c@ret@db/turns",
        "postgresql://ada:s3c/ret@db/turns", Path("postgresql://ada:s3cret@db/turns"),
        "postgresql://ada:s3c%ret@db/turns", "postgresql://ada:s3c%00ret@db/turns",
        "postgresql://ada:s3c ret@db/turns", "postgresql://ada@db/turns?password=s3c%",
    ],
)  # fmt: skip
def test_a_ledger_named_in_no_way_we_know_is_refused_and_no_password_repeated(named):
    with pytest.raises(ConfigurationError, match="ledger") as raised:
        open_store(named, {})

    assert "s3c" not in str(raised.value)


@pytest.mark.parametrize(
    "named", ["POSTGRESQL://ada:s3cret@db/turns", " Postgres://ada:s3cret@db/turns?sslmode=require"]
)
def test_a_server_is_one_however_its_scheme_is_spelled(named, tmp_path):
    assert "db/turns" in (shown := str(open_store(named, {"SWIFTASK_OUTBOX": str(tmp_path)})))
    assert "postgres" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    "named", ["run=3/turns.db", "a b/me@home.db", "C:/turns.db", "turns.db", "~nobody-here/x.db"]
)
def test_a_path_of_any_look_is_a_path(named):
    assert open_store(named, {}).path == Path(named).absolute()
