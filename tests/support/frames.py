"""Support for the batch tests: faults, the ledger's prompts, killed batches, recorded requests."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter

from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.transport.connection import HTTP1Connection, RequestHook

CONCURRENCY = 4  # of the batches that `kill_batch_when` starts
_BATCH = f"""
import sys
import pandas as pd
from swiftask_jupyter import Swiftask
frame = pd.DataFrame({{"n": range(int(sys.argv[1]))}})
with Swiftask(agent=sys.argv[2], dialect="openai") as client:
    client.map(frame, "row {{{{n}}}}", concurrency={CONCURRENCY}, confirm=False)
"""


class StallingAgent:
    """An agent that echoes a number of prompts, and then answers nobody until it is released.

    Args:
        answers: the number of prompts to echo.
    """

    def __init__(self, answers):
        self.left = answers

    async def __call__(self, messages):
        """Echo the prompt as soon as an answer is left."""
        while self.left <= 0:  # noqa: ASYNC110 - another thread releases it, and events are of one
            await asyncio.sleep(0.01)
        self.left -= 1
        yield messages[-1]["content"]

    def release(self):
        """Answer everybody from now on."""
        self.left = 1_000_000


def recorded_prompts(path):
    """Return the prompt and the status of every turn in a ledger file, in the order of sending."""
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT prompt, status FROM turns JOIN texts USING (turn) ORDER BY turns.rowid"
    ).fetchall()
    connection.close()
    return rows


def prompts_answered_twice(path):
    """Return the prompts that have more than one answer in a ledger file."""
    count = Counter(prompt for prompt, status in recorded_prompts(path) if status == "ok")
    return [prompt for prompt, times in count.items() if times > 1]


def add_random_faults(box, retry_after="1", slow=1.0):
    """Make a sandbox fail: 10 % of requests are rate limited, 5 % fail, some break off or are slow.

    Args:
        box: the sandbox.
        retry_after: the value of `Retry-After`, in seconds.
        slow: the delay of a slow answer, in seconds.
    """
    for fault in (
        Fault(status=429, headers={"Retry-After": retry_after}, probability=0.10),
        Fault(status=500, probability=0.05),
        Fault(reset_after=0, probability=0.01),
        Fault(reset_after=1, probability=0.01),
        Fault(delay=slow, probability=0.01),
    ):
        box.fail(fault, times=None)


def received_prompts(box):
    """Return the prompts that a sandbox has received, in the order of arrival."""
    return [seen.json["messages"][-1]["content"] for seen in box.requests if seen.method == "POST"]


def request_count(box):
    """Return the number of prompts that a sandbox has received."""
    return sum(seen.method == "POST" for seen in box.requests)


def kill_batch_when(box, condition, rows, agent="echo"):
    """Start a batch in another process, kill it, and wait until its connections are closed.

    Args:
        box: the sandbox that answers.
        condition: a function; the process is killed when it returns a true value.
        rows: the number of rows of the batch.
        agent: the agent's slug.
    """
    environment = {**os.environ, "SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    process = subprocess.Popen(
        [sys.executable, "-c", _BATCH, str(rows), agent], env=environment,
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert box.wait_for(condition, timeout=60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert box.wait_for(lambda: box.open_streams == 0)


class Traffic:
    """A record of the requests and responses of this process, made at its connections.

    Everything is recorded on the I/O thread, so the order of the record is the order of the events.
    The sandbox reads the same clock.

    Attributes:
        sent: the prompt of each request, and when it was sent.
        pauses: for each response that asks for a pause: the prompt, when the response was read,
            and when the pause ends.
        heads: the number of responses that have begun.
    """

    def __init__(self, monkeypatch):
        self.sent, self.pauses, self.heads = [], [], 0
        self._changed = threading.Condition()
        original = HTTP1Connection.send

        def send(connection, data, timeout, hook):
            recorder = _RecordingHook(self, hook, _prompt_in(data))
            return original(connection, data, timeout, recorder)

        monkeypatch.setattr(HTTP1Connection, "send", send)

    def notify(self):
        """Wake the thread that waits in `wait_for`."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition):
        """Wait until a function returns a true value; return False after 60 seconds."""
        with self._changed:
            return self._changed.wait_for(condition, 60)

    def sent_during_pause(self):
        """Return the requests that were sent after a pause was read and before it ended."""
        return [
            (prompt, at - read)
            for prompt, at in self.sent
            for _, read, until in self.pauses
            if read <= at < until
        ]

    def received_during_pause(self, box):
        """Return what the sandbox received during a pause, except what was sent before it was read.

        A prompt is sent again only after a response, so its requests arrive in the order in which
        they were sent.
        """
        assert box.wait_for(lambda: box.open_streams == 0)
        sent, pauses = _by_prompt(self.sent), _by_prompt(self.pauses)
        posts = [seen for seen in box.requests if seen.method == "POST"]
        sent_at = {id(seen): next(sent[_prompt_of(seen)])[1] for seen in posts}
        waits = []
        for seen in posts:
            if seen.status in {429, 503}:
                _, read, until = next(pauses[_prompt_of(seen)])
                waits.append((seen.ended, read, until))
        return [
            seen
            for seen in posts
            for ended, read, until in waits
            if ended < seen.arrived < until and sent_at[id(seen)] >= read
        ]


class _RecordingHook(RequestHook):
    """Calls another hook, and records when a request is sent and when its response begins."""

    def __init__(self, traffic, hook, prompt):
        self._traffic, self._hook, self._prompt = traffic, hook, prompt

    def before_send(self):
        self._hook.before_send()
        self._traffic.sent.append((self._prompt, time.monotonic()))

    def on_response(self, head):
        read, traffic = time.monotonic(), self._traffic
        self._hook.on_response(head)
        if head.status in {429, 503}:
            until = read + float(head.headers["retry-after"])
            traffic.pauses.append((self._prompt, read, until))
        traffic.heads += 1
        traffic.notify()


def _by_prompt(records):
    found = {}
    for record in records:
        found.setdefault(record[0], []).append(record)
    return {prompt: iter(each) for prompt, each in found.items()}


def _prompt_in(data):
    """Return the prompt in the bytes of a request; `None` for an upload."""
    body = data.partition(b"\r\n\r\n")[2]
    fields = json.loads(body) if body.startswith(b"{") else {}
    return fields["messages"][-1]["content"] if "messages" in fields else fields.get("input")


def _prompt_of(seen):
    return seen.json["messages"][-1]["content"]
