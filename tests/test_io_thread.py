"""The I/O thread: it returns results and items in order, and cancels what the caller stops."""

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
    """An endless asynchronous iterator of numbers that records when it is closed."""

    def __init__(self):
        self.closed = threading.Event()

    async def count(self):
        """Yield 0, 1, 2 and so on until the iterator is closed."""
        try:
            number = 0
            while True:
                yield number
                number += 1
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)  # closing a connection takes a step of the loop
            self.closed.set()


def test_run_returns_the_result_of_a_coroutine_on_the_io_thread(thread):
    async def work():
        return threading.current_thread().name

    assert thread.run(work()) == "swiftask-io"


@pytest.mark.parametrize("error", [ValueError("x"), TimeoutError("its own")])
def test_run_raises_the_error_of_the_coroutine(thread, error):
    async def work():
        raise error

    with pytest.raises(type(error)):
        thread.run(work())


def test_items_arrive_in_order_and_closing_early_closes_their_source(thread):
    numbers = Numbers()
    stream = thread.stream(numbers.count())

    seen = [next(stream) for _ in range(1000)]
    stream.close()

    assert seen == list(range(1000))
    assert numbers.closed.is_set()


def test_an_iterator_closed_by_another_thread_ends(thread):
    waits, seen = threading.Event(), []

    async def one():
        yield 1
        waits.set()
        await asyncio.Event().wait()

    stream = thread.stream(one())

    def read():
        try:
            seen.extend(stream)
            seen.append("ended")
        except BaseException as error:  # noqa: BLE001 - the test compares whatever was raised
            seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert waits.wait(10)
    stream.close()
    reader.join(10)

    assert seen == [1, "ended"]


def test_a_tick_yields_none_while_no_item_arrives(thread):
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


def test_an_error_is_raised_after_the_items_before_it(thread):
    async def work():
        yield 1
        raise ValueError("x")

    seen = []
    with pytest.raises(ValueError, match="x"):
        seen.extend(thread.stream(work()))
    assert seen == [1]


def test_a_running_loop_can_iterate_asynchronously(thread):
    async def work():
        yield 1
        yield 2

    async def collect():
        return [item async for item in thread.stream_async(work())]

    assert asyncio.run(collect()) == [1, 2]


def test_a_running_loop_that_breaks_off_closes_the_source(thread):
    numbers = Numbers()

    async def read_ten():
        stream = thread.stream_async(numbers.count())
        async for number in stream:
            if number == 10:
                break
        await stream.aclose()

    asyncio.run(read_ten())
    assert numbers.closed.wait(5)


def test_close_cancels_running_tasks_and_the_next_use_starts_a_new_loop(thread):
    numbers = Numbers()
    stream = thread.stream(numbers.count())
    next(stream)

    thread.close()

    async def one():
        return 1

    assert numbers.closed.is_set()
    assert thread.run(one()) == 1


def test_a_task_submitted_while_the_loop_stops_is_cancelled():
    stopping, go_on = threading.Event(), asyncio.Event()

    async def last():
        stopping.set()
        await go_on.wait()  # the loop keeps running meanwhile

    thread = IOThread(last)
    thread.run(asyncio.sleep(0))
    loop = thread._running_loop()
    closing = threading.Thread(target=thread.close)
    closing.start()
    assert stopping.wait(10)
    tasks = [BackgroundTask(loop, asyncio.sleep(60)) for _ in range(2)]
    tasks[0].start()
    loop.call_soon_threadsafe(go_on.set)
    tasks[1].start()
    closing.join(10)

    for task in tasks:
        assert task.wait(10)
        with pytest.raises(ConnectionFailed, match="client was closed"):
            task.result()


@pytest.fixture
def abandoning_thread(monkeypatch):
    """An I/O thread whose loop is closed before any of the coroutines submitted to it begins."""
    thread, loop = IOThread(), asyncio.new_event_loop()
    monkeypatch.setattr(thread, "_running_loop", lambda: loop)
    submit = loop.call_soon_threadsafe

    def submit_and_close(*arguments, **options):
        handle = submit(*arguments, **options)
        loop.close()
        return handle

    monkeypatch.setattr(loop, "call_soon_threadsafe", submit_and_close)
    yield thread
    loop.close()


def collect_async(thread):
    async def collect():
        return [item async for item in thread.stream_async(Numbers().count())]

    return asyncio.run(asyncio.wait_for(collect(), 30))


@pytest.mark.parametrize(
    "wait",
    [
        lambda thread: thread.run(asyncio.sleep(0)),
        lambda thread: list(thread.stream(Numbers().count())),
        lambda thread: list(thread.stream(Numbers().count(), tick=0.01)),
        collect_async,
    ],
    ids=["run", "stream", "stream with a tick", "stream_async"],
)
def test_no_caller_waits_for_a_coroutine_that_the_closed_loop_never_began(abandoning_thread, wait):
    with pytest.raises(ConnectionFailed, match="client was closed"):
        wait(abandoning_thread)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the new loop is dropped unclosed
def test_ctrl_c_before_the_thread_starts_leaves_no_loop_behind_that_never_runs(thread, monkeypatch):
    async def work():
        return "done"

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, contextlib.closing(work()) as coroutine:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            thread.run(coroutine)
    gc.collect()

    task = thread.submit(work())
    assert task.wait(20)
    assert task.result() == "done"


def test_on_stop_runs_on_the_loop_before_it_closes():
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
def test_a_forked_child_starts_its_own_thread():
    code = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking while threads run is what we test
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


def test_ctrl_c_in_a_script_closes_the_source_and_prints_no_warnings():
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

    # Two threads print, so their lines may be interleaved.
    assert {"closed", "interrupted"} == {
        word for word in ("closed", "interrupted") if word in done.stdout
    }
    # asyncio's debug mode reports slow callbacks, which depend on the machine's load.
    warnings = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert warnings == []


def test_the_thread_works_in_a_process_that_applied_nest_asyncio():
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


def test_ctrl_c_interrupts_a_long_wait_and_cancels_the_coroutine(thread):
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


def test_the_callers_loop_keeps_running_while_it_waits_with_nesting():
    code = """
import asyncio
from swiftask_jupyter.support.io_thread import IOThread, run_loop_while_waiting
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
    items = run_loop_while_waiting(thread.stream(slowly(), tick=1e-6))
    seen = [item for item in items if item is not None]
    task.cancel()
    return seen
print(asyncio.run(main()), len(ticks) > 5)
thread.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout.strip() == "[0, 1, 2] True", done.stderr
