"""A ledger with many writing processes, and with processes killed at random moments."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest

from swiftask_jupyter import Swiftask

ASK = """
import sys, time
from swiftask_jupyter import Swiftask
from swiftask_jupyter.conversation.session import TurnPlacement
url, token, store, seconds, name = sys.argv[1:]
with Swiftask(base_url=url, token=token, agent="echo", dialect="openai", store=store,
              notebook="/shared.ipynb") as client:
    session, end, count = client.session(), time.monotonic() + float(seconds), 0
    while time.monotonic() < end:
        count += 1
        origin = TurnPlacement("python", f"{name} {count % 3}")
        answer = session.stream_from(origin, f"{name} {count}", last=2).answer
        print(answer.turn, flush=True)
"""


def start_writer(box, store, seconds, name):
    """Start a process that asks for that many seconds and prints the id of each turn."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", ASK, box.url, box.token, store, str(seconds), name],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def write_concurrently(box, store, seconds):
    """Check that eight processes on one notebook lose no row; return the number of rows."""
    writers = [start_writer(box, store, seconds, f"writer {n}") for n in range(8)]
    outputs = [writer.communicate(timeout=120) for writer in writers]

    assert [writer.returncode for writer in writers] == [0] * 8
    assert [errors for _, errors in outputs] == [""] * 8
    turns = [turn for printed, _ in outputs for turn in printed.split()]
    with Swiftask(store=store) as client:
        frame = client.usage()
    assert sorted(frame["turn"]) == sorted(turns)
    assert set(frame["status"]) == {"ok"}
    assert len(set(frame["session"])) == 1
    return len(turns)


def test_eight_processes_that_write_for_two_seconds_lose_no_row(box, tmp_path):
    assert write_concurrently(box, str(tmp_path / "turns.db"), 2) > 8


@pytest.mark.soak
def test_eight_processes_that_write_for_ten_seconds_lose_no_row(box, tmp_path):
    print(write_concurrently(box, str(tmp_path / "turns.db"), 10), "turns")  # noqa: T201


def kill_at_random(box, store, times):
    """Check that each printed turn is stored once and that an unfinished one is lost."""
    chance, printed = random.Random(7), []
    for number in range(times):
        writer = start_writer(box, store, 60, f"writer {number}")
        printed.append(writer.stdout.readline().strip())
        time.sleep(chance.uniform(0, 0.1))
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        printed += [line for line in rest.split("\n") if len(line) == 32]

    connection = sqlite3.connect(store)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with Swiftask(store=store, notebook="/shared.ipynb") as client:
        frame, held = client.usage(), client.session().history()
    done = set(frame["turn"][frame["status"] == "ok"])
    assert set(printed) <= done
    assert frame["turn"].is_unique
    assert set(frame["status"]) <= {"ok", "lost"}
    assert len(held) <= 3 * times
    return Counter(frame["status"])


def test_processes_killed_while_they_write_lose_no_finished_turn(box, tmp_path):
    kill_at_random(box, str(tmp_path / "turns.db"), 3)


@pytest.mark.soak
def test_fifty_processes_killed_at_random_lose_no_finished_turn(box, tmp_path):
    print(kill_at_random(box, str(tmp_path / "turns.db"), 50))  # noqa: T201
