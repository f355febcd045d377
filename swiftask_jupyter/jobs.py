"""Work on another thread's loop, as the caller's thread sees it."""

from __future__ import annotations

import asyncio
from _thread import allocate_lock
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from swiftask_jupyter.errors import ConnectionFailed

T = TypeVar("T")

# Python delivers Ctrl-C between bytecodes; a wait without a limit is deaf on some systems.
TICK = 0.25
# How long an interrupted caller waits for its connection to be closed.
CLOSING = 2.0


class End:
    """Marks the end of a stream in its queue."""


class Job(Generic[T]):
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


class Watch(Iterator[T | None]):
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
        self._job = Job(loop, pump(items, self._queue.put))
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
