"""One prompt on its way: sent, sent again where that may help, ended."""

from __future__ import annotations

import time
from contextlib import aclosing

from swiftask_jupyter.batch.gate import NotNow
from swiftask_jupyter.batch.plan import Question
from swiftask_jupyter.errors import (
    AgentNotFound,
    ConnectionFailed,
    RateLimited,
    Refused,
    ServiceError,
    SwiftaskError,
    Unauthorized,
)
from swiftask_jupyter.messages import ALIAS
from swiftask_jupyter.protocols import Protocol
from swiftask_jupyter.replies import Delta, Event, Reply, Standing
from swiftask_jupyter.store.turns import Place, new_id
from swiftask_jupyter.transport import Gate, Transport
from swiftask_jupyter.values import replace

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

    def __init__(self, question: Question, place: Place, standing: Standing, number: int) -> None:
        self.question = question
        self.reply = Reply(
            question.prompt.agent, turn=new_id(), number=number, session=place.session,
            at=time.time(), standing=standing,
        )  # fmt: skip
        self.begun = False
        self.answers = 0
        self._start = time.perf_counter()

    async def send(self, transport: Transport, gate: Gate) -> None:
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
                if (other := route.instead(protocol, error)) is not None:
                    protocol = other
                elif isinstance(error, AgentNotFound) and (near := await route.near()):
                    raise AgentNotFound(
                        f"{error}; did you mean {near}?", status=error.status
                    ) from None
                else:
                    raise
            else:
                route.works(protocol)
                return

    async def _try(self, transport: Transport, gate: Gate, protocol: Protocol) -> None:
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
                    if reply.first_token_seconds is None and _any_text(events):
                        reply.first_token_seconds = self._seconds()
                    reply.apply(events)
        except NotNow:
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


def is_hopeless(error: SwiftaskError, sending: Sending, answers: int) -> bool:
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


def _any_text(events: list[Event]) -> bool:
    return any(isinstance(event, Delta) for event in events)
