"""Read a ledger of 1,000,000 turns into DataFrames, compared with pandas on the same file.

Each case runs in a process of its own and imports pandas before the measurement starts. CPU time
is that of the process and its children. Memory is the peak of resident memory beyond that of the
imports, plus the peak of a child. All cases read the same columns: the errors of failed turns, but
no prompts and answers.

Targets: the full frame with Arrow takes at most 0.4 of the CPU time and memory of `pd.read_sql`;
without Arrow at most its CPU time and half its memory. One notebook takes less than a tenth of the
full frame. Sums by the database take at most 1.5 times the plain SQL for the same columns.

`python benchmarks/usage_frame.py 100000` makes a smaller ledger.
"""

import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _measure import child_figures, median, table

from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.schema import frame_columns
from swiftask_jupyter.ledger.sqlite import SQLiteStore
from swiftask_jupyter.ledger.usage import MEASURES, UsageFilter

TURNS = 1_000_000
ROUNDS = 3
NOTEBOOKS = 200
NAMES = [column.name for column in frame_columns()]
MEASURE = """
import json, resource, sys
from pathlib import Path
import numpy, pandas as pd, pyarrow, pyarrow.parquet, sqlite3
from swiftask_jupyter.ledger import SQLiteStore, Ledger
from swiftask_jupyter.ledger.usage import UsageFilter
from swiftask_jupyter.usage import arrow, query
import swiftask_jupyter.usage.accessor
def seconds():
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)
def peak(who):
    return resource.getrusage(who).ru_maxrss / 1024
path = Path(PATH)
queries = Ledger(SQLiteStore(path)).usage_queries
queries.has(1, UsageFilter())
before, spent = peak(resource.RUSAGE_SELF), seconds()
made = RUN
spent = seconds() - spent
memory = peak(resource.RUSAGE_SELF) - before + peak(resource.RUSAGE_CHILDREN)
print(json.dumps({"cpu": spent, "memory": memory, "rows": len(made)}))
"""
WITHOUT_ARROW = "(setattr(arrow, 'MIN_ROWS', 10**12), query.usage(queries))[1]"


def turns(count: int) -> Iterator[tuple[object, ...]]:
    """Yield random turns of some months, as a busy team has them."""
    chance = random.Random(1)
    notebooks = [f"/home/ada/work/project-{n % 7}/analysis-{n}.ipynb" for n in range(NOTEBOOKS)]
    cells = [[f"{chance.getrandbits(32):08x}" for _ in range(40)] for _ in notebooks]
    at = 1.7e9
    for number in range(count):
        at += chance.expovariate(1 / 25)
        n, fate = chance.randrange(NOTEBOOKS), chance.random()
        status = "ok" if fate < 0.96 else "error" if fate < 0.985 else "interrupted"
        reported = status == "ok" and chance.random() < 0.8
        sent, got = chance.randrange(2_000), chance.randrange(900)
        cell = chance.choice(cells[n])
        yield (
            f"{int(at * 1000):012x}{chance.getrandbits(80):020x}", at, notebooks[n],
            f"main-{n:08x}", number // NOTEBOOKS, cell, cell, "cell",
            f"agent-{chance.randrange(12)}", chance.choice(("openai", "native")), status,
            "stop" if status == "ok" else None, 1, chance.random() * 9,
            None if status == "error" else chance.random(), sent if reported else None,
            got if reported else None, sent + got if reported else None,
            sent + got if reported else None,
            chance.random() * 3 if reported else None, "stream" if reported else "none", 0,
            f"{chance.getrandbits(256):064x}",
        )  # fmt: skip


def make(path: Path, count: int) -> None:
    """Write a ledger of `count` turns with prompts and answers."""
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
    """Return the expression that each case evaluates, by the name of the case."""
    queries = Ledger(SQLiteStore(path)).usage_queries
    everything, _ = queries.query(NAMES, UsageFilter())
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
    plain = (
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
        "usage(), with Arrow": "query.usage(queries)",
        "usage(), without": WITHOUT_ARROW,
        "pd.read_parquet": f"pd.read_parquet({str(parquet)!r})",
        "usage(notebook=…)": f"query.usage(queries, {one})",
        "usage(by='agent,day')": "query.usage(queries, 'agent,day')",
        "plain SQL, same columns": f"sqlite3.connect(path).execute({plain!r}).fetchall()",
        "plain SQL, three sums": f"sqlite3.connect(path).execute({few!r}).fetchall()",
    }


def main() -> None:
    """Run all cases and print the medians."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TURNS
    with tempfile.TemporaryDirectory() as folder:
        path, parquet = Path(folder) / "turns.db", Path(folder) / "usage.parquet"
        make(path, count)
        start = MEASURE.replace("PATH", repr(str(path)))
        child_figures(
            start.replace("RUN", f"query.usage(queries).to_parquet({str(parquet)!r}) or []")
        )
        runs = cases(path, parquet)
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                taken[name].append(child_figures(start.replace("RUN", run)))
    medians = {
        name: {key: median([each[key] for each in every]) for key in every[0]}
        for name, every in taken.items()
    }
    whole = medians["pd.read_sql"]
    rows = [
        [
            name,
            f"{each['rows']:,.0f}",
            f"{each['cpu']:.2f}",
            f"{each['cpu'] / whole['cpu']:.2f}",
            f"{each['memory']:.0f}",
            f"{each['memory'] / whole['memory']:.2f}",
        ]
        for name, each in medians.items()
    ]
    table(
        f"{count:,} turns, median of {ROUNDS}",
        ["", "rows", "CPU s", "÷ read_sql", "peak MB", "÷ read_sql"],
        rows,
    )
    sums = medians["usage(by='agent,day')"]["cpu"] / medians["plain SQL, same columns"]["cpu"]
    print(f"\nsums: {sums:.2f} times the plain SQL")


if __name__ == "__main__":
    main()
