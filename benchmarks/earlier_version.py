"""Compares this checkout with an earlier one, side by side in one run.

    git worktree add ../before COMMIT
    python benchmarks/earlier_version.py ../before

Each figure is measured in processes of its own that take turns, so that a busy machine slows both
versions alike. Printed are the medians and their ratio; below 1, this checkout is faster.

- load: `%load_ext swiftask_jupyter` in a new IPython shell
- cold: import, client and the first text of a first answer
- warm: the first text of a later answer on a kept connection
- chunk: one piece of a streamed answer, 2,000 of them sent at once
- row: one row of `map`, 1,000 rows, an instant service
"""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import median, table

HERE = Path(__file__).parent.parent
ROUNDS = 9
SERVICE = """
import sys
from swiftask_jupyter.sandbox import Agent, Sandbox
pieces = lambda messages: (f"{n} words " for n in range(2000))
with Sandbox(agents={"many": Agent(pieces)}, rate_limit=10**9) as box:
    print(box.url, box.token, flush=True)
    sys.stdin.read()
"""
LOAD = """
import json, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
start = time.perf_counter()
shell.run_line_magic("load_ext", "swiftask_jupyter")
print(json.dumps({"load": time.perf_counter() - start}))
"""
ASK = """
import json, os, statistics, time
url, token = os.environ["URL"], os.environ["TOKEN"]
def first_text(client):
    start = time.perf_counter()
    with client.stream("hello", "echo") as stream:
        for event in stream:
            if type(event).__name__ == "Delta":
                return time.perf_counter() - start
found = {}
start = time.perf_counter()
from swiftask_jupyter import Swiftask
client = Swiftask(base_url=url, token=token, dialect="openai")
first_text(client)
found["cold"] = time.perf_counter() - start
client.ask("hello", "echo")
def warm():
    start = time.perf_counter()
    first = None
    for event in client.stream("hello", "echo"):
        if first is None and type(event).__name__ == "Delta":
            first = time.perf_counter() - start
    return first
found["warm"] = statistics.median(warm() for _ in range(40))
def stream():
    start = time.process_time()
    count = sum(type(event).__name__ == "Delta" for event in client.stream("hello", "many"))
    return (time.process_time() - start) / count
stream()
found["chunk"] = statistics.median(stream() for _ in range(5))
import pandas as pd
client.map(pd.DataFrame({"n": range(50)}), "warm {{n}}", "echo", progress=False)
frame = pd.DataFrame({"n": range(1000)})
start = time.process_time()
out = client.map(frame, "row {{n}}", "echo", progress=False, confirm=False)
found["row"] = (time.process_time() - start) / len(frame)
assert set(out["status"]) == {"ok"}
print(json.dumps(found))
"""


def run(checkout: Path, code: str, **more: str) -> dict[str, float]:
    """Return the figures that the code prints with the package of a checkout."""
    env = {**os.environ, "PYTHONPATH": str(checkout), **more}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, cwd="/"
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure both versions in turns, and print the table."""
    if len(sys.argv) != 2:
        print("earlier_version.py: give it the path of an earlier checkout; nothing was measured")
        return
    versions = {"before": Path(sys.argv[1]).resolve(), "now": HERE}
    compileall.compile_dir(versions["before"] / "swiftask_jupyter", quiet=1)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in versions}
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE], env={**os.environ, "PYTHONPATH": str(HERE)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    url, token = service.stdout.readline().split()
    try:
        for number in range(ROUNDS):
            for name in sorted(versions, reverse=number % 2 == 0):
                figures = run(versions[name], LOAD)
                with tempfile.TemporaryDirectory() as folder:
                    store = f"{folder}/turns.db"
                    figures |= run(versions[name], ASK, URL=url, TOKEN=token, SWIFTASK_STORE=store)
                for what, seconds in figures.items():
                    found[name].setdefault(what, []).append(seconds)
    finally:
        service.stdin.close()
        service.wait()
    rows = []
    for what in found["now"]:
        before, now = (median(found[name][what]) for name in ("before", "now"))
        rows.append((what, f"{before * 1e6:,.0f}", f"{now * 1e6:,.0f}", f"{now / before:.2f}"))
    table("an earlier version and this one", ("", "before, us", "now, us", "ratio"), rows)


if __name__ == "__main__":
    main()
