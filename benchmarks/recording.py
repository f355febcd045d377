"""Recording turns from 8 processes at once, beside one bare SQLite commit.

Each process begins and completes 10 turns a second, as a busy kernel does; then, in turn, each
inserts one row and commits it, with the same settings and at the same rate. Times are wall
clock, of each transaction; the busy waits of eight writers on one file are in them.

Target: none lost.
"""

import json
import os
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from _measure import python, table

PROCESSES = 8
TURNS = 100
RATE = 10.0
ROUNDS = 3
PACED = """
import json, sys, time
path, turns, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
taken = []
def run(steps):
    start = time.perf_counter()
    for number in range(turns):
        time.sleep(max(0, start + number / rate - time.perf_counter()))
        for step in steps:
            began = time.perf_counter()
            step()
            taken.append(time.perf_counter() - began)
    print(json.dumps(taken))
"""
OURS = (
    PACED
    + """
from pathlib import Path
from swiftask_jupyter.answers.turn import Delta, Usage
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.ledger import SQLiteStore, Turns
from swiftask_jupyter.answers.turn import new_id
table = Turns(SQLiteStore(Path(path)))
def begin():
    global reply
    reply = Reply(agent="echo", id=new_id(), session="main-1", dialect="openai", at=time.time(),
                  notebook="/n.ipynb", prompt="a prompt of some words " * 20)  # fmt: skip
    table.begin(reply)
def complete():
    reply.apply([Delta("an answer of some more words " * 60)])
    reply.status, reply.usage = "ok", Usage(100, 300, 400, 400, 0.5, "stream")
    table.complete(reply)
run([begin, complete])
"""
)
BARE = (
    PACED
    + """
import sqlite3
rows = sqlite3.connect(path, timeout=30, isolation_level=None)
rows.execute("PRAGMA journal_mode = WAL"); rows.execute("PRAGMA synchronous = NORMAL")
rows.execute("CREATE TABLE IF NOT EXISTS rows (at REAL, text TEXT)")
def insert():
    rows.execute("BEGIN IMMEDIATE")
    rows.execute("INSERT INTO rows VALUES (?, ?)", (time.time(), "some words " * 200))
    rows.execute("COMMIT")
run([insert])
"""
)


def together(code: str, path: Path) -> list[float]:
    """Run the code in all processes at once; return the seconds of each transaction."""
    command = [python(), "-c", code, str(path), str(TURNS), str(RATE)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(PROCESSES)
    ]
    told = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError("a process failed")
    return [seconds for each in told for seconds in json.loads(each)]


def main() -> None:
    """Measure and print."""
    taken: dict[str, list[float]] = {"bare": [], "ours": []}
    kept = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            taken["bare"] += together(BARE, Path(folder) / f"bare-{number}.db")
            ledger = Path(folder) / f"turns-{number}.db"
            taken["ours"] += together(OURS, ledger)
            with sqlite3.connect(ledger) as rows:
                kept += rows.execute("SELECT count(*) FROM turns WHERE status='ok'").fetchone()[0]
    begun, completed = taken["ours"][::2], taken["ours"][1::2]
    cases = {"bare insert": taken["bare"], "a turn begun": begun, "a turn completed": completed}
    rows = []
    for name, every in cases.items():
        ordered = sorted(every)
        p50, p99 = (ordered[int(len(ordered) * part)] * 1000 for part in (0.5, 0.99))
        rows.append([name, f"{len(every):,}", f"{p50:.2f}", f"{p99:.2f}"])
    table(
        f"{PROCESSES} processes, {RATE:.0f} turns a second each: ms a transaction",
        ["", "transactions", "p50", "p99"],
        rows,
    )
    print(f"\nrecorded: {kept:,} of {ROUNDS * PROCESSES * TURNS:,} turns")


if __name__ == "__main__":
    main()
