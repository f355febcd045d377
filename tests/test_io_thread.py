"""The I/O thread: work is handed over, comes back in order, and stops when its watcher does."""

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from swiftask_jupyter.errors import ConnectionFailed
from swiftask_jupyter.support.io_thread import BackgroundTask, IOThread


@pytest.fixture
def thread():
    thread = IOThread()
    yield thread
    thread.close()


class Numbers:
    """Counts without end, and notes that it was closed."""

    def __init__(self):
        self.closed = threading.Event()

    async def count(self):
        """Yield the next number."""
        try:
            number = 0
            while True:
                yield number
                number += 1
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)  # a connection needs a turn of the loop to close
            self.closed.set()


def test_a_result_comes_back(thread):
    async def work():
        return threading.current_thread().name

    assert thread.run(work()) == "swiftask-io"


@pytest.mark.parametrize("error", [ValueError("x"), TimeoutError("its own")])
def test_an_error_comes_back(thread, error):
    async def work():
        raise error

    with pytest.raises(type(error)):
        thread.run(work())


def test_items_come_in_order_and_leaving_early_closes_their_source(thread):
    numbers = Numbers()
    stream = thread.stream(numbers.count())

    seen = [next(stream) for _ in range(1000)]
    stream.close()

    assert seen == list(range(1000))
    assert numbers.closed.is_set()


def test_a_watch_that_another_thread_closes_comes_to_its_end(thread):
    waits, seen = threading.Event(), []

    async def one():
        yield 1
        waits.set()
        await asyncio.Event().wait()

    watch = thread.stream(one())

    def read():
        try:
            seen.extend(watch)
            seen.append("its end")
        except BaseException as error:  # noqa: BLE001 - whatever it is
            seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert waits.wait(10)
    watch.close()
    reader.join(10)

    assert seen == [1, "its end"]


def test_a_tick_lets_the_watcher_breathe_while_nothing_comes(thread):
    go = threading.Event()

    async def work():
        yield 1
        await asyncio.to_thread(go.wait)
        yield 2

    stream = thread.stream(work(), tick=0.01)

    assert next(stream) == 1
    assert next(stream) is None
    go.set()
    assert [item for item in stream if item is not None] == [2]


def test_an_error_follows_the_items_before_it(thread):
    async def work():
        yield 1
        raise ValueError("x")

    seen = []
    with pytest.raises(ValueError, match="x"):
        seen.extend(thread.stream(work()))
    assert seen == [1]


def test_a_running_loop_can_watch_too(thread):
    async def work():
        yield 1
        yield 2

    async def watch():
        return [item async for item in thread.stream_async(work())]

    assert asyncio.run(watch()) == [1, 2]


def test_a_running_loop_that_leaves_early_closes_the_source(thread):
    numbers = Numbers()

    async def watch():
        stream = thread.stream_async(numbers.count())
        async for number in stream:
            if number == 10:
                break
        await stream.aclose()

    asyncio.run(watch())
    assert numbers.closed.wait(5)


def test_closing_cancels_what_runs_and_the_next_use_starts_anew(thread):
    numbers = Numbers()
    stream = thread.stream(numbers.count())
    next(stream)

    thread.close()

    async def one():
        return 1

    assert numbers.closed.is_set()
    assert thread.run(one()) == 1


def test_what_is_handed_over_while_the_loop_stops_ends():
    stopping, go_on = threading.Event(), asyncio.Event()

    async def last():
        stopping.set()
        await go_on.wait()  # the loop turns meanwhile

    thread = IOThread(last)
    thread.run(asyncio.sleep(0))
    loop = thread._running()
    closing = threading.Thread(target=thread.close)
    closing.start()
    assert stopping.wait(10)
    jobs = [BackgroundTask(loop, asyncio.sleep(60)) for _ in range(2)]
    jobs[0].start()
    loop.call_soon_threadsafe(go_on.set)
    jobs[1].start()
    closing.join(10)

    for job in jobs:
        assert job.wait(10)
        with pytest.raises(ConnectionFailed, match="client was closed"):
            job.result()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the loop that was made is dropped
def test_ctrl_c_before_the_thread_runs_leaves_no_loop_that_nobody_turns(thread, monkeypatch):
    async def work():
        return "done"

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, contextlib.closing(work()) as coroutine:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            thread.run(coroutine)
    gc.collect()

    job = thread.submit(work())
    assert job.wait(20)
    assert job.result() == "done"


def test_the_last_coroutine_runs_on_the_loop_that_stops():
    closed = threading.Event()

    async def close():
        await asyncio.sleep(0)
        closed.set()

    async def work():
        return None

    thread = IOThread(close)
    thread.run(work())
    thread.close()

    assert closed.is_set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_gets_a_thread_of_its_own():
    code = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is the case at hand
from swiftask_jupyter.support.io_thread import IOThread
thread = IOThread()
async def pid(): return os.getpid()
assert thread.run(pid()) == os.getpid()
child = os.fork()
if not child:
    os._exit(0 if thread.run(pid()) == os.getpid() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_ctrl_c_in_a_script_closes_the_source_and_leaves_no_noise():
    code = """
import asyncio, os, signal, sys
from swiftask_jupyter.support.io_thread import IOThread
thread = IOThread()
async def count():
    try:
        while True:
            yield 1
            await asyncio.sleep(0.01)
    finally:
        print("closed", flush=True)
try:
    for number, _ in enumerate(thread.stream(count())):
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    # Two threads print: their lines may run into each other.
    assert {"closed", "interrupted"} == {
        word for word in ("closed", "interrupted") if word in done.stdout
    }
    # How long a callback took, which asyncio's debug mode tells of, is the machine's affair.
    noise = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert noise == []


def test_a_users_nest_asyncio_does_not_disturb_the_thread():
    code = """
import asyncio, nest_asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
nest_asyncio.apply(loop)
from swiftask_jupyter.support.io_thread import IOThread
thread = IOThread()
async def count():
    for number in range(5):
        await asyncio.sleep(0)
        yield number
async def main(): return list(thread.stream(count()))
print(loop.run_until_complete(main()))
thread.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout.strip() == "[0, 1, 2, 3, 4]", done.stderr


def test_a_wait_without_end_hears_ctrl_c(thread):
    started = threading.Event()
    cancelled = threading.Event()

    async def work():
        started.set()
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    def interrupt():
        started.wait(10)
        signal.raise_signal(signal.SIGINT) if os.name == "nt" else os.kill(
            os.getpid(), signal.SIGINT
        )

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        thread.run(work())
    assert cancelled.is_set()


def test_a_callers_loop_can_go_on_turning_while_it_waits():
    code = """
import asyncio
from swiftask_jupyter.support.io_thread import IOThread, keep_turning
thread, ticks = IOThread(), []
async def tick():
    while True:
        ticks.append(1)
        await asyncio.sleep(0.01)
async def slowly():
    for number in range(3):
        await asyncio.sleep(0.1)
        yield number
async def main():
    task = asyncio.create_task(tick())
    await asyncio.sleep(0)
    seen = [item for item in keep_turning(thread.stream(slowly(), tick=1e-6)) if item is not None]
    task.cancel()
    return seen
print(asyncio.run(main()), len(ticks) > 5)
thread.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout.strip() == "[0, 1, 2] True", done.stderr
