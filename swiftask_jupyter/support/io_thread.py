"""The I/O thread: a daemon thread with an asyncio loop. All network traffic happens in this thread.

A cell cannot run an asyncio loop, because the kernel's loop is already running in the cell's
thread. With nested loops, current kernels lose the queued cells of a Run All. So `IOThread` runs a
coroutine in the loop of another thread. The caller waits for the coroutine's result with a
`BackgroundTask`, or iterates over items with a `BlockingIterator`.
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

try:
    # The C implementation also works where a user has replaced asyncio.Task by nest_asyncio's.
    from _asyncio import Task
except ImportError:  # an interpreter without the C accelerator
    from asyncio import Task

T = TypeVar("T")
Cleanup = Callable[[], Coroutine[Any, Any, None]]

# The longest single wait, in seconds. Python handles Ctrl-C between bytecodes, and on some systems
# a wait without a timeout cannot be interrupted.
POLL_SECONDS = 0.25
# How many seconds an interrupted caller waits for its connection to be closed.
CLOSE_SECONDS = 2.0
HOW_TO_STOP_NESTING = "turn it off: %config SwiftaskMagics.nested = False"


class IOThread:
    """A daemon thread with an asyncio loop that runs coroutines.

    The thread is started on first use, and started again in a forked child.

    Args:
        on_stop: a function that returns a cleanup coroutine. The coroutine runs before the loop is
            closed.
    """

    def __init__(self, on_stop: Cleanup | None = None) -> None:
        self._on_stop = on_stop
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._finalizer: weakref.finalize[..., Any] | None = None

    def submit(self, work: Coroutine[Any, Any, T]) -> BackgroundTask[T]:
        """Start a coroutine on the I/O thread.

        Return a `BackgroundTask` at once. The task gives access to the coroutine's result.
        """
        task = BackgroundTask(self._running_loop(), work)
        task.start()
        return task

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the I/O thread and return the result. Ctrl-C cancels the coroutine."""
        task = BackgroundTask(self._running_loop(), work)
        try:
            task.start()
            while not task.wait(POLL_SECONDS):
                pass
        finally:
            task.cancel_and_wait()
        return task.result()

    def stream(self, items: AsyncIterator[T], tick: float | None = None) -> BlockingIterator[T]:
        """Return a normal iterator over an asynchronous iterator that runs on the I/O thread.

        Args:
            items: the asynchronous iterator. The iterator is closed after the last item.
            tick: yield `None` after this many seconds without an item. Without a tick, wait for an
                item.
        """
        return BlockingIterator(self._running_loop(), items, tick)

    async def stream_async(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """Run an asynchronous iterator on the I/O thread, and yield the items to the caller.

        The caller's own event loop waits for the items.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[T | type[EndOfStream]] = asyncio.Queue()

        def put(item: T | type[EndOfStream]) -> None:
            with suppress(RuntimeError):  # the caller's loop was closed
                loop.call_soon_threadsafe(queue.put_nowait, item)

        task = BackgroundTask(self._running_loop(), forward(items, put))
        task.on_done = lambda: put(EndOfStream)
        watching: asyncio.TimerHandle | None = None

        def watch() -> None:
            nonlocal watching
            task.end_if_abandoned()
            watching = loop.call_later(POLL_SECONDS, watch)

        try:
            task.start()
            watch()
            while (item := await queue.get()) is not EndOfStream:
                yield item  # type: ignore[misc]  # no item is a class
            task.result()
        finally:
            if watching is not None:
                watching.cancel()
            task.cancel()

    def close(self) -> None:
        """Cancel all running tasks, stop the loop and join the thread.

        The next submitted coroutine starts a new thread.
        """
        with self._lock:
            finalizer, self._loop, self._finalizer = self._finalizer, None, None
        if finalizer is not None:
            finalizer()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():  # a forked child may have inherited a locked lock
            self._lock, self._loop, self._pid = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                loop.set_task_factory(_new_task)
                thread = threading.Thread(
                    target=_run_loop, args=(loop, self._on_stop), name="swiftask-io", daemon=True
                )
                thread.start()
                self._finalizer = weakref.finalize(self, _stop_loop, loop, thread, self._pid)
                # Assigned last: a Ctrl-C before this line must not leave a loop that never runs.
                self._loop = loop
            return self._loop


class BackgroundTask(Generic[T]):
    """A coroutine that runs on the I/O thread while another thread waits for the result.

    Attributes:
        done: whether the coroutine has ended.
        on_done: a function that is called on the I/O thread when the coroutine has ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self.done = False
        self.on_done: Callable[[], None] = lambda: None
        self._loop = loop
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._result: T | None = None
        self._error: BaseException | None = None
        self._cancelled = False
        # A plain lock: a `Condition` interrupted by Ctrl-C would block the I/O thread for ever.
        self._not_done = allocate_lock()
        self._not_done.acquire()

    def start(self) -> None:
        """Submit the coroutine to the loop."""
        try:
            # Not done by the constructor: if Ctrl-C interrupts the start, the caller already has an
            # object to cancel.
            self._loop.call_soon_threadsafe(self._start)
        except RuntimeError:  # the loop has just been closed
            self._work.close()
            raise

    def cancel(self) -> None:
        """Ask the coroutine to stop, without waiting for the end. Repeated calls are allowed."""
        self._cancelled = True

        def stop() -> None:
            if self._task is not None:
                self._task.cancel()
            elif not self.done:
                self._work.close()
                self._end(asyncio.CancelledError())

        with suppress(RuntimeError):  # the loop is closed, and so is the coroutine
            self._loop.call_soon_threadsafe(stop)

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the end of the coroutine.

        Return whether the coroutine has ended.
        """
        if not self.done and self._not_done.acquire(timeout=timeout):
            self._not_done.release()
        self.end_if_abandoned()
        return self.done

    def end_if_abandoned(self) -> None:
        """End this task as cancelled if the loop was closed before the coroutine ended."""
        if not self.done and self._loop.is_closed():
            self._work.close()
            self._end(asyncio.CancelledError())

    def cancel_and_wait(self) -> None:
        """Cancel the coroutine, and wait at most `CLOSE_SECONDS` for the end of the coroutine."""
        if not self.done:
            self.cancel()
            self.wait(CLOSE_SECONDS)

    def result(self) -> T:
        """Return the coroutine's result, or raise the coroutine's exception.

        Call this method only after the coroutine has ended.

        Raises:
            ConnectionFailed: the I/O thread was closed while the coroutine ran.
        """
        if isinstance(self._error, asyncio.CancelledError) and not self._cancelled:
            raise ConnectionFailed("the client was closed before the answer's end", sent=True)
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # a T once done without an error

    def _start(self) -> None:
        if not self.done:
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
        if self.done:
            return
        self._error = error
        self.done = True
        self._not_done.release()
        self.on_done()


class EndOfStream:
    """A marker for the end of a stream in a queue. The class itself is the marker."""


class BlockingIterator(Iterator[T | None]):
    """A normal iterator over an asynchronous iterator that runs on the I/O thread.

    Args:
        loop: the loop of the I/O thread.
        items: the asynchronous iterator.
        tick: yield `None` after this many seconds without an item. The caller can then update a
            display. Without a tick, wait for an item.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, items: AsyncIterator[T], tick: float | None
    ) -> None:
        self._queue: SimpleQueue[T | type[EndOfStream] | None] = SimpleQueue()
        self._tick = tick
        self._started = self._closed = False
        self._task = BackgroundTask(loop, forward(items, self._queue.put))
        self._task.on_done = lambda queue=self._queue: queue.put(EndOfStream)  # type: ignore[misc]  # a default argument, so that the task does not refer to this iterator

    def __next__(self) -> T | None:
        if self._closed:
            raise StopIteration
        try:
            if not self._started:
                self._started = True
                self._task.start()
            item = self._take()
        except BaseException:
            self.close()
            raise
        if item is not EndOfStream:
            return item  # type: ignore[return-value]  # no item is a class
        self._queue.put(EndOfStream)  # for the next call
        with suppress(asyncio.CancelledError):  # another thread closed this iterator
            self._task.result()
        raise StopIteration

    def _take(self) -> T | type[EndOfStream] | None:
        """Return the next item or the end marker.

        With a tick, return `None` if no item arrives within `tick` seconds.
        """
        while True:
            with suppress(Empty):
                return self._queue.get(timeout=self._tick or POLL_SECONDS)
            self._task.end_if_abandoned()
            if self._tick is not None:
                return None

    def wake(self) -> None:
        """Make a waiting `next` call return `None`. A signal handler may call this method."""
        self._queue.put(None)

    def close(self) -> None:
        """Cancel the asynchronous iterator, and wait a short time until the iterator has ended.

        Any thread may call this method. An iteration in another thread then ends.
        """
        self._closed = True
        self._task.cancel_and_wait()

    def __del__(self) -> None:
        if not self._task.done:
            self._task.cancel()


