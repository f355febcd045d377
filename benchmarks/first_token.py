"""Cost of the first text of an answer in a cell, cold and warm, beside the openai SDK.

A real kernel is driven as a front end drives it. CPU is the kernel process's own, all threads,
as the system counts it; wall is from the request to run the cell until its first text arrives at
the front end. Cold: a new kernel, with all that is imported and opened on the way. Warm: the same
kernel again. All ask a sandbox that runs in another process.

Targets: cold at least 4 times less CPU than the SDK; warm at most 2 times a cell with a raw
socket and one display.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _measure import median, python, sandbox, table
from jupyter_client.manager import KernelManager

ROUNDS = 5
WARM = 30
MARK = "first text"
CONTENT = {
    "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False,
    "stop_on_error": True,
}  # fmt: skip

SDK = """
from IPython.display import display
def ask():
    stream = client.chat.completions.create(
        model="first", messages=[{"role": "user", "content": "hello"}], stream=True)
    handle, text = None, ""
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
            if handle is None:
                handle = display({"text/plain": text}, raw=True, display_id=True)
            else:
                handle.update({"text/plain": text}, raw=True)
"""
RAW = """
import msgspec, os, socket
from IPython.display import display
from urllib.parse import urlsplit
connection = socket.create_connection(
    ("127.0.0.1", urlsplit(os.environ["SWIFTASK_BASE_URL"]).port))
body = msgspec.json.encode({"model": "first", "stream": True,
    "messages": [{"role": "user", "content": "hello"}]})
head = (f"POST /v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\n"
    f"Authorization: Bearer {os.environ['SWIFTASK_API_KEY']}\\r\\n"
    f"Content-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n").encode()
def ask():
    connection.sendall(head + body)
    data, text = b"", ""
    while not data.endswith(b"0\\r\\n\\r\\n"):
        data += connection.recv(65536)
        for line in data.split(b"\\n") if not text else ():
            if line.startswith(b"data: {"):
                delta = msgspec.json.decode(line[6:])["choices"][0]["delta"].get("content")
                if delta and not text:
                    text = delta
                    display({"text/plain": text}, raw=True)
"""
CLIENT = """
import os
from openai import OpenAI
client = OpenAI(
    api_key=os.environ["SWIFTASK_API_KEY"], base_url=os.environ["SWIFTASK_BASE_URL"] + "/v1")
"""
# What runs first in a new kernel, and what is run again.
CASES = {
    "%%swiftask": ("%load_ext swiftask_jupyter", "%%swiftask first ans =<<\nhello"),
    "openai SDK": (CLIENT + SDK, "ask()"),
    "raw socket, one display": (RAW, "ask()"),
}


class Kernel:
    """A kernel and its front end."""

    def __init__(self, client, pid: int) -> None:
        self._client = client
        self._tasks = Path(f"/proc/{pid}/task")

    def cpu(self) -> float:
        """Seconds on a processor so far, all threads, to the nanosecond."""
        spent = 0
        for task in self._tasks.iterdir():
            try:
                spent += int((task / "schedstat").read_text().split()[0])
            except OSError:  # a thread that has just ended
                continue
        return spent / 1e9

    def first_text(self, code: str) -> tuple[float, float]:
        """Run a cell; return CPU and wall seconds until its first text arrives."""
        message = self._client.session.msg("execute_request", {**CONTENT, "code": code})
        message["metadata"]["cellId"] = "the cell"  # as a front end says which cell is run again
        sent = message["header"]["msg_id"]
        cpu, wall = self.cpu(), time.perf_counter()
        self._client.shell_channel.send(message)
        figures = None
        while True:
            message = self._client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != sent:
                continue
            content = message["content"]
            if figures is None and MARK[:5] in str(content.get("data", "")):
                figures = self.cpu() - cpu, time.perf_counter() - wall
            if content.get("execution_state") == "idle":
                break
        self._client.get_shell_msg(timeout=60)
        return figures or (self.cpu() - cpu, time.perf_counter() - wall)


@contextmanager
def kernel(environment: dict[str, str]) -> Iterator[Kernel]:
    """A new kernel that has run nothing."""
    manager = KernelManager()
    manager.kernel_spec.argv[0] = python()
    manager.start_kernel(env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        started = Kernel(client, manager.provisioner.pid)
        started.first_text("1")
        yield started
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def figures(environment: dict[str, str], begin: str, again: str) -> list[float]:
    """Cold CPU, cold wall, warm CPU and warm wall of one case, in seconds."""
    with kernel(environment) as started:
        before = started.first_text(begin)
        first = started.first_text(again)
        warm = [started.first_text(again) for _ in range(WARM)]
    return [
        before[0] + first[0],
        before[1] + first[1],
        median([cpu for cpu, _ in warm]),
        median([wall for _, wall in warm]),
    ]


def main() -> None:
    """Measure and print."""
    taken: dict[str, list[list[float]]] = {name: [] for name in CASES}
    with sandbox(f"'first': '{MARK}'") as environment:
        for _ in range(ROUNDS):
            for name, (begin, again) in CASES.items():
                taken[name].append(figures(environment, begin, again))
    middle = {
        name: [median([run[column] for run in runs]) for column in range(4)]
        for name, runs in taken.items()
    }
    ours = middle["%%swiftask"]
    rows = [
        [
            name,
            *(f"{value * 1000:.1f}" for value in values),
            f"{values[0] / ours[0]:.1f}",
            f"{ours[3] / values[3]:.2f}",
        ]
        for name, values in middle.items()
    ]
    table(
        f"First text of a cell: ms, median of {ROUNDS} kernels, warm of {WARM} cells in each",
        ["", "cold CPU", "cold wall", "warm CPU", "warm wall", "its cold ÷ ours", "our warm ÷ its"],
        rows,
    )


if __name__ == "__main__":
    main()
