"""One prompt on its way: sent, sent again where that may help, ended.

What all rows of a batch are sent with.

Sends many prompts, so many at once; runs on the I/O thread.

One loop does it all: it writes down what has ended and what is about to leave, in one
transaction, then lets it leave. So every row stands in the ledger before it is sent, and its
answer before it is counted; and the more rows there are, the more share a transaction.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from itertools import count

from swiftask_jupyter.answers.reply import Reply, Standing, has_text
from swiftask_jupyter.batch.limiter import SLOW_DOWN, ConcurrencyLimiter, RateLimitPaused, RowHook
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
from swiftask_jupyter.ledger.turns import Place, Row, Turns, new_id
from swiftask_jupyter.prompts.prompt import ALIAS
from swiftask_jupyter.protocols.base import Protocol
from swiftask_jupyter.support.structs import Struct, field, replace
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.transport.exchange import RequestHook
from swiftask_jupyter.turns.retry import patience

# What fails one row like this fails them all.
HOPELESS = (Refused, AgentNotFound)


class Broken(Exception):
    """An answer broke off after it had begun; the error is its cause."""


class Sending:
    """A prompt and its reply; the turn of the ledger is begun and completed by others.

    Attributes:
        question: what is asked.
        reply: what comes back, over all tries.
        begun: whether it was let go once; then its turn stands in the ledger.
        answers: how many rows had been answered when this one was first sent.
    """

    def __init__(self, question: RowPrompt, place: Place, standing: Standing, number: int) -> None:
        self.question = question
        self.reply = Reply(
            question.prompt.agent, turn=new_id(), number=number, session=place.session,
            at=time.time(), standing=standing,
        )  # fmt: skip
        self.begun = False
        self.answers = 0
        self._start = time.perf_counter()

    async def send(self, transport: Transport, gate: RequestHook) -> None:
        """Send it once, by whatever dialect takes it.

        Raises:
            NotNow: the gate was closed; it was not sent.
            Broken: the answer began, and broke off.
            SwiftaskError: nothing of an answer came.
        """
        route = self.question.route
        protocol = await route.protocol()
        while True:
            try:
                await self._try(transport, gate, protocol)
            except ServiceError as error:
                if (other := route.instead(protocol, error)) is None:
                    raise await route.explained(error) from None
                protocol = other
            else:
                route.works(protocol)
                return

    async def _try(self, transport: Transport, gate: RequestHook, protocol: Protocol) -> None:
        reply, prompt = self.reply, self.question.prompt
        reply.dialect, reply.streams = protocol.name, protocol.streams
        reply.digest = prompt.digest(protocol.name, self.question.route.realm)
        reply.attempts += 1
        alone = replace(prompt, alias=ALIAS + new_id())
        began = False
        try:
            async with aclosing(transport.stream(protocol, alone, gate=gate)) as answer:
                async for events in answer:
                    began = True
                    if reply.first_token_seconds is None and has_text(events):
                        reply.first_token_seconds = self._seconds()
                    reply.apply(events)
        except RateLimitPaused:
            reply.attempts -= 1
            raise
        except SwiftaskError as error:
            if began:
                raise Broken from error
            raise

    def end(self, status: str, error: BaseException | None = None) -> None:
        """Note how it ended."""
        reply = self.reply
        reply.status, reply.seconds = status, self._seconds()  # type: ignore[assignment]  # one of them
        if isinstance(error, SwiftaskError):
            reply.error = str(error.masked(self.question.route.token.mask))
        elif error is not None:
            reply.error = type(error).__name__

    def end_hopeless(self, error: SwiftaskError) -> None:
        """Note a failure that is not the row's own: the next run sends it again."""
        self.end("error", error)
        self.reply.digest = ""

    def _seconds(self) -> float:
        return time.perf_counter() - self._start