async def forward(items: AsyncIterator[T], put: Callable[[T], object]) -> None:
    """Call `put` with each item of an asynchronous iterator, and always close the iterator."""
    async with aclosing(items) as source:  # type: ignore[type-var]  # our iterators are generators
        async for item in source:
            put(item)


def run_loop_while_waiting(items: Iterator[T | None], step: float = 0.02) -> Iterator[T | None]:
    """Yield the items, and run the caller's event loop before each `None` item.

    The tasks of the kernel's loop can then run while a cell waits. `nest_asyncio` allows the
    running loop to be run again. Do not use this function on kernels that fail with nested loops.

    Args:
        items: an iterator that yields `None` at once when no item is ready.
        step: how many seconds the loop runs for each `None` item.

    Raises:
        ConfigurationError: the running loop cannot be nested, such as a loop of uvloop.
    """
    import nest_asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a terminal or a script, where no loop runs
        yield from items
        return
    try:
        nest_asyncio.apply(loop)
    except ValueError as error:  # uvloop
        raise ConfigurationError(
            f"this loop can't be nested ({error})", advice=HOW_TO_STOP_NESTING
        ) from None
    for item in items:
        if item is None:
            loop.run_until_complete(asyncio.sleep(step))
        yield item


def _new_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
    return Task(work, loop=loop, **options)


def _run_loop(loop: asyncio.AbstractEventLoop, on_stop: Cleanup | None) -> None:
    """Run the loop until the loop is stopped. Then cancel all tasks and close the loop.

    `on_stop` returns a cleanup coroutine. The coroutine runs before the loop is closed.
    """
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(_cancel_all())
        if on_stop is not None:
            loop.run_until_complete(on_stop())
            loop.run_until_complete(_cancel_all())  # tasks submitted during the cleanup
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _cancel_all() -> None:
    """Cancel all other tasks of the running loop, and wait until these tasks have ended."""
    await asyncio.sleep(0)  # lets a coroutine that was just submitted become a task
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _stop_loop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, pid: int) -> None:
    """Stop the loop and join the thread.

    `pid` is the id of the process that started the thread. In a forked child, do nothing.
    """
    if pid == os.getpid() and not loop.is_closed():
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(CLOSE_SECONDS)
