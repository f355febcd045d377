"""Twenty interrupts at random moments, in a kernel that has other work to do.

`make soak` runs this in the current ipykernel, and in ipykernel 6 with IPython 8.
"""

import random
import time
from importlib.metadata import version

import pytest

from swiftask_jupyter import Swiftask
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.kernels import Kernel

pytestmark = pytest.mark.soak

SEED = 20_251_122
MOMENTS = ["before the first byte"] * 7 + ["between two pieces"] * 7 + ["while painting"] * 6
LOAD = "%load_ext swiftask_jupyter"
# Somebody else's tasks on the kernel's loop, which never rest for long.
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
# One painting, the one that is asked for, says that it has begun and takes its time.
PAINTING = """
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
def kernel(box):
    environment = {"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    with Kernel(environment) as kernel:
        for code in (LOAD, BUSY, PAINTING):
            assert kernel.run(code).status == "ok"
        yield kernel


@pytest.fixture
def interrupted(kernel, box, tmp_path):
    """A prompt that is interrupted at such a moment; returns how long the stream stayed open."""
    chance = random.Random(SEED)

    def prompts():
        return [seen for seen in box.requests if seen.method == "POST"]

    def interrupt(moment):
        begun = tmp_path / f"painting {len(prompts())}"
        if moment == "while painting":
            kernel.run(f"left, begun = {chance.randint(1, 3)}, pathlib.Path({str(begun)!r})")
        if moment == "before the first byte":
            box.fail(Fault(delay=60), agent="slow")
        count = len(prompts())
        asked = kernel.send("%%swiftask slow\ntell me")
        queued = [kernel.send("ran = True"), kernel.send("%%swiftask echo\nqueued")]
        assert box.wait_for(lambda: len(prompts()) == count + 1)
        seen = prompts()[-1]
        if moment == "while painting":
            wait_until(begun.exists)
            time.sleep(chance.uniform(0, 0.08))
        elif moment == "between two pieces":
            assert box.wait_for(lambda: seen.first_byte)
            time.sleep(chance.uniform(0, 1))
        else:
            time.sleep(chance.uniform(0, 0.5))
            assert seen.first_byte is None

        at = time.monotonic()
        kernel.interrupt()
        assert box.wait_for(lambda: seen.ended)

        ran = kernel.finish(asked)
        assert ran.status == "error"
        assert ran.error.startswith("Interrupted: stopped; ")
        assert "\n" not in ran.error
        silent = moment == "before the first byte"  # no answer, then, above footer and error
        assert len(ran.outputs) == (2 if silent else 3)
        assert ran.outputs[0]["data"][TURN_MIME_TYPE]["status"] == "interrupted"
        assert [kernel.finish(each).status for each in queued] == ["aborted", "aborted"]
        assert seen.disconnected
        assert box.wait_for(lambda: box.open_streams == 0)
        after = kernel.run("%%swiftask echo\nstill here")
        assert after.texts()[0] == "still here"
        assert [row.json["messages"][-1]["content"] for row in prompts()[count:]] == [
            "tell me",
            "still here",
        ]
        return seen.ended - at

    return interrupt


def wait_until(happened):
    while not happened():  # or the test's timeout ends it
        time.sleep(0.005)


def test_twenty_interrupts_at_random_moments_leave_no_trace(kernel, interrupted):
    moments = random.Random(SEED).sample(MOMENTS, len(MOMENTS))
    for moment in dict.fromkeys(moments):
        interrupted(moment)  # what is made once is made now
    threads, files = eval(kernel.run(USED).texts()[0])

    took = [(moment, interrupted(moment)) for moment in moments]

    left, still_open = eval(kernel.run(USED).texts()[0])
    assert left == threads
    assert still_open <= files + 3
    assert kernel.run("'ran' in globals()").texts() == ["False"]
    assert kernel.run(STILL_BUSY).texts() == [str(([False] * 5, True))]
    with Swiftask() as client:
        assert list(client.usage()["status"]) == ["interrupted", "ok"] * 23
    for moment in dict.fromkeys(MOMENTS):
        ms = sorted(round(1000 * each, 1) for name, each in took if name == moment)
        print(f"ipykernel {version('ipykernel')}, {moment}, ms to disconnect: {ms}")  # noqa: T201
    print(f"file descriptors: {files}, then {still_open}; threads: {len(threads)}")  # noqa: T201


def test_run_all_of_ten_prompts_in_a_row_completes(kernel, box):
    sent = [kernel.send(f"%%swiftask lorem\nnumber {number}") for number in range(10)]

    ran = [kernel.finish(each) for each in sent]

    assert [each.status for each in ran] == ["ok"] * 10
    assert [len(each.outputs) for each in ran] == [2] * 10
    asked = [seen.json["messages"][-1]["content"] for seen in box.requests if seen.method == "POST"]
    assert asked == [f"number {number}" for number in range(10)]
    assert kernel.run(STILL_BUSY).texts() == [str(([False] * 5, True))]
