"""Counts the files of the package that one prompt enters: a measure of how far apart its parts are.

    python -m tests.support.trace           # today's package
    PYTHONPATH=/elsewhere python tests/support/trace.py    # another version of it

A kernel runs each trip three times against a sandbox in a process of its own; the third is traced,
when everything has been imported and connected. A file is entered when a function in it is called.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.manager import KernelManager

SANDBOX = """\
import sys
from swiftask_jupyter import Sandbox
with Sandbox() as box:
    print(box.url, box.token, flush=True)
    sys.stdin.read()
"""

# Runs in the kernel. Threads that start later are traced too; one call is noted per function.
TRACER = """\
import sys, threading
_entered, _tracing = {}, False

def _trace(frame, event, argument):
    code = frame.f_code
    if _tracing and "swiftask_jupyter" in code.co_filename:
        _entered.setdefault(code.co_filename, set()).add(code.co_qualname)

def trace(on):
    global _tracing
    _tracing = on

threading.settrace(_trace)
sys.settrace(_trace)
"""

SETUP = """\
%load_ext swiftask_jupyter
import pandas as pd, time
client = %swiftask client

def ask_panel(text):
    shown = panel.ask(text)
    while shown.reply.status == "running":
        time.sleep(0.01)
    time.sleep(0.3)  # the panel is told of the end

def ask_rows(*texts):
    return client.map(pd.DataFrame({"text": texts}), "say {{text}}", progress=False)
"""

# Each trip: what comes before it, and the cell to trace, with `{n}` for which time it is.
TRIPS = {
    "cell": ("", "%%swiftask echo\nhello for the {n}. time"),
    "map": ("", "ask_rows('red {n}', 'green {n}', 'blue {n}')"),
    "panel": ("panel = client.chat()\npanel", "ask_panel('hello for the {n}. time')"),
}
READ = "import json; print(json.dumps({name: sorted(each) for name, each in _entered.items()}))"
LIMITS = {"cell": 45, "map": 45, "panel": 50}


def main() -> None:
    """Print for each trip how many files it enters, then which and how many functions of each."""
    for name, entered in traced().items():
        functions = sum(len(each) for each in entered.values())
        limit = LIMITS[name]
        print(f"{name}: {len(entered)} files (limit {limit}), {functions} functions")  # noqa: T201
        for file, called in sorted(entered.items()):
            print(f"  {len(called):3} {file}")  # noqa: T201


def traced() -> dict[str, dict[str, list[str]]]:
    """Return for each trip the functions entered, by file."""
    with tempfile.TemporaryDirectory() as folder, _sandbox() as (url, token):
        environment = {
            **{name: text for name, text in os.environ.items() if name[:8] != "SWIFTASK"},
            "SWIFTASK_STORE": f"{folder}/turns.db",
            "SWIFTASK_BASE_URL": url,
            "SWIFTASK_API_KEY": token,
            "SWIFTASK_AGENT_SLUG": "echo",
            "SWIFTASK_DIALECT": "openai",
        }
        with _kernel(environment, folder) as run:
            run(TRACER)
            run(SETUP)
            return {name: _trip(run, *cells) for name, cells in TRIPS.items()}


def _trip(run, before: str, cell: str) -> dict[str, list[str]]:
    run(before)
    for n in (1, 2):
        run(cell.format(n=n))
    run("_entered.clear(); trace(True)")
    run(cell.format(n=3))
    run("trace(False)")
    found = json.loads(run(READ))
    files = {name.rpartition("swiftask_jupyter/")[2]: called for name, called in found.items()}
    return {name: called for name, called in files.items() if not name.startswith("sandbox/")}


@contextmanager
def _sandbox():
    """Run a sandbox in another process; yields its URL and its token."""
    with subprocess.Popen(
        [sys.executable, "-c", SANDBOX], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().split()
        process.stdin.close()


@contextmanager
def _kernel(environment: dict[str, str], folder: str):
    """Start a kernel; yields a function that runs a cell and returns what it printed."""
    manager = KernelManager(transport="ipc", ip=f"{folder}/kernel")
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel(env=environment, cwd=folder)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)

    def run(code: str) -> str:
        printed: list[str] = []

        def hook(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = client.execute_interactive(code, output_hook=hook, timeout=60)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"{code!r} failed: {reply['content'].get('evalue')}")
        time.sleep(0.1)  # what other threads still do about this cell
        return "".join(printed)

    try:
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        Path(f"{folder}/kernel").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
