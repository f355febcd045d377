"""Sends the prompts of a batch with limited concurrency; runs on the I/O thread.

A single loop controls the batch. Each round of the loop writes to the ledger in one transaction:
the answers that have arrived, and the new prompts that are about to be sent. After the transaction,
the loop sends the new prompts. So each prompt is in the ledger before it is sent, and each answer
is in the ledger before it is reported. If many answers arrive at the same time, the answers share
one transaction.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing

from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.batch.limiter import ConcurrencyLimiter, RateLimitHook, RateLimitPaused
from swiftask_jupyter.batch.plan import RowPrompt
from swiftask_jupyter.errors import (
    AgentNotFound,
    ConnectionFailed,
    QuotaSpent,
    RateLimited,
    Refused,
    ServiceError,
    SwiftaskError,
    Unauthorized,
)
from swiftask_jupyter.ledger.turns import Turns
from swiftask_jupyter.protocols.limits import local_time
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.turns.attempt import Attempt
from swiftask_jupyter.turns.retry import batch_retry_delay, is_busy

# The pause after a transaction: this many times its duration, but at most this many seconds.
PAUSE_FACTOR, LONGEST_PAUSE = 3.0, 0.05
# If the service asks to wait longer than this, the batch ends, and the error says when to go on.
LONGEST_WAIT_SECONDS = 3600.0


class RowTask:
    """The state of one prompt in the scheduler, from the first request to the last retry.

    Attributes:
        row: the prompt with its number and its route.
        reply: the turn of the prompt, to which the pieces of the answer are added.
        attempt: sends the requests for the prompt.
        hook: stops the requests during a pause that the service asked for.
        begun: whether the first request was started; if so, the prompt is in the ledger.
        answers_before: how many prompts of the batch were answered before this object was created.
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
        """End the attempt with an error that every other prompt would meet too.

        The method clears the digest of the request. So the next run does not find this prompt in
        the ledger, and sends the prompt again.
        """
        self.attempt.end(error)
        self.reply.request_digest = ""


