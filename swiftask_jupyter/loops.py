"""The I/O thread, and how a caller's thread waits on it.

One daemon thread runs one asyncio loop, and all network traffic happens there. A cell can't run
its own loop (the kernel's is already running), and nesting loops drops the queued cells of a
Run All on current kernels. The thread is started on first use and again in a forked child.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

try:
    # The C task works where a user has replaced asyncio.Task by nest_asyncio's.
    from _asyncio import Task
except ImportError:  # an interpreter without it
    from asyncio import Task

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.jobs import CLOSING, TICK, End, Job, Watch, pump

T = TypeVar("T")
NOT_NESTED = "turn it off: %config SwiftaskMagics.nested = False"
OnStop = Callable[[], Coroutine[Any, Any, None]]


class IOThread:
    """A thread with an asyncio loop, to which work is handed over.

    Args:
        on_stop: makes the last coroutine of the loop, which closes what was opened on it.
    """

    def __init__(self, on_stop: OnStop | None = None) -> None:
        self._on_stop = on_stop
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._finalizer: weakref.finalize[..., Any] | None = None

    def submit(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Start a coroutine on the I/O thread and return at once."""
        job = Job(self._running(), work)
        job.start()
        return job

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the I/O thread and return its result; Ctrl-C cancels it."""
        job = Job(self._running(), work)
        try:
            job.start()
            while not job.wait(TICK):
                pass
        finally:
            job.put_down()
        return job.result()

    def stream(self, items: AsyncIterator[T], tick: float | None = None) -> Watch[T]:
        """Return what an asynchronous iterator makes on the I/O thread; see `Watch`."""
        return Watch(self._running(), items, tick)

    async def stream_async(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """Yield the same in the caller's own loop."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[T | type[End]] = asyncio.Queue()

        def put(item: T | type[End]) -> None:
            with suppress(RuntimeError):  # the caller's loop was closed
                loop.call_soon_threadsafe(queue.put_nowait, item)

        job = Job(self._running(), pump(items, put))
        job.on_end = lambda: put(End)
        try:
            job.start()
            while (item := await queue.get()) is not End:
                yield item  # type: ignore[misc]  # no item is a class
            job.result()
        finally:
            job.cancel()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():  # a forked child may have inherited a lock that is held
            self._lock, self._loop, self._pid = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                loop.set_task_factory(_c_task)
                thread = threading.Thread(
                    target=_run, args=(loop, self._on_stop), name="swiftask-io", daemon=True
                )
                thread.start()
                self._finalizer = weakref.finalize(self, _stop, loop, thread, self._pid)
                self._loop = loop  # last: after a Ctrl-C in between, no one waits on a still loop
            return self._loop

    def close(self) -> None:
        """Cancel what runs, stop the loop and join the thread; the next use starts anew."""
        with self._lock:
            finalizer, self._loop, self._finalizer = self._finalizer, None, None
        if finalizer is not None:
            finalizer()


def keep_turning(items: Iterator[T | None], step: float = 0.02) -> Iterator[T | None]:
    """Yield items while the caller's own loop goes on turning, which it would not by itself.

    While a cell waits, the tasks of the kernel's loop stand still. `nest_asyncio` lets the loop
    run inside itself; where that is known to break, callers must not ask for it.

    Args:
        items: gives `None` at once whenever nothing has come.
        step: seconds for which the loop turns before the next look.

    Raises:
        ConfigurationError: this loop can't be nested.
    """
    import nest_asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # no loop stands still: a terminal, a script
        yield from items
        return
    try:
        nest_asyncio.apply(loop)
    except ValueError as error:  # uvloop
        raise ConfigurationError(
            f"this loop can't be nested ({error})", advice=NOT_NESTED
        ) from None
    for item in items:
        if item is None:
            loop.run_until_complete(asyncio.sleep(step))
        yield item


def _c_task(loop: asyncio.AbstractEventLoop, work: Any, **named: Any) -> Any:
    return Task(work, loop=loop, **named)


def _run(loop: asyncio.AbstractEventLoop, on_stop: OnStop | None) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(_drain())
        if on_stop is not None:
            loop.run_until_complete(on_stop())
            loop.run_until_complete(_drain())  # what was handed over meanwhile
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _drain() -> None:
    """Cancel every task and let each close what it holds."""
    await asyncio.sleep(0)  # what was just handed over begins, and is a task
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, pid: int) -> None:
    if pid == os.getpid() and not loop.is_closed():  # a forked child has neither
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(CLOSING)
