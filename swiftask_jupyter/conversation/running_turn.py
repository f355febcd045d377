"""One question and its answer, from the row written before it leaves to how it ended.

A `RunningTurn` lives on the I/O thread from the moment the request leaves. Whoever asked watches
its `Reply` grow and may go away at any time: how it ended is recorded all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from swiftask_jupyter.answers.reply import (
    Delta,
    Event,
    Finish,
    Raw,
    Reply,
    Standing,
    Usage,
    has_text,
)
from swiftask_jupyter.conversation.context import Context
from swiftask_jupyter.conversation.rules import continued
from swiftask_jupyter.errors import (
    ConnectionFailed,
    Refused,
    ServiceError,
    StoreError,
    SwiftaskError,
)
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.turns import Place, new_id, said
from swiftask_jupyter.prompts.compose import forked, retold
from swiftask_jupyter.prompts.prompt import ALIAS, Prompt
from swiftask_jupyter.protocols.base import Protocol
from swiftask_jupyter.support.structs import replace
from swiftask_jupyter.support.wording import quantity
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.turns.retry import pause, untaken
from swiftask_jupyter.turns.routing import Route

NOTHING_SPENT = Usage(input_tokens=0, output_tokens=0, total_tokens=0, credits=0.0)


class RunningTurn:
    """One question, and its answer as it grows.

    Args:
        identity: its id in the ledger.
        prompt: what is asked, what is sent along included.
        route: the way it travels.
        place: the notebook and the session.
        standing: where it stands in the conversation.
        context: what it knows of the conversation.
        watchers: told when it has begun and when it has ended, on the I/O thread.
    """

    def __init__(
        self,
        identity: str,
        prompt: Prompt,
        route: Route,
        *,
        place: Place,
        standing: Standing,
        context: Context,
        ledger: Ledger,
        transport: Transport,
        watchers: Sequence[Callable[[RunningTurn], None]] = (),
    ) -> None:
        self.prompt = prompt
        self.reply = Reply(prompt.agent, turn=identity, session=place.session, standing=standing)
        self._route = route
        self._place = place
        self._context = context
        self._ledger = ledger
        self._transport = transport
        self._watchers = watchers

    async def events(self) -> AsyncGenerator[list[Event], None]:
        """Send the request and yield the events of its answer, one list a network read.

        Runs on the I/O thread. The row is written before the request leaves and completed
        when this ends: by the answer's end, an error, or because nobody watches any more.
        """
        reply = self.reply
        reply.at = max(time.time(), self._context.earliest)
        try:
            self._ledger.turns.begin(reply, self._place, self.prompt.text, self._context.highest)
        except StoreError as error:
            reply.status, reply.error = "error", str(error)
            raise
        self._announce()
        start = time.perf_counter()
        try:
            async with aclosing(self._answer()) as answer:
                async for events in answer:
                    if reply.first_token_seconds is None and has_text(events):
                        reply.first_token_seconds = time.perf_counter() - start
                    reply.apply(events)
                    yield events
        except (asyncio.CancelledError, GeneratorExit):
            reply.status = "interrupted"
            raise
        except SwiftaskError as error:
            reply.status = "refused" if isinstance(error, Refused) else "error"
            reply.error = str(error.masked(self._route.token.mask))
            raise
        except BaseException as error:
            reply.status, reply.error = "error", type(error).__name__
            raise
        else:
            reply.status = "ok"
            reply.remarks += self._context.compared(said(self.prompt.text, reply.text))
        finally:
            reply.seconds = time.perf_counter() - start
            self._complete()

    def likely(self) -> tuple[Protocol, Prompt, str]:
        """Return how and what would be sent, and what is not known of it; nothing is."""
        protocol, unknown = self._route.likely()
        return protocol, self._addressed(protocol), unknown

    def _complete(self) -> None:
        """Write how it ended; an answer, or an error, is not lost for want of that."""
        try:
            self._ledger.turns.complete(self.reply, self.prompt.text)
        except StoreError as error:
            self.reply.recorded = False
            self.reply.remarks.append(f"its end is not in the ledger: {error}")
        finally:
            self._announce()

    def _announce(self) -> None:
        for watcher in tuple(self._watchers):
            watcher(self)

    async def _answer(self) -> AsyncGenerator[list[Event], None]:
        self.reply.remarks += (*self._ledger.database.remarks(), *self._context.remarks)
        if left_out := self._context.left_out:
            self.reply.remarks.append(f"{quantity(left_out, 'earlier turn')} not sent")
        if self._context.cache != "off":
            if replayed := self._replayed():
                yield replayed
                return
            if self._context.cache == "strict":
                raise Refused(
                    "no answer to this prompt is in the cache, and strict asks nobody",
                    advice="ask it once with %swiftask cache on",
                )
        self.reply.remarks += self._ledger.budgets.check(self.reply, self._place)
        async with aclosing(self._ask()) as answer:
            async for events in answer:
                yield events

    def _replayed(self) -> list[Event]:
        """Return the events of an earlier answer to the same question, or none."""
        for protocol in self._route.candidates():
            key = self.prompt.digest(protocol.name, self._route.realm)
            if found := self._ledger.history.replay(key):
                reply = self.reply
                reply.dialect, reply.streams, reply.digest = protocol.name, True, key
                reply.cached = True
                finish = [Finish(found.finish_reason)] if found.finish_reason else []
                return [Delta(found.text), Raw(found.raw), NOTHING_SPENT, *finish]
        return []

    async def _ask(self) -> AsyncGenerator[list[Event], None]:
        """Send the prompt until an answer comes: another way, or once more, where that helps."""
        protocol, began = await self._route.protocol(), False
        while True:
            prompt = self._addressed(protocol)
            try:
                stream = self._transport.stream(protocol, prompt, self._tell)
                async with aclosing(stream) as answer:
                    async for events in answer:
                        began = True
                        yield events
                break
            except (ServiceError, ConnectionFailed) as error:
                if began:
                    raise
                if untaken(error):
                    self.reply.conversation = None  # it was not said there
                protocol = await self._other(protocol, error)
        if protocol.takes_alias and self.reply.conversation is None:
            self.reply.conversation = prompt.alias
        self._route.works(protocol)

    async def _other(self, failed: Protocol, error: ServiceError | ConnectionFailed) -> Protocol:
        """Return the way to try next, after waiting where that is asked for.

        Raises:
            SwiftaskError: there is none; the error, which may say more by now.
        """
        if isinstance(error, ServiceError) and (other := self._route.instead(failed, error)):
            return other
        wait = pause(error, self.reply.attempts)
        if wait is None:
            raise await self._route.explained(error)
        self._tell(f"asking again in {wait:.0f} s: {error}")
        await asyncio.sleep(wait)
        self._tell("")
        return failed

    def _addressed(self, protocol: Protocol) -> Prompt:
        """Return the prompt as this dialect's service knows the conversation."""
        reply, prompt, context = self.reply, self.prompt, self._context
        reply.dialect, reply.streams = protocol.name, protocol.streams
        reply.digest = prompt.digest(protocol.name, self._route.realm)
        reply.attempts += 1
        earlier = () if context.fresh else context.earlier
        known = continued(earlier, context.sent, protocol.name, prompt.agent)
        reply.conversation = known
        if known is None and protocol.owns_conversation and earlier:
            if context.replay:
                prompt = replace(prompt, text=retold(prompt))
            elif reply.attempts == 1:
                reply.remarks.append(forked(earlier, protocol.name, prompt.agent))
        prompt = replace(prompt, conversation=known, alias=ALIAS + new_id())
        if reply.attempts == 1 and (remark := protocol.remark(prompt)):
            reply.remarks.append(remark)
        return prompt

    def _tell(self, doing: str) -> None:
        self.reply.doing = doing
