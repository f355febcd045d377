"""Turns in the ledger: a row when the request leaves, completed once when it ends."""

import sqlite3
import subprocess
import sys

import pytest

from swiftask_jupyter.answers.turn import Delta, Finish, Usage
from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.ledger.usage import UsageFilter, UsageQueries
from swiftask_jupyter.turns.budget import parse_budget
from tests.support.ledgers import a_reply, read

IN_A_FILE = pytest.mark.parametrize("ledger", ["sqlite"], indirect=True)


@pytest.fixture
def turns(ledger):
    return ledger.turns


def rows(turns):
    """Return all rows of the ledger, oldest first."""
    return read(turns._store)


def test_a_turn_is_a_running_row_as_soon_as_it_begins(turns):
    reply = a_reply()

    turns.begin(reply)

    (row,) = rows(turns)
    assert (row["turn"], row["status"], row["notebook"]) == (reply.id, "running", "/nb.ipynb")


def test_a_lone_surrogate_in_a_name_is_stored_as_a_question_mark(ledger):
    """A path that is not UTF-8 contains lone surrogates, as does a name from a broken front end."""
    name, notebook = "half \ud83d", "/half \udcff.ipynb"
    session = ledger.sessions.create(notebook, name)
    ledger.sessions.assign(name, notebook, name)
    ledger.budgets.set(parse_budget("5 calls/session", name, notebook))
    reply = a_reply()
    reply.agent = name
    reply.session, reply.notebook = name, notebook
    ledger.turns.begin(reply)
    ledger.history.mark("picked", name, reply.id, name)

    (mark,) = ledger.history.marks(ledger.history.segments(name))
    assert mark.value == "half ?"
    assert session.startswith("half ?-")
    assert ledger.sessions.find(notebook, name) == "half ?"
    assert ledger.sessions.location(name).name == "half ?"
    assert ledger.sessions.names(notebook) == ["half ?"]
    assert ledger.history.segments(name)[0].session == "half ?"
    assert ledger.budgets.check(reply) == []
    assert ledger.budgets.spent(ledger.budgets.all()[0], name).calls == 1
    assert ledger.turns.costs(name) == []
    (row,) = UsageQueries(ledger.store).rows(["agent"], UsageFilter(None, name, notebook, name))
    assert row == [("half ?",)]


def test_a_completed_turn_is_never_changed_again(turns):
    reply = a_reply()
    turns.begin(reply)
    reply.apply([Delta("hi"), Finish("stop"), Usage(1, 2, 3, 3, source="stream")])
    reply.status = "ok"

    turns.complete(reply)
    reply.status = "error"
    turns.complete(reply)

    (row,) = rows(turns)
    assert (row["status"], row["input_tokens"], row["usage_source"]) == ("ok", 1, "stream")


def test_turns_are_numbered_within_their_session(turns):
    numbers = []
    for session in ("main", "main", "other", "third", "main"):
        reply = a_reply(session=session)
        turns.begin(reply)
        numbers.append(reply.number)

    assert numbers == [1, 2, 1, 1, 3]


@IN_A_FILE
def test_the_turn_of_a_killed_process_has_the_status_lost(turns, tmp_path):
    code = """
import os, sys, time
from pathlib import Path
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.ledger import SQLiteStore, Turns
from swiftask_jupyter.answers.turn import new_id
turns = Turns(SQLiteStore(Path(sys.argv[1])))
turns.begin(Reply(agent="echo", id=new_id(), at=time.time(), session="main", prompt="hello"))
os._exit(9)
"""
    path = tmp_path / "deep" / "turns.db"
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    (row,) = rows(turns)
    assert row["status"] == "lost"


def test_a_lone_surrogate_in_a_prompt_or_answer_can_be_stored(turns):
    reply = a_reply()
    reply.prompt = "hello \ud800"
    turns.begin(reply)
    reply.apply([Delta("\udfff")])
    reply.status = "ok"
    turns.complete(reply)

    assert rows(turns)[0]["status"] == "ok"


def test_processes_that_open_a_new_ledger_at_once_all_write_to_it(tmp_path):
    code = """
import sys, time
from pathlib import Path
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.ledger import SQLiteStore, Turns
from swiftask_jupyter.answers.turn import new_id
turns = Turns(SQLiteStore(Path(sys.argv[1])))
for _ in range(50):
    reply = Reply(agent="echo", id=new_id(), at=time.time(), session="main", prompt="hello")
    turns.begin(reply)
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


def test_many_turns_can_begin_and_complete_in_one_transaction(turns):
    first, second = a_reply(), a_reply()
    turns.group([first], [])
    first.status = "ok"
    first.apply([Delta("hi")])

    turns.group([second], [first])

    assert [row["status"] for row in rows(turns)] == ["ok", "running"]


def test_a_group_of_turns_is_written_completely_or_not_at_all(turns):
    reply = a_reply()
    turns.group([reply], [])

    with pytest.raises(StoreError):
        turns.group([a_reply(), reply], [])

    assert len(rows(turns)) == 1
