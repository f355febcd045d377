"""What the benchmarks share: children timed by the system's own accounting, and one table."""

import compileall
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "swiftask_jupyter"
BENCH_PYTHON = Path(__file__).parent.parent / ".venv" / "bench" / "bin" / "python"

# The peers came compiled, as what pip installs does; a clone does not, and where Python is told
# to write no bytecode it never is.
compileall.compile_dir(PACKAGE, quiet=1)


def python() -> str:
    """The interpreter that has the peers installed; `make bench` makes it."""
    return str(BENCH_PYTHON if BENCH_PYTHON.exists() else sys.executable)


def child_cpu(code: str, environment: dict[str, str] | None = None) -> float:
    """Run Python code in a new process and return its CPU seconds, user and system."""
    process = subprocess.Popen(
        [python(), "-c", code],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the child failed:\n{code}")
    return usage.ru_utime + usage.ru_stime


def child_figures(code: str, environment: dict[str, str] | None = None) -> dict[str, float]:
    """Run Python code in a new process and return the JSON object on its last line."""
    done = subprocess.run(
        [python(), "-c", code],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the child failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def interleaved(cases: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run all cases in turn, round by round, so that a slow minute of the machine hits each."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            taken[name].append(run())
    return taken


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print one table."""
    cells = [list(map(str, head)), *(list(map(str, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    print(f"\n{title}")
    for row in cells:
        first, *rest = row
        print("  ".join([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]))


@contextmanager
def sandbox(*agents: str) -> Iterator[dict[str, str]]:
    """A sandbox in a process of its own; yields the environment that points to it."""
    code = (
        "import sys; from swiftask_jupyter.sandbox import Sandbox\n"
        f"box = Sandbox(agents={{{','.join(agents)}}}).start()\n"
        "print(box.url, box.token, flush=True); sys.stdin.read()"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [python(), "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        url, token = process.stdout.readline().split()
        yield {
            "SWIFTASK_BASE_URL": url,
            "SWIFTASK_API_KEY": token,
            "SWIFTASK_STORE": str(Path(folder) / "turns.db"),
        }
        process.stdin.close()
