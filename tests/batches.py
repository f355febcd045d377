"""What the tests of batches share: the ledger's rows with their prompts, and a service at fault."""

import sqlite3
from collections import Counter

from swiftask_jupyter.sandbox import Fault


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


def asked_during_waits(box, seconds=1.0):
    """For each time that the service said to wait, how often it was asked meanwhile.

    What was under way could not know: so many are to be expected, and no more.
    """
    refused = [seen.ended for seen in box.requests if seen.status == 429]
    return [
        sum(ended < seen.arrived < ended + seconds for seen in box.requests) for ended in refused
    ]
