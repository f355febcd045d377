"""Sends the prompts of a batch, a limited number at once; runs on the I/O thread.

One loop does it all: it records the rows that ended and the rows that are about to leave, in one
transaction, and then lets these leave. So every row is in the ledger before it is sent, and its
answer before it is counted; the more rows there are, the more share one transaction.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing

from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.batch.limiter import (
    RATE_LIMIT_STATUSES,
    ConcurrencyLimiter,
    RateLimitHook,
    RateLimitPaused,
)
from swiftask_jupyter.batch.plan import RowPrompt
from swiftask_jupyter.errors import (
    AgentNotFound,
    ConnectionFailed,
    RateLimited,
    Refused,
    ServiceError,
    SwiftaskError,
    Unauthorized,
)
from swiftask_jupyter.ledger.turns import Turns
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.turns.attempt import Attempt
from swiftask_jupyter.turns.retry import batch_retry_delay

# The pause between two transactions: this many times what one takes, at most so many seconds.
PAUSE_FACTOR, LONGEST_PAUSE = 3.0, 0.05


class RowAttempt:
    """The attempt to get the answer of one row, over all its requests.

    Attributes:
        row: the prompt.
        reply: the answer as it grows.
        attempt: sends it.
        hook: holds requests back while the service asks to wait.
        begun: whether its turn is in the ledger.
        answers_before: how many rows had been answered when it was begun.
    """

    def __init__(
        self, row: RowPrompt, reply: Reply, transport: Transport, limiter: ConcurrencyLimiter
    ) -> None:
        self.row = row
        self.reply = reply
        self.hook = RateLimitHook(limiter)
        self.attempt = Attempt(transport, row.route, row.prompt, reply, hook=self.hook)
        self.begun = False
        self.answers_before = 0

    def end_fatal(self, error: SwiftaskError) -> None:
        """Note a failure that every row would meet; without its digest the next run resends it."""
        self.attempt.end(error)
        self.reply.request_digest = ""


class Scheduler:
    """The prompts in flight, those that wait to be sent again, and those still to come.

    Args:
        rows: the prompts to send.
        new_reply: makes the reply of a row, with its place in the ledger.
        settle: takes the finished reply of a row; returns a prompt that asks the agent to correct
            it, or `None` if it is valid.
        transport: the network.
        turns: the table of turns.
        limiter: how many requests may be in flight.
        most_requests: how many requests one row may take.
        check_budget: raises if a turn may not be sent; `None` if there is no budget.
    """

    def __init__(
        self,
        rows: Iterator[RowPrompt],
        *,
        new_reply: Callable[[RowPrompt], Reply],
        settle: Callable[[RowPrompt, Reply], RowPrompt | None],
        transport: Transport,
        turns: Turns,
        limiter: ConcurrencyLimiter,
        most_requests: int,
        check_budget: Callable[[Reply], object] | None = None,
    ) -> None:
        self._rows = rows
        self._new_reply = new_reply
        self._settle_row = settle
        self._transport = transport
        self._turns = turns
        self._limiter = limiter
        self._most_requests = most_requests
        self._check_budget = check_budget
        self._repairs: deque[RowPrompt] = deque()
        self._waiting: list[tuple[float, int, RowAttempt]] = []
        self._tasks: dict[asyncio.Task[None], RowAttempt] = {}
        self._ended: list[RowAttempt] = []
        self._changed = asyncio.Event()
        self._exhausted = False
        self._stop: BaseException | None = None
        self._answers = 0
        self._pause = 0.0

    async def settled(self) -> AsyncGenerator[list[int], None]:
        """Yield the numbers of the prompts whose answers are in the ledger and settled.

        Raises:
            SwiftaskError: what ended the batch early; raised once all requests have ended.
        """
        try:
            while True:
                self._changed.clear()
                leaving, ended = self._due(), self._ended
                new = [each for each in leaving if not each.begun]
                for each in leaving:
                    if each.begun:
                        self._start(each)
                self._write(new, ended)
                self._ended = []  # only now: what can't be written is tried once more at the end
                for each in new:
                    if self._may_leave(each):
                        self._start(each)
                if ended:
                    yield self._settle(ended)
                elif self._is_over():
                    break
                if not self._ended and not (leaving and self._check_budget):
                    await self._wait()
        finally:
            await self._cancel()
        if self._stop is not None:
            raise self._stop

    def _write(self, begun: list[RowAttempt], ended: list[RowAttempt]) -> None:
        if not (begun or ended):
            return
        start = time.perf_counter()
        self._turns.group([each.reply for each in begun], [each.reply for each in ended])
        self._pause = min(LONGEST_PAUSE, PAUSE_FACTOR * (time.perf_counter() - start))

    def _due(self) -> list[RowAttempt]:
        """Return the rows that may leave now: those that waited, then repairs, then new ones."""
        now, limiter = time.monotonic(), self._limiter
        free = limiter.available(now)
        due: list[RowAttempt] = []
        while len(due) < free and self._stop is None:
            if self._waiting and self._waiting[0][0] <= now:
                due.append(heapq.heappop(self._waiting)[2])
            # While many wait, no more are begun: the unfinished rows stay within bounds.
            elif len(self._waiting) < limiter.limit and (new := self._next()) is not None:
                due.append(new)
                if self._check_budget is not None:
                    break  # one by one: each check must find the other rows in the ledger
            else:
                break
        return due

    def _next(self) -> RowAttempt | None:
        """Return the next row to begin; `None` if there is none."""
        row = self._repairs.popleft() if self._repairs else next(self._rows, None)
        if row is None:
            self._exhausted = True
            return None
        new = RowAttempt(row, self._new_reply(row), self._transport, self._limiter)
        new.answers_before = self._answers
        return new

    def _may_leave(self, row: RowAttempt) -> bool:
        """Return whether a new row is within the budget; if not, or if unknown, the batch ends."""
        if self._check_budget is None:
            return True
        try:
            self._check_budget(row.reply)
        except SwiftaskError as error:
            row.attempt.end(error, status="refused")
            self._stop = error
            self._ended.append(row)
            return False
        return True

    def _start(self, row: RowAttempt) -> None:
        row.begun = True
        self._limiter.request_started()
        task = asyncio.get_running_loop().create_task(self._send(row))
        self._tasks[task] = row
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        row = self._tasks.pop(task)
        self._limiter.request_ended()
        if task.cancelled():
            row.attempt.end(status="interrupted")
        elif (error := task.exception()) is not None:  # a bug of this package
            row.attempt.end(error, status="error")
            self._stop = error
        if row.reply.status != "running":
            self._ended.append(row)
        self._changed.set()

    async def _send(self, row: RowAttempt) -> None:
        await asyncio.sleep(0)  # a response that asks to wait may have come while rows were written
        try:
            async with aclosing(row.attempt.events()) as answer:
                async for _ in answer:
                    pass
        except RateLimitPaused:
            self._put_off(row, self._limiter.paused_until)
        except SwiftaskError as error:
            if row.attempt.began:
                row.attempt.end(error)
            else:
                self._failed(row, error)
        else:
            row.attempt.end()
            self._answers += 1
            self._limiter.request_succeeded()

    def _failed(self, row: RowAttempt, error: SwiftaskError) -> None:
        now = time.monotonic()
        if isinstance(error, ServiceError) and error.status in RATE_LIMIT_STATUSES:
            self._limiter.rate_limited(row.hook.sent_at, now, error.retry_after)
        delay = batch_retry_delay(error, row.reply.attempts, self._most_requests)
        if delay is not None:  # if the batch ends before, the next run sends it
            self._put_off(row, now + delay)
        elif is_fatal(error, answered_since=self._answers - row.answers_before):
            row.end_fatal(error)
            self._stop = self._stop or error
        else:
            row.attempt.end(error)

    def _put_off(self, row: RowAttempt, until: float) -> None:
        heapq.heappush(self._waiting, (until, id(row), row))

    def _settle(self, ended: list[RowAttempt]) -> list[int]:
        settled = []
        for each in ended:
            repair = self._settle_row(each.row, each.reply)
            if repair is None:
                settled.append(each.row.number)
            else:
                self._repairs.append(repair)
                self._exhausted = False
        return settled

    def _is_over(self) -> bool:
        if self._tasks or self._ended:
            return False
        return self._stop is not None or (self._exhausted and not self._waiting)

    async def _wait(self) -> None:
        """Wait until a row ends or becomes due; then pause, so that more share a transaction."""
        moment = self._next_moment()
        if self._tasks or moment is not None:
            limit = None if moment is None else max(0.0, moment - time.monotonic())
            try:
                async with asyncio.timeout(limit):
                    await self._changed.wait()
            except TimeoutError:
                return
        if self._pause:
            await asyncio.sleep(self._pause)

    def _next_moment(self) -> float | None:
        """Return when a row may leave that only has to wait; `None` if there is none."""
        if self._stop is not None:
            return None
        now, limiter = time.monotonic(), self._limiter
        if limiter.pause_remaining(now):
            return limiter.paused_until
        return self._waiting[0][0] if self._waiting and limiter.available(now) else None

    async def _cancel(self) -> None:
        """Cancel the rows in flight, and record that they were interrupted."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # for the callbacks of finished tasks
        finally:
            self._write_off()  # even if the loop ends before the tasks do

    def _write_off(self) -> None:
        stopped = [*self._tasks.values(), *(row for *_, row in self._waiting)]
        self._waiting.clear()
        for row in stopped:
            row.attempt.end(status="interrupted")
        self._ended += stopped
        if self._ended:
            self._turns.group((), [each.reply for each in self._ended])
            self._settle([each for each in self._ended if each.reply.status != "interrupted"])


def is_fatal(error: SwiftaskError, *, answered_since: int) -> bool:
    """Return whether every other row would fail with this error too.

    A service that can't be reached, or forbids access, fails every row if it has answered none
    since this row was begun.

    Args:
        error: the error of a row.
        answered_since: how many rows were answered since this row was begun.
    """
    if isinstance(error, Refused | AgentNotFound):
        return True
    if isinstance(error, Unauthorized) and error.status == 401:
        return True
    if isinstance(error, RateLimited) and error.status == 200:  # waiting does not lift this limit
        return True
    unreachable = isinstance(error, ConnectionFailed) and not error.sent
    return (unreachable or isinstance(error, Unauthorized)) and answered_since == 0
