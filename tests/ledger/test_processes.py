"""The ledger under many writers, and under kill -9 at random moments."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest

from swiftask_jupyter import Swiftask
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.sqlite import SQLiteStore

ASK = """
import sys, time
from swiftask_jupyter import Swiftask
url, token, store, seconds, name = sys.argv[1:]
with Swiftask(base_url=url, token=token, agent="echo", dialect="openai", store=store,
              notebook="/shared.ipynb") as client:
    session, end, count = client.session(), time.monotonic() + float(seconds), 0
    while time.monotonic() < end:
        count += 1
        answer = session.ask(f"{name} {count}", slot=f"{name} {count % 3}", last=2)
        print(answer.turn, flush=True)
"""


def start(box, store, seconds, name):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", ASK, box.url, box.token, store, str(seconds), name],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def append_at_once(box, store, seconds):
    """Eight kernels on one notebook: no row is lost, no process fails."""
    writers = [start(box, store, seconds, f"writer {n}") for n in range(8)]
    said = [writer.communicate(timeout=120) for writer in writers]

    assert [(writer.returncode, errors) for writer, (_, errors) in zip(writers, said, strict=True)
            ] == [(0, "")] * 8  # fmt: skip
    told = [turn for turns, _ in said for turn in turns.split()]
    with Swiftask(store=store) as client:
        frame = client.usage()
    assert sorted(frame["turn"]) == sorted(told)
    assert set(frame["status"]) == {"ok"}
    assert len(set(frame["session"])) == 1
    return len(told)


def test_eight_processes_append_for_two_seconds_and_lose_nothing(box, tmp_path):
    assert append_at_once(box, str(tmp_path / "turns.db"), 2) > 8


@pytest.mark.soak
def test_eight_processes_append_for_ten_seconds_and_lose_nothing(box, tmp_path):
    print(append_at_once(box, str(tmp_path / "turns.db"), 10), "turns")  # noqa: T201


def kill_at_random(box, store, times):
    """Every turn whose cell said done is there, and none twice; what was cut is lost."""
    chance, told = random.Random(7), []
    for number in range(times):
        writer = start(box, store, 60, f"writer {number}")
        told.append(writer.stdout.readline().strip())
        time.sleep(chance.uniform(0, 0.1))
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        told += [line for line in rest.split("\n") if len(line) == 32]

    connection = sqlite3.connect(store)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with Swiftask(store=store, notebook="/shared.ipynb") as client:
        frame, held = client.usage(), client.session().history()
    done = set(frame["turn"][frame["status"] == "ok"])
    assert set(told) <= done
    assert frame["turn"].is_unique
    assert set(frame["status"]) <= {"ok", "lost"}
    assert len(held) <= 3 * times
    return Counter(frame["status"])


def test_a_process_killed_while_it_writes_leaves_a_ledger_that_opens(box, tmp_path):
    kill_at_random(box, str(tmp_path / "turns.db"), 3)


@pytest.mark.soak
def test_fifty_processes_killed_at_random_lose_no_turn_that_was_done(box, tmp_path):
    print(kill_at_random(box, str(tmp_path / "turns.db"), 50))  # noqa: T201


def test_two_kernels_that_begin_a_session_at_once_begin_one(tmp_path):
    """Neither had found one: the second is told of the first's when it writes."""
    store = tmp_path / "turns.db"
    first, second = Ledger(SQLiteStore(store)), Ledger(SQLiteStore(store))
    assert second.sessions.find("/nb.ipynb", "main") is None

    session = first.sessions.begin("/nb.ipynb", "main")

    assert second.sessions.begin("/nb.ipynb", "main") == session
    assert second.sessions.begin("/nb.ipynb", "main", instead_of=session) != session
    first.close()
    second.close()
