"""What the tests of batches share: the ledger's rows with their prompts, and a service at fault."""

import asyncio
import json
import sqlite3
import threading
import time
from collections import Counter

from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.transport.connection import Connection
from swiftask_jupyter.transport.exchange import RequestHook


class Stalling:
    """An agent that says back so many prompts, and then keeps everyone waiting."""

    def __init__(self, answers):
        self.left = answers

    async def __call__(self, messages):
        """Say it back, once it may."""
        while self.left <= 0:  # noqa: ASYNC110 - let go by another thread, which no event takes
            await asyncio.sleep(0.01)
        self.left -= 1
        yield messages[-1]["content"]

    def go_on(self):
        """Keep nobody waiting any more."""
        self.left = 1_000_000


def written(path):
    """Every turn's prompt and status, in the order in which they began."""
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT prompt, status FROM turns JOIN texts USING (turn) ORDER BY turns.rowid"
    ).fetchall()
    connection.close()
    return rows


def answered_twice(path):
    """The prompts that stand in the ledger as answered more than once."""
    count = Counter(prompt for prompt, status in written(path) if status == "ok")
    return [prompt for prompt, times in count.items() if times > 1]


def misbehave(box, retry_after="1", slow=1.0):
    """One in ten is told to wait, one in twenty fails, a few are reset, a few are slow."""
    for fault in (
        Fault(status=429, headers={"Retry-After": retry_after}, rate=0.10),
        Fault(status=500, rate=0.05),
        Fault(reset_after=0, rate=0.01),
        Fault(reset_after=1, rate=0.01),
        Fault(delay=slow, rate=0.01),
    ):
        box.fail(fault, times=None)


def prompts_of(box):
    """What the service was asked, in the order of arrival."""
    return [seen.json["messages"][-1]["content"] for seen in box.requests if seen.method == "POST"]


def asked(box):
    """How often the service was asked."""
    return sum(seen.method == "POST" for seen in box.requests)


class Traffic:
    """What the batches of this process send and hear, noted where the bytes are.

    All of it happens on one thread, so its order is the order in which it happened; and the
    sandbox's clock is the same as ours.

    Attributes:
        sent: each request that left: its prompt, and when.
        told: each answer that asks to wait: its prompt, when it was read, and until when.
        heard: how many answers have begun.
    """

    def __init__(self, monkeypatch):
        self.sent, self.told, self.heard = [], [], 0
        self._changed = threading.Condition()
        real = Connection.ask

        def ask(connection, data, patience, gate):
            return real(connection, data, patience, _Noting(self, gate, _prompt_in(data)))

        monkeypatch.setattr(Connection, "ask", ask)

    def noted(self):
        """Wake whoever waits for something to be noted."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, predicate):
        """Wait until it holds."""
        with self._changed:
            return self._changed.wait_for(predicate, 60)

    def sent_while_told_to_wait(self):
        """What left after an answer that asks to wait was read, and before that wait was over."""
        return [
            (prompt, at - read)
            for prompt, at in self.sent
            for _, read, until in self.told
            if read <= at < until
        ]

    def seen_while_told_to_wait(self, box):
        """What the sandbox saw while it said to wait, but for what was on its way by then.

        A prompt is sent again only when it has been answered: its requests arrive in order.
        """
        assert box.wait_for(lambda: box.open_streams == 0)
        sent, told = _by_prompt(self.sent), _by_prompt(self.told)
        posts = [seen for seen in box.requests if seen.method == "POST"]
        left = {id(seen): next(sent[_prompt_of(seen)])[1] for seen in posts}
        waits = []
        for seen in posts:
            if seen.status in {429, 503}:
                _, read, until = next(told[_prompt_of(seen)])
                waits.append((seen.ended, read, until))
        return [
            seen
            for seen in posts
            for ended, read, until in waits
            if ended < seen.arrived < until and left[id(seen)] >= read
        ]


class _Noting(RequestHook):
    """Lets through, and notes."""

    def __init__(self, traffic, gate, prompt):
        self._traffic, self._gate, self._prompt = traffic, gate, prompt

    def leaving(self):
        self._gate.leaving()
        self._traffic.sent.append((self._prompt, time.monotonic()))

    def heard(self, head):
        read, traffic = time.monotonic(), self._traffic
        self._gate.heard(head)
        if head.status in {429, 503}:
            until = read + float(head.headers["retry-after"])
            traffic.told.append((self._prompt, read, until))
        traffic.heard += 1
        traffic.noted()


def _by_prompt(noted):
    found = {}
    for each in noted:
        found.setdefault(each[0], []).append(each)
    return {prompt: iter(each) for prompt, each in found.items()}


def _prompt_in(data):
    body = data.partition(b"\r\n\r\n")[2]
    asked = json.loads(body) if body.startswith(b"{") else {}
    return asked["messages"][-1]["content"] if "messages" in asked else asked.get("input")


def _prompt_of(seen):
    return seen.json["messages"][-1]["content"]
