"""A conversation: what is sent, what comes back, and that each turn is written down once.

A `Turn` lives on the I/O thread from the moment the request leaves. Whoever asked watches its
`Reply` grow and may go away at any time: how it ended is recorded all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Self

from swiftask_jupyter.errors import (
    AgentNotFound,
    ConnectionFailed,
    PromptError,
    Refused,
    ServiceError,
    SwiftaskError,
)
from swiftask_jupyter.jobs import Watch
from swiftask_jupyter.loops import IOThread
from swiftask_jupyter.messages import Prompt
from swiftask_jupyter.protocols import Protocol
from swiftask_jupyter.replies import Answer, Delta, Event, Reply, answer
from swiftask_jupyter.retry import pause
from swiftask_jupyter.routes import Route
from swiftask_jupyter.store import Turns
from swiftask_jupyter.store.turns import Place, new_id
from swiftask_jupyter.tokens import Token
from swiftask_jupyter.transport import Transport


class Session:
    """One conversation, of one notebook or of none."""

    def __init__(self, place: Place, turns: Turns, transport: Transport) -> None:
        self.place = place
        self.turns = turns
        self.transport = transport
        self._conversations: dict[tuple[str, str], int | str] = {}
        self._alias = f"swiftask-jupyter-{new_id()}"

    def turn(self, prompt: Prompt, route: Route) -> Turn:
        """Return the turn that asks the prompt; nothing is sent until it is watched.

        Raises:
            PromptError: there is nothing to send, or it can't be sent.
        """
        _check(prompt, route.token)
        return Turn(self, prompt, route)

    def refuse(self, error: Refused, *, agent: str, text: str) -> None:
        """Record a prompt that was not sent. `text` must hold no secret."""
        reply = Reply(
            agent, turn=new_id(), at=time.time(), status="refused", session=self.place.session
        )
        reply.error = str(error)
        self.turns.refuse(reply, self.place, text)

    def continued(self, prompt: Prompt, protocol: Protocol) -> Prompt:
        """Return the prompt with the service's own id of this conversation, once it is known."""
        known = self._conversations.get((protocol.name, prompt.agent))
        return replace(prompt, conversation=known, alias=self._alias)

    def adopt(self, reply: Reply) -> None:
        """Keep the id that the service gave the conversation."""
        if reply.conversation is not None:
            self._conversations[reply.dialect, reply.agent] = reply.conversation


def _check(prompt: Prompt, token: Token) -> None:
    if not prompt.text.strip():
        raise PromptError("the prompt is empty", advice="write it below the magic line")
    if token.stands_in(prompt.text):
        raise PromptError("the prompt holds your token", advice="take it out; it was not sent")
    if token.stands_in(prompt.agent):
        raise PromptError("the agent's name is your token", advice="name the agent's slug")
    try:
        prompt.text.encode()
    except UnicodeEncodeError as error:
        raise PromptError(
            f"character {error.start + 1} of the prompt is half a surrogate pair",
            advice="it has no encoding; take it out",
        ) from None


class Turn:
    """One request and its answer."""

    def __init__(self, session: Session, prompt: Prompt, route: Route) -> None:
        self.reply = Reply(prompt.agent, turn=new_id(), session=session.place.session)
        self._session = session
        self._prompt = prompt
        self._route = route

    async def events(self) -> AsyncGenerator[list[Event], None]:
        """Send the request and yield the events of its answer, one list a network read.

        Runs on the I/O thread. The row is written before the request leaves and completed
        when this ends: by the answer's end, an error, or because nobody watches any more.
        """
        reply, session = self.reply, self._session
        reply.at = time.time()
        session.turns.begin(reply, session.place, self._prompt.text)
        start = time.perf_counter()
        try:
            async with aclosing(self._ask()) as answer:
                async for events in answer:
                    if reply.first_token_seconds is None and _any_text(events):
                        reply.first_token_seconds = time.perf_counter() - start
                    reply.apply(events)
                    yield events
        except (asyncio.CancelledError, GeneratorExit):
            reply.status = "interrupted"
            raise
        except SwiftaskError as error:
            reply.status = "refused" if isinstance(error, Refused) else "error"
            reply.error = str(error.masked(self._route.token))
            raise
        except BaseException as error:
            reply.status, reply.error = "error", type(error).__name__
            raise
        else:
            reply.status = "ok"
            session.adopt(reply)
        finally:
            reply.seconds = time.perf_counter() - start
            session.turns.complete(reply)

    async def _ask(self) -> AsyncGenerator[list[Event], None]:
        """Send the prompt until an answer comes: another way, or once more, where that helps."""
        protocol, began = await self._route.protocol(), False
        while True:
            prompt = self._session.continued(self._prompt, protocol)
            self._note(prompt, protocol)
            try:
                stream = self._session.transport.stream(protocol, prompt, self._tell)
                async with aclosing(stream) as answer:
                    async for events in answer:
                        began = True
                        yield events
                break
            except (ServiceError, ConnectionFailed) as error:
                if began:
                    raise
                other = await self._other(protocol, error)
                if other is None:
                    raise
                protocol = other
        self._route.works(protocol)

    async def _other(
        self, failed: Protocol, error: ServiceError | ConnectionFailed
    ) -> Protocol | None:
        """Return the way to try next, after waiting where that is asked for; `None` to give up."""
        if isinstance(error, ServiceError) and (other := self._route.instead(failed, error)):
            return other
        wait = pause(error, self.reply.attempts)
        if wait is None:
            if isinstance(error, AgentNotFound) and (near := await self._route.near()):
                raise AgentNotFound(f"{error}; did you mean {near}?", status=error.status)
            return None
        self._tell(f"asking again in {wait:.0f} s: {error}")
        await asyncio.sleep(wait)
        return failed

    def _note(self, prompt: Prompt, protocol: Protocol) -> None:
        reply = self.reply
        reply.dialect, reply.streams = protocol.name, protocol.streams
        reply.digest = prompt.digest(protocol.name)
        reply.attempts += 1

    def _tell(self, doing: str) -> None:
        self.reply.doing = doing


def _any_text(events: list[Event]) -> bool:
    return any(isinstance(event, Delta) for event in events)


class Stream:
    """An answer being watched: iterate over its events, then read `.answer`.

    Stopping early (`close`, the end of a `with`, a `break`, Ctrl-C) closes the connection.

    Attributes:
        reply: the answer as it grows.
    """

    def __init__(self, turn: Turn, thread: IOThread) -> None:
        self.reply = turn.reply
        self._turn = turn
        self._thread = thread
        self._watch: Watch[list[Event]] | None = None

    def batches(self, tick: float | None = None) -> Watch[list[Event]]:
        """Return what each network read brings; `None` comes whenever nothing did for a tick."""
        if self._watch is None:
            self._watch = self._thread.stream(self._turn.events(), tick)
        return self._watch

    def __iter__(self) -> Iterator[Event]:
        try:
            for events in self.batches():
                yield from events or ()
        finally:
            self.close()

    @property
    def answer(self) -> Answer:
        """The finished answer; waits for what is still to come, and raises what went wrong."""
        for _ in self.batches():
            pass
        return answer(self.reply)

    @property
    def kept(self) -> Answer:
        """The answer as far as it has come."""
        return answer(self.reply)

    def close(self) -> None:
        """Stop watching; the request ends if it has not."""
        if self._watch is not None:
            self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
