"""Work on another thread's loop, as the caller's thread sees it.

The I/O thread, and how a caller's thread waits on it.

One daemon thread runs one asyncio loop, and all network traffic happens there. A cell can't run
its own loop (the kernel's is already running), and nesting loops drops the queued cells of a
Run All on current kernels. The thread is started on first use and again in a forked child.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from _thread import allocate_lock
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from swiftask_jupyter.errors import ConfigurationError, ConnectionFailed

T = TypeVar("T")

# Python delivers Ctrl-C between bytecodes; a wait without a limit is deaf on some systems.
TICK = 0.25
# How long an interrupted caller waits for its connection to be closed.
CLOSING = 2.0


class End:
    """Marks the end of a stream in its queue."""


class BackgroundTask(Generic[T]):
    """A coroutine on the I/O thread, seen from another thread.

    Ctrl-C may strike between any two steps of the caller. So nothing here holds a lock that is
    written in Python: a `Condition` left in the middle would stop the I/O thread for ever.

    Attributes:
        over: whether it has ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self.over = False
        self.on_end: Callable[[], None] = lambda: None
        self._loop = loop
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._result: T | None = None
        self._error: BaseException | None = None
        self._given_up = False
        self._running = allocate_lock()
        self._running.acquire()

    def start(self) -> None:
        """Hand the coroutine over.

        Apart from making the job, so that a caller holds it when Ctrl-C comes in between.
        """
        try:
            self._loop.call_soon_threadsafe(self._start)
        except RuntimeError:  # the loop has just been closed
            self._work.close()
            raise

    def _start(self) -> None:
        if not self.over:
            self._task = self._loop.create_task(self._work)
            self._task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self._end(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self._end(error)
        else:
            self._result = task.result()
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        self._error = error
        self.over = True
        self._running.release()
        self.on_end()

    def cancel(self) -> None:
        """Ask the coroutine to stop; `wait` tells when it has. May be called again."""
        self._given_up = True

        def stop() -> None:
            if self._task is not None:
                self._task.cancel()
            elif not self.over:
                self._work.close()
                self._end(asyncio.CancelledError())

        with suppress(RuntimeError):  # the loop is gone, and the coroutine with it
            self._loop.call_soon_threadsafe(stop)

    def wait(self, seconds: float) -> bool:
        """Wait until the coroutine has ended, at most so long; return whether it has."""
        if not self.over and self._running.acquire(timeout=seconds):
            self._running.release()
        return self.over

    def put_down(self) -> None:
        """Cancel the coroutine if it runs, and wait until what it holds is closed."""
        if not self.over:
            self.cancel()
            self.wait(CLOSING)

    def result(self) -> T:
        """Return what the coroutine returned, or raise what it raised.

        Raises:
            ConnectionFailed: the client was closed while it ran.
        """
        if isinstance(self._error, asyncio.CancelledError) and not self._given_up:
            raise ConnectionFailed("the client was closed before the answer's end", sent=True)
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # it is T once over without an error


class StreamIterator(Iterator[T | None]):
    """What an asynchronous iterator makes on the I/O thread, item by item.

    With a tick (seconds), `None` comes whenever so long nothing else did, so that a display can
    catch up. `close` cancels and closes the iterator, as an interrupt does; whoever watches on
    another thread comes to its end.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, items: AsyncIterator[T], tick: float | None
    ) -> None:
        self._queue: SimpleQueue[T | type[End] | None] = SimpleQueue()
        self._tick = tick
        self._started = self._closed = False
        self._job = BackgroundTask(loop, pump(items, self._queue.put))
        self._job.on_end = lambda queue=self._queue: queue.put(End)  # type: ignore[misc]  # the default binds the queue, not the watch

    def __next__(self) -> T | None:
        if self._closed:
            raise StopIteration
        try:
            if not self._started:
                self._started = True
                self._job.start()
            item = _take(self._queue, self._tick)
        except BaseException:
            self.close()
            raise
        if item is not End:
            return item  # type: ignore[return-value]  # no item is a class
        self._queue.put(End)  # for whoever asks again
        with suppress(asyncio.CancelledError):  # another thread closed it
            self._job.result()
        raise StopIteration

    def wake(self) -> None:
        """End the present wait with `None`; may be called by a signal's handler."""
        self._queue.put(None)

    def close(self) -> None:
        """Stop, and wait until the connection is closed; may be called again, by any thread."""
        self._closed = True
        self._job.put_down()

    def __del__(self) -> None:
        if not self._job.over:
            self._job.cancel()


async def pump(items: AsyncIterator[T], put: Any) -> None:
    """Put each item of an iterator, and close the iterator whatever happens."""
    async with aclosing(items) as source:  # type: ignore[type-var]  # ours are generators
        async for item in source:
            put(item)


def _take(queue: SimpleQueue[T], tick: float | None) -> T | None:
    while True:
        with suppress(Empty):
            return queue.get(timeout=tick or TICK)
        if tick is not None:
            return None


try:
    # The C task works where a user has replaced asyncio.Task by nest_asyncio's.
    from _asyncio import Task
except ImportError:  # an interpreter without it
    from asyncio import Task


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

    def submit(self, work: Coroutine[Any, Any, T]) -> BackgroundTask[T]:
        """Start a coroutine on the I/O thread and return at once."""
        job = BackgroundTask(self._running(), work)
        job.start()
        return job

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the I/O thread and return its result; Ctrl-C cancels it."""
        job = BackgroundTask(self._running(), work)
        try:
            job.start()
            while not job.wait(TICK):
                pass
        finally:
            job.put_down()
        return job.result()

    def stream(self, items: AsyncIterator[T], tick: float | None = None) -> StreamIterator[T]:
        """Return what an asynchronous iterator makes on the I/O thread; see `StreamIterator`."""
        return StreamIterator(self._running(), items, tick)

    async def stream_async(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """Yield the same in the caller's own loop."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[T | type[End]] = asyncio.Queue()

        def put(item: T | type[End]) -> None:
            with suppress(RuntimeError):  # the caller's loop was closed
                loop.call_soon_threadsafe(queue.put_nowait, item)

        job = BackgroundTask(self._running(), pump(items, put))
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
