"""Twenty interrupts at random moments, in a kernel whose event loop runs other tasks.

`make soak` runs this in the current ipykernel, and in ipykernel 6 with IPython 8.
"""

import random
import time
from importlib.metadata import version

import pytest

from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.cells import ledger_frame, posts

pytestmark = pytest.mark.soak

SEED = 20_251_122
MOMENTS = ["before the first byte"] * 7 + ["between two pieces"] * 7 + ["while drawing"] * 6
# Tasks of the user's on the kernel's loop, which run again and again.
BUSY = """
import asyncio, os, threading
ticks = [0] * 5
async def tick(number):
    while True:
        ticks[number] += sum(range(1000)) > 0
        await asyncio.sleep(.001 * number)
tasks = [asyncio.get_running_loop().create_task(tick(number)) for number in range(5)]
"""
STILL_BUSY = """
before = [*ticks]; await asyncio.sleep(.2)
[task.done() for task in tasks], all(now > then for now, then in zip(ticks, before))
"""
USED = "sorted(thread.name for thread in threading.enumerate()), len(os.listdir('/dev/fd'))"
# One drawing, whose number the test sets, creates a file when it begins, and takes a while.
SLOW_DRAWING = """
import pathlib, time
left, begun = 0, None
own_publish = get_ipython().display_pub.publish
def publish(*args, **kwargs):
    global left
    left -= 1
    if left == 0:
        begun.touch()
        time.sleep(.05)
    own_publish(*args, **kwargs)
    if left == 0:
        time.sleep(.05)
get_ipython().display_pub.publish = publish
"""


@pytest.fixture
def busy_kernel(kernel):
    """A kernel with other tasks on its loop, and a drawing that can be slowed down."""
    for code in (BUSY, SLOW_DRAWING):
        assert kernel.run(code).status == "ok"
    return kernel


@pytest.fixture
def interrupt_at(busy_kernel, box, tmp_path):
    """`interrupt_at(moment)` interrupts a prompt, and returns how long its stream stayed open."""
    chance = random.Random(SEED)

    def interrupt(moment):
        begun = tmp_path / f"drawing {len(posts(box))}"
        if moment == "while drawing":
            busy_kernel.run(f"left, begun = {chance.randint(1, 3)}, pathlib.Path({str(begun)!r})")
        if moment == "before the first byte":
            box.fail(Fault(delay=60), agent="slow")
        count = len(posts(box))
        asked = busy_kernel.send("%%swiftask slow\ntell me")
        queued = [busy_kernel.send("ran = True"), busy_kernel.send("%%swiftask echo\nqueued")]
        assert box.wait_for(lambda: len(posts(box)) == count + 1)
        seen = posts(box)[-1]
        if moment == "while drawing":
            wait_until(begun.exists)
            time.sleep(chance.uniform(0, 0.08))
        elif moment == "between two pieces":
            assert box.wait_for(lambda: seen.first_byte)
            time.sleep(chance.uniform(0, 1))
        else:
            time.sleep(chance.uniform(0, 0.5))
            assert seen.first_byte is None

        at = time.monotonic()
        busy_kernel.interrupt()
        assert box.wait_for(lambda: seen.ended)

        ran = busy_kernel.finish(asked)
        assert ran.status == "error"
        assert ran.error.startswith("Interrupted: stopped; ")
        assert "\n" not in ran.error
        silent = moment == "before the first byte"  # then there is no answer above footer and error
        assert len(ran.outputs) == (2 if silent else 3)
        assert ran.outputs[0]["data"][TURN_MIME_TYPE]["status"] == "interrupted"
        assert [busy_kernel.finish(each).status for each in queued] == ["aborted", "aborted"]
        assert seen.disconnected
        assert box.wait_for(lambda: box.open_streams == 0)
        after = busy_kernel.run("%%swiftask echo\nstill here")
        assert after.texts()[0] == "still here"
        assert [row.json["messages"][-1]["content"] for row in posts(box)[count:]] == [
            "tell me",
            "still here",
        ]
        return seen.ended - at

    return interrupt


def wait_until(happened):
    while not happened():  # or the test's timeout ends it
        time.sleep(0.005)


def test_twenty_interrupts_at_random_moments_leave_no_trace(busy_kernel, interrupt_at):
    moments = random.Random(SEED).sample(MOMENTS, len(MOMENTS))
    for moment in dict.fromkeys(moments):
        interrupt_at(moment)  # the first of each kind opens what stays open
    threads, files = eval(busy_kernel.run(USED).texts()[0])

    took = [(moment, interrupt_at(moment)) for moment in moments]

    left, still_open = eval(busy_kernel.run(USED).texts()[0])
    assert left == threads
    assert still_open <= files + 3
    assert busy_kernel.run("'ran' in globals()").texts() == ["False"]
    assert busy_kernel.run(STILL_BUSY).texts() == [str(([False] * 5, True))]
    assert list(ledger_frame()["status"]) == ["interrupted", "ok"] * 23
    for moment in dict.fromkeys(MOMENTS):
        ms = sorted(round(1000 * each, 1) for name, each in took if name == moment)
        print(f"ipykernel {version('ipykernel')}, {moment}, ms to disconnect: {ms}")  # noqa: T201
    print(f"file descriptors: {files}, then {still_open}; threads: {len(threads)}")  # noqa: T201


def test_run_all_of_ten_prompts_completes(busy_kernel, box):
    sent = [busy_kernel.send(f"%%swiftask lorem\nnumber {number}") for number in range(10)]

    ran = [busy_kernel.finish(each) for each in sent]

    assert [each.status for each in ran] == ["ok"] * 10
    assert [len(each.outputs) for each in ran] == [2] * 10
    asked = [seen.json["messages"][-1]["content"] for seen in box.requests if seen.method == "POST"]
    assert asked == [f"number {number}" for number in range(10)]
    assert busy_kernel.run(STILL_BUSY).texts() == [str(([False] * 5, True))]
