"""What the tests of batches share: the ledger's rows with their prompts, and a service at fault."""

import asyncio
import sqlite3
from collections import Counter

from swiftask_jupyter.sandbox import Fault


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


def asked_during_waits(box, seconds=1.0):
    """For each time that the service said to wait, how often it was asked meanwhile.

    What was under way could not know: so many are to be expected, and no more.
    """
    refused = [seen.ended for seen in box.requests if seen.status == 429]
    return [
        sum(ended < seen.arrived < ended + seconds for seen in box.requests) for ended in refused
    ]