def is_fatal(error: SwiftaskError, sending: Sending, answers: int) -> bool:
    """Tell whether an error would meet every other row too.

    A service that can't be reached, or that forbids, and that has answered nobody since the row
    was first sent, does so to all.
    """
    if isinstance(error, HOPELESS) or (isinstance(error, Unauthorized) and error.status == 401):
        return True
    if isinstance(error, RateLimited) and error.status == 200:  # a limit that no wait lifts
        return True
    unreachable = isinstance(error, ConnectionFailed) and not error.sent
    return (unreachable or isinstance(error, Unauthorized)) and answers == sending.answers


class Office(Struct, frozen=True):
    """What the prompts of a batch share.

    Attributes:
        transport: the network.
        turns: the ledger.
        place: the notebook, and the batch's own session.
        standing: the cell that asks.
        window: how many may be under way.
        tries: how often each is sent at most.
        settle: takes an ended reply; gives what must be asked because of it, if anything.
        budget: asked about each turn when it stands in the ledger and is about to be sent;
            what it raises (`Refused`) ends the batch. `None` where no budget holds.
        numbers: which turn of the batch each is.
    """

    transport: Transport
    turns: Turns
    place: Place
    standing: Standing
    window: ConcurrencyLimiter
    tries: int
    settle: Callable[[RowPrompt, Reply], RowPrompt | None]
    budget: Callable[[Reply, Place], object] | None = None
    numbers: Iterator[int] = field(default_factory=lambda: count(1))


# Between two transactions, so many times what one takes, in seconds at most.
PATIENT, LONGEST_GAP = 3.0, 0.05


