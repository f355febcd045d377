"""A ledger of 1,000,000 turns as DataFrames, beside pandas on the same file.

Each case runs in a process of its own, pandas imported before the clock starts. CPU is that of
the process and its children, memory the most that was resident beyond what the imports took, a
child's whole added. All read the same columns, the error of failed turns included, no texts.

Targets: the full frame with Arrow at most 0.4 of `pd.read_sql`'s CPU and memory, without at most
its CPU and half its memory; one notebook less than a tenth of the full frame; sums in the database
at most 1.5 times the bare SQL of the same columns.

`python benchmarks/usage_frame.py 100000` makes a smaller one.
"""

import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _measure import child_figures, median, table

from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.schema import COLUMNS
from swiftask_jupyter.ledger.sqlite import SQLiteStore
from swiftask_jupyter.ledger.usage import MEASURES, UsageFilter

TURNS = 1_000_000
ROUNDS = 3
NOTEBOOKS = 200
NAMES = [column.name for column in COLUMNS]
MEASURE = """
import json, resource, sys
from pathlib import Path
import numpy, pandas as pd, pyarrow, pyarrow.parquet, sqlite3
from swiftask_jupyter.ledger import SQLiteStore, Ledger
from swiftask_jupyter.usage import arrow, ledger, frames
import swiftask_jupyter.usage.accessor
def seconds():
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)
def peak(who):
    return resource.getrusage(who).ru_maxrss / 1024
path = Path(PATH)
accounts = Ledger(SQLiteStore(path)).accounts
accounts.has(1, ledger.Selection())
before, spent = peak(resource.RUSAGE_SELF), seconds()
made = RUN
spent = seconds() - spent
memory = peak(resource.RUSAGE_SELF) - before + peak(resource.RUSAGE_CHILDREN)
print(json.dumps({"cpu": spent, "memory": memory, "rows": len(made)}))
"""
WITHOUT = "(setattr(arrow, 'WORTH_IT', 10**12), ledger.usage(accounts))[1]"


def turns(count: int) -> Iterator[tuple[object, ...]]:
    """Made-up turns of some months, as a busy team has them."""
    chance = random.Random(1)
    notebooks = [f"/home/ada/work/project-{n % 7}/analysis-{n}.ipynb" for n in range(NOTEBOOKS)]
    cells = [[f"{chance.getrandbits(32):08x}" for _ in range(40)] for _ in notebooks]
    at = 1.7e9
    for number in range(count):
        at += chance.expovariate(1 / 25)
        n, fate = chance.randrange(NOTEBOOKS), chance.random()
        status = "ok" if fate < 0.96 else "error" if fate < 0.985 else "interrupted"
        told = status == "ok" and chance.random() < 0.8
        sent, got = chance.randrange(2_000), chance.randrange(900)
        cell = chance.choice(cells[n])
        yield (
            f"{int(at * 1000):012x}{chance.getrandbits(80):020x}", at, notebooks[n],
            f"main-{n:08x}", number // NOTEBOOKS, cell, cell, "cell",
            f"agent-{chance.randrange(12)}", chance.choice(("openai", "native")), status,
            "stop" if status == "ok" else None, 1, chance.random() * 9,
            None if status == "error" else chance.random(), sent if told else None,
            got if told else None, sent + got if told else None, sent + got if told else None,
            chance.random() * 3 if told else None, "stream" if told else "none", 0,
            f"{chance.getrandbits(256):064x}",
        )  # fmt: skip


def make(path: Path, count: int) -> None:
    """Write a ledger of so many turns, texts included."""
    database = SQLiteStore(path)
    columns = [name for name in NAMES if name != "error"]
    marks = ", ".join("?" * len(columns))
    with database.write() as rows:
        rows.executemany(
            f"INSERT INTO turns ({', '.join(columns)}, owner) VALUES ({marks}, 'here:1:1')",
            turns(count),
        )
        rows.execute(
            "INSERT INTO texts (turn, error, prompt, answer) SELECT turn, CASE WHEN status ="
            " 'error' THEN 'the service answered 500' END, hex(randomblob(150)),"
            " hex(randomblob(400)) FROM turns"
        )
    database.close()