class Scheduler:
    """Sends the prompts of a batch, retries failed requests, and records each call in the ledger.

    Args:
        rows: the prompts to send.
        new_reply: a function that returns a new reply for a prompt. The reply collects the answer.
        settle: a function that stores the answer to a prompt. The function returns a prompt that
            asks the agent to correct the answer, or `None` if no correction is needed.
        transport: sends the requests.
        turns: the ledger's table of turns.
        limiter: limits the number of requests in flight.
        most_requests: the highest number of requests for one prompt.
        check_budget: a function that raises an error if a budget forbids the call; `None` if no
            budget is set.
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
        self._waiting: list[tuple[float, int, RowTask]] = []
        self._tasks: dict[asyncio.Task[None], RowTask] = {}
        self._ended: list[RowTask] = []
        self._changed = asyncio.Event()
        self._exhausted = False
        self._stop: BaseException | None = None
        self._answers = 0
        self._pause = 0.0

    async def settled(self) -> AsyncGenerator[list[int], None]:
        """Send all prompts; yield lists of the numbers of the prompts that have ended.

        A prompt has ended when the ledger has the answer or the error, and no correction is needed.
        If the generator is closed early, the requests in flight are cancelled.

        Raises:
            SwiftaskError: the error that stopped the batch early. The error is raised after all
                requests have ended.
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
                self._ended = []  # only now: if `_write` fails, `_write_off` tries again
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

    def _write(self, begun: list[RowTask], ended: list[RowTask]) -> None:
        if not (begun or ended):
            return
        start = time.perf_counter()
        self._turns.group([each.reply for each in begun], [each.reply for each in ended])
        self._pause = min(LONGEST_PAUSE, PAUSE_FACTOR * (time.perf_counter() - start))

    def _due(self) -> list[RowTask]:
        """Return the prompts to send now, as many as the limiter allows.

        Retries whose delay is over come first, then corrections, then new prompts. After an error
        that stops the batch, the list is empty.
        """
        now, limiter = time.monotonic(), self._limiter
        if (wait := limiter.pause_remaining(now)) and self._more_to_send():
            self._stop_before(wait)
        free = limiter.available(now)
        due: list[RowTask] = []
        while len(due) < free and self._stop is None:
            if self._waiting and self._waiting[0][0] <= now:
                due.append(heapq.heappop(self._waiting)[2])
            # No new row starts while many wait for a retry: this limits the unfinished rows.
            elif len(self._waiting) < limiter.limit and (new := self._next()) is not None:
                due.append(new)
                if self._check_budget is not None:
                    break  # one row a round: a budget check counts the rows that are in the ledger
            else:
                break
        return due

    def _next(self) -> RowTask | None:
        """Return a new attempt for the next correction or prompt; `None` if nothing is left."""
        row = self._repairs.popleft() if self._repairs else next(self._rows, None)
        if row is None:
            self._exhausted = True
            return None
        new = RowTask(row, self._new_reply(row), self._transport, self._limiter)
        new.answers_before = self._answers
        return new

    def _more_to_send(self) -> bool:
        """Return whether a prompt waits to be sent, without sending one."""
        if not (self._waiting or self._repairs or self._exhausted):
            if (row := next(self._rows, None)) is None:
                self._exhausted = True
            else:
                self._repairs.append(row)
        return bool(self._waiting or self._repairs)

    def _stop_before(self, wait: float, error: ServiceError | None = None) -> None:
        """Stop the batch if the service asks for a wait of more than `LONGEST_WAIT_SECONDS`.

        Args:
            wait: the seconds that the service asks to wait.
            error: the response that asked for it; `None` for a successful response.
        """
        if wait <= LONGEST_WAIT_SECONDS or (self._stop is not None and error is None):
            return
        reason = f" ({error})" if error is not None else ""
        self._stop = RateLimited(
            f"the service takes no more requests until {local_time(wait)}{reason}",
            status=200 if error is None else error.status,
            advice="run the batch again then: only the missing rows are sent",
            retry_after=wait,
        )

    def _may_leave(self, row: RowTask) -> bool:
        """Return whether the budget allows this prompt to be sent.

        If the budget forbids the prompt, or if the budget can't be checked, the prompt is recorded
        as refused, and the batch stops.
        """
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

    def _start(self, row: RowTask) -> None:
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

    async def _send(self, row: RowTask) -> None:
        await asyncio.sleep(0)  # lets the loop handle a response that asks to wait
        try:
            async with aclosing(row.attempt.events()) as answer:
                async for _ in answer:
                    pass
        except RateLimitPaused:
            self._put_off(row, self._limiter.paused_until)
        except SwiftaskError as error:
            self._failed(row, error)
        else:
            row.attempt.end()
            self._answers += 1
            self._limiter.request_succeeded()

    def _failed(self, row: RowTask, error: SwiftaskError) -> None:
        now, began = time.monotonic(), row.attempt.began
        delay = None
        if isinstance(error, ServiceError) and is_busy(error):
            self._limiter.rate_limited(row.hook.sent_at, now, error.retry_after)
            self._stop_before(error.retry_after or 0.0, error)
        if not began:  # a part of an answer may have been billed
            delay = batch_retry_delay(error, row.reply.attempts, self._most_requests)
        if delay is not None and delay > LONGEST_WAIT_SECONDS:
            row.end_fatal(error)
        elif delay is not None:  # if the batch stops before the retry, the next run sends the row
            self._put_off(row, now + delay)
        elif is_fatal(error, answered_since=self._answers - row.answers_before):
            row.attempt.end(error) if began else row.end_fatal(error)
            self._stop = self._stop or error
        else:
            row.attempt.end(error)

    def _put_off(self, row: RowTask, until: float) -> None:
        heapq.heappush(self._waiting, (until, id(row), row))

    def _settle(self, ended: list[RowTask]) -> list[int]:
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
        """Wait until a request ends or a delayed prompt may be sent.

        After a request has ended, the method waits a short time longer. So the answers that arrive
        in this time share a transaction.
        """
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
        """Return the time at which the loop continues, even if no request has ended.

        The time is the end of a pause, or the time of the next retry, in seconds of
        `time.monotonic`. `None` means that the loop waits for a request to end.
        """
        if self._stop is not None or (self._exhausted and not (self._waiting or self._repairs)):
            return None
        now, limiter = time.monotonic(), self._limiter
        if limiter.pause_remaining(now):
            return limiter.paused_until
        return self._waiting[0][0] if self._waiting and limiter.available(now) else None

    async def _cancel(self) -> None:
        """Cancel all requests in flight; record running and delayed prompts as interrupted."""
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
    """Return whether every other prompt of the batch would fail with this error too.

    Two errors are fatal only if `answered_since` is 0: the service is unreachable, or the service
    forbids access (403).

    Args:
        error: the error of one prompt.
        answered_since: how many prompts were answered since the attempt for this prompt was
            created.
    """
    if isinstance(error, Refused | AgentNotFound):
        return True
    if isinstance(error, Unauthorized) and error.status == 401:
        return True
    if isinstance(error, QuotaSpent) or (isinstance(error, ServiceError) and error.status == 407):
        return True  # neither a wait nor another prompt changes it
    if isinstance(error, ConnectionFailed) and error.permanent:
        return True
    unreachable = isinstance(error, ConnectionFailed) and not error.sent
    return (unreachable or isinstance(error, Unauthorized)) and answered_since == 0