class Scheduler:
    """The prompts under way, those that wait to be sent again, and those still to come."""

    def __init__(self, office: Office, questions: Iterator[RowPrompt]) -> None:
        self._office = office
        self._fresh = questions
        self._repairs: deque[RowPrompt] = deque()
        self._waiting: list[tuple[float, int, Sending]] = []
        self._tasks: dict[asyncio.Task[None], Sending] = {}
        self._ended: list[Sending] = []
        self._changed = asyncio.Event()
        self._exhausted = False
        self._stop: BaseException | None = None
        self._answers = 0
        self._gap = 0.0

    async def settled(self) -> AsyncGenerator[list[int], None]:
        """Yield the numbers of the prompts whose answers are written down and settled.

        Raises:
            SwiftaskError: what ended the batch before its time, once all under way has ended.
        """
        try:
            while True:
                self._changed.clear()
                leaving, ended = self._due(), self._ended
                new = [each for each in leaving if not each.begun]
                for sending in leaving:
                    if sending.begun:
                        self._start(sending)
                self._write(new, ended)
                self._ended = []  # only now: what can't be written is tried once more at the end
                for sending in new:
                    if self._allowed(sending):
                        self._start(sending)
                if ended:
                    yield self._settle(ended)
                elif self._is_over():
                    break
                if not self._ended and not (leaving and self._office.budget):
                    await self._wait()
        finally:
            await self._cancel()
        if self._stop is not None:
            raise self._stop

    def _write(self, begun: list[Sending], ended: list[Sending]) -> None:
        if not (begun or ended):
            return
        start = time.perf_counter()
        self._office.turns.group(self._rows(begun), self._rows(ended))
        self._gap = min(LONGEST_GAP, PATIENT * (time.perf_counter() - start))

    def _rows(self, sendings: list[Sending]) -> list[Row]:
        place = self._office.place
        return [(each.reply, place, each.question.prompt.text) for each in sendings]

    def _due(self) -> list[Sending]:
        """Return what may leave now: what waited first, then repairs, then what is new."""
        now, window = time.monotonic(), self._office.window
        free = window.free(now)
        due: list[Sending] = []
        while len(due) < free and self._stop is None:
            if self._waiting and self._waiting[0][0] <= now:
                due.append(heapq.heappop(self._waiting)[2])
            # While many wait, no more are begun: what is not finished stays within bounds.
            elif len(self._waiting) < window.limit and (fresh := self._next()) is not None:
                due.append(fresh)
                if self._office.budget is not None:
                    break  # one by one: each must see the others in the ledger
            else:
                break
        return due

    def _next(self) -> Sending | None:
        """Return the next prompt that may begin, if there is one."""
        office = self._office
        question = self._repairs.popleft() if self._repairs else next(self._fresh, None)
        if question is None:
            self._exhausted = True
            return None
        sending = Sending(question, office.place, office.standing, next(office.numbers))
        sending.answers = self._answers
        return sending

    def _allowed(self, sending: Sending) -> bool:
        """Tell whether a new turn may be sent; one that would pass the budget ends the batch.

        So does one of which that can't be told.
        """
        office = self._office
        if office.budget is None:
            return True
        try:
            office.budget(sending.reply, office.place)
        except SwiftaskError as error:
            sending.end("refused", error)
            self._stop = error
            self._ended.append(sending)
            return False
        return True

    def _start(self, sending: Sending) -> None:
        sending.begun = True
        self._office.window.leave()
        task = asyncio.get_running_loop().create_task(self._send(sending))
        self._tasks[task] = sending
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        sending = self._tasks.pop(task)
        self._office.window.ended()
        if task.cancelled():
            sending.end("interrupted")
        elif (error := task.exception()) is not None:  # a fault of ours
            sending.end("error", error)
            self._stop = error
        if sending.reply.status != "running":
            self._ended.append(sending)
        self._changed.set()

    async def _send(self, sending: Sending) -> None:
        window = self._office.window
        gate = RowHook(window)
        await asyncio.sleep(0)  # what came while rows were written may ask to wait: it goes first
        try:
            await sending.send(self._office.transport, gate)
        except RateLimitPaused:
            self._put_off(sending, window.closed_until)
        except Broken as broken:
            sending.end("error", broken.__cause__)
        except SwiftaskError as error:
            self._failed(sending, error, gate.left_at)
        else:
            sending.end("ok")
            self._answers += 1
            window.answered()

    def _failed(self, sending: Sending, error: SwiftaskError, left: float) -> None:
        now, window = time.monotonic(), self._office.window
        if isinstance(error, ServiceError) and error.status in SLOW_DOWN:
            window.refused(left, now, error.retry_after)
        wait = patience(error, sending.reply.attempts, self._office.tries)
        if wait is not None:  # where the batch ends meanwhile, the next run sends it
            self._put_off(sending, now + wait)
        elif is_fatal(error, sending, self._answers):
            sending.end_hopeless(error)
            self._stop = self._stop or error
        else:
            sending.end("error", error)

    def _put_off(self, sending: Sending, until: float) -> None:
        heapq.heappush(self._waiting, (until, id(sending), sending))

    def _settle(self, ended: list[Sending]) -> list[int]:
        settled = []
        for each in ended:
            again = self._office.settle(each.question, each.reply)
            if again is None:
                settled.append(each.question.number)
            else:
                self._repairs.append(again)
                self._exhausted = False
        return settled

    def _is_over(self) -> bool:
        if self._tasks or self._ended:
            return False
        return self._stop is not None or (self._exhausted and not self._waiting)

    async def _wait(self) -> None:
        """Wait for something to end, or for something to become due; then let more gather."""
        moment = self._next_moment()
        if self._tasks or moment is not None:
            limit = None if moment is None else max(0.0, moment - time.monotonic())
            try:
                async with asyncio.timeout(limit):
                    await self._changed.wait()
            except TimeoutError:
                return
        if self._gap:
            await asyncio.sleep(self._gap)

    def _next_moment(self) -> float | None:
        """Return when something may leave that may not now, if only time is in its way."""
        if self._stop is not None:
            return None
        now, window = time.monotonic(), self._office.window
        if window.closed_for(now):
            return window.closed_until
        return self._waiting[0][0] if self._waiting and window.free(now) else None

    async def _cancel(self) -> None:
        """Stop what is under way, and write down that it was stopped."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # for what is called when a task is done
        finally:
            self._write_off()  # even where the loop ends before they do

    def _write_off(self) -> None:
        stopped = [*self._tasks.values(), *(sending for *_, sending in self._waiting)]
        self._waiting.clear()
        for sending in stopped:
            sending.end("interrupted")
        self._ended += stopped
        if self._ended:
            self._office.turns.group((), self._rows(self._ended))
            self._settle([each for each in self._ended if each.reply.status != "interrupted"])