def cases(path: Path, parquet: Path) -> dict[str, str]:
    """What is run, by name."""
    accounts = Ledger(SQLiteStore(path)).accounts
    everything, _ = accounts.query(NAMES, UsageFilter())
    called = "status <> 'refused' AND coalesce(cached, 0) = 0"
    counts = ", ".join(
        f"sum(CASE WHEN {called} AND status = '{status}' THEN 1 ELSE 0 END)"
        for status in ("ok", "error", "interrupted", "lost", "running")
    )
    sums = ", ".join(
        f"{kind}(CASE WHEN {called} THEN {name} END)"
        for kind, names in (("sum", MEASURES[9:13]), ("avg", MEASURES[13:]))
        for name in names
    )
    bare = (
        "SELECT agent, CAST(at / 86400 AS INTEGER),"
        f" sum(CASE WHEN {called} THEN 1 ELSE 0 END), {counts},"
        " sum(CASE WHEN status = 'refused' THEN 1 ELSE 0 END), sum(coalesce(cached, 0)),"
        f" sum(CASE WHEN {called} AND coalesce(input_tokens, output_tokens, credits) IS NULL"
        f" THEN 1 ELSE 0 END), {sums}"
        " FROM turns GROUP BY 1, 2"
    )
    few = (
        "SELECT agent, CAST(at / 86400 AS INTEGER), count(*), sum(total_tokens), sum(credits)"
        " FROM turns GROUP BY 1, 2"
    )
    one = f"notebook='/home/ada/work/project-{3}/analysis-{3}.ipynb'"
    return {
        "pd.read_sql": f"pd.read_sql({everything!r}, sqlite3.connect(path))",
        "usage(), with Arrow": "ledger.usage(accounts)",
        "usage(), without": WITHOUT,
        "pd.read_parquet": f"pd.read_parquet({str(parquet)!r})",
        "usage(notebook=…)": f"ledger.usage(accounts, {one})",
        "usage(by='agent,day')": "ledger.usage(accounts, 'agent,day')",
        "bare SQL, same columns": f"sqlite3.connect(path).execute({bare!r}).fetchall()",
        "bare SQL, three sums": f"sqlite3.connect(path).execute({few!r}).fetchall()",
    }


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TURNS
    with tempfile.TemporaryDirectory() as folder:
        path, parquet = Path(folder) / "turns.db", Path(folder) / "usage.parquet"
        make(path, count)
        start = MEASURE.replace("PATH", repr(str(path)))
        child_figures(
            start.replace("RUN", f"ledger.usage(accounts).to_parquet({str(parquet)!r}) or []")
        )
        runs = cases(path, parquet)
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                taken[name].append(child_figures(start.replace("RUN", run)))
    middle = {
        name: {key: median([each[key] for each in every]) for key in every[0]}
        for name, every in taken.items()
    }
    whole = middle["pd.read_sql"]
    rows = [
        [
            name,
            f"{each['rows']:,.0f}",
            f"{each['cpu']:.2f}",
            f"{each['cpu'] / whole['cpu']:.2f}",
            f"{each['memory']:.0f}",
            f"{each['memory'] / whole['memory']:.2f}",
        ]
        for name, each in middle.items()
    ]
    table(
        f"{count:,} turns, median of {ROUNDS}",
        ["", "rows", "CPU s", "÷ read_sql", "peak MB", "÷ read_sql"],
        rows,
    )
    sums = middle["usage(by='agent,day')"]["cpu"] / middle["bare SQL, same columns"]["cpu"]
    print(f"\nsums: {sums:.2f} times the bare SQL")


if __name__ == "__main__":
    main()
