"""A turn of a conversation while it runs, and the stream by which another thread watches it.

The turn lives on the I/O thread, from the row before the request to the outcome. Whoever asked
watches its `Reply` grow and may stop watching at any time: how it ended is recorded all the same.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Self

from swiftask_jupyter.answers.answer import Answer, answer_from
from swiftask_jupyter.answers.turn import (
    Delta,
    Event,
    Finish,
    Raw,
    Reply,
    Turn,
    Usage,
    content_digest,
)
from swiftask_jupyter.conversation.rules import continued, stale_after
from swiftask_jupyter.errors import Refused, StoreError, SwiftaskError
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.prompts.prompt import Prompt, fork_remark, replayed_text
from swiftask_jupyter.protocols.base import Protocol
from swiftask_jupyter.support.io_thread import IOThread, StreamIterator
from swiftask_jupyter.support.structs import Struct, replace
from swiftask_jupyter.support.wording import quantity
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.turns.attempt import Attempt
from swiftask_jupyter.turns.retry import retry_delay
from swiftask_jupyter.turns.routing import Route

NOTHING_SPENT = Usage(input_tokens=0, output_tokens=0, total_tokens=0, credits=0.0)


class TurnContext(Struct, frozen=True):
    """The conversation around a turn that is about to be sent.

    Attributes:
        earlier: the turns before it.
        later: the turns after it.
        sent: every turn that was ever sent in the session.
        left_out: how many of the earlier turns are not sent along.
        cache: `off`, `on` (an earlier answer to the same request is shown again) or `strict`
            (and nothing is sent).
        replay: whether the earlier turns are sent again to a service that has lost them.
        fresh: whether the turn is sent without the earlier ones.
        earliest: the moment before which the turn can't be, whatever the clock says; seconds
            since the epoch.
        highest: the highest number of a turn in the session.
        remarks: what the footer says besides.
    """

    earlier: Sequence[Turn] = ()
    later: Sequence[Turn] = ()
    sent: Sequence[Turn] = ()
    left_out: int = 0
    cache: str = "off"
    replay: bool = False
    fresh: bool = False
    earliest: float = 0.0
    highest: int = 0
    remarks: tuple[str, ...] = ()

    def stale_remarks(self, digest: str) -> list[str]:
        """Return a remark on the later turns that this turn makes stale, if there are any.

        Args:
            digest: the content digest of the finished turn.
        """
        later = [each for each in self.later if each.history_digest is not None]
        if not later:
            return []
        filled = replace(later[0], content_digest=digest)
        count = len(stale_after(self.earlier, filled, self.later))
        answers = "answer predates" if count == 1 else "answers predate"
        return [f"{count} later {answers} this"] if count else []


class RunningTurn:
    """A turn that is about to be sent, and its reply as it grows.

    Args:
        reply: the turn, with its place in the conversation; its answer grows.
        prompt: what is sent, earlier messages included.
        route: the dialects to try.
        context: the conversation around it.
        ledger: where it is recorded.
        transport: the network.
        watchers: called on the I/O thread when it begins and when it has ended.
    """

    def __init__(
        self,
        reply: Reply,
        prompt: Prompt,
        route: Route,
        *,
        context: TurnContext,
        ledger: Ledger,
        transport: Transport,
        watchers: Sequence[Callable[[RunningTurn], None]] = (),
    ) -> None:
        self.prompt = prompt
        self.reply = reply
        self._route = route
        self._context = context
        self._ledger = ledger
        self._transport = transport
        self._watchers = watchers

    async def events(self) -> AsyncGenerator[list[Event], None]:
        """Send the prompt and yield the events of its answer, one list for each network read.

        The row is written before the request leaves, and completed when this generator ends: by
        the answer's end, by an error, or because it was closed.

        Raises:
            StoreError: the row can't be written; nothing was sent.
            SwiftaskError: no answer came, or it broke off.
        """
        reply = self.reply
        reply.at = max(time.time(), self._context.earliest)
        try:
            self._ledger.turns.begin(reply, self._context.highest)
        except StoreError as error:
            reply.status, reply.error = "error", str(error)
            raise
        self._notify()
        attempt = self._attempt()
        try:
            async with aclosing(self._answer(attempt)) as answer:
                async for events in answer:
                    yield events
        except BaseException as error:
            attempt.end(error)
            raise
        else:
            attempt.end()
            digest = content_digest(reply.prompt, reply.text)
            reply.remarks += self._context.stale_remarks(digest)
        finally:
            self._complete()

    def preview(self) -> tuple[Protocol, Prompt, str]:
        """Return how and what would be sent, and what is unknown about it; nothing is sent."""
        return self._attempt().preview()

    def _attempt(self) -> Attempt:
        return Attempt(
            self._transport, self._route, self.prompt, self.reply,
            retry_delay=retry_delay, address=self._address,
        )  # fmt: skip

    def _complete(self) -> None:
        """Record how it ended; a ledger that fails must not cost the answer, or hide an error."""
        try:
            self._ledger.turns.complete(self.reply)
        except StoreError as error:
            self.reply.recorded = False
            self.reply.remarks.append(f"its end is not in the ledger: {error}")
        finally:
            self._notify()

    def _notify(self) -> None:
        for watcher in tuple(self._watchers):
            watcher(self)

    async def _answer(self, attempt: Attempt) -> AsyncGenerator[list[Event], None]:
        reply = self.reply
        reply.remarks += (*self._ledger.store.pop_warnings(), *self._context.remarks)
        if left_out := self._context.left_out:
            reply.remarks.append(f"{quantity(left_out, 'earlier turn')} not sent")
        if self._context.cache != "off":
            if replayed := self._replayed():
                attempt.receive(replayed)
                yield replayed
                return
            if self._context.cache == "strict":
                raise Refused(
                    "no answer to this prompt is in the cache, and strict asks nobody",
                    advice="ask it once with %swiftask cache on",
                )
        reply.remarks += self._ledger.budgets.check(reply)
        async with aclosing(attempt.events()) as answer:
            async for events in answer:
                yield events

    def _replayed(self) -> list[Event]:
        """Return the events of a cached answer to the same request, or none."""
        for protocol in self._route.candidates():
            digest = self.prompt.digest(protocol.name, self._route.host)
            if found := self._ledger.history.replay(digest):
                reply = self.reply
                reply.dialect, reply.streams, reply.request_digest = protocol.name, True, digest
                reply.cached = True
                finish = [Finish(found.finish_reason)] if found.finish_reason else []
                return [Delta(found.answer), Raw(found.raw), NOTHING_SPENT, *finish]
        return []

    def _address(self, protocol: Protocol, prompt: Prompt) -> Prompt:
        """Return the prompt as this dialect's service knows the conversation."""
        context, reply = self._context, self.reply
        earlier = () if context.fresh else context.earlier
        known = continued(earlier, context.sent, protocol.name, prompt.agent)
        if known is None and protocol.owns_conversation and earlier:
            if context.replay:
                prompt = replace(prompt, text=replayed_text(prompt))
            elif reply.attempts == 1:
                remark = fork_remark(earlier, protocol.name, prompt.agent)
                reply.remarks.append(remark)
        return replace(prompt, conversation=known)


class Stream:
    """An answer being watched: iterate over its events, then read `.answer`.

    Stopping early (`close`, the end of a `with`, a `break`, Ctrl-C) closes the connection.

    Attributes:
        reply: the answer as it grows.
    """

    def __init__(self, turn: RunningTurn, thread: IOThread) -> None:
        self.reply = turn.reply
        self._turn = turn
        self._thread = thread
        self._watch: StreamIterator[list[Event]] | None = None
        self._failed: SwiftaskError | None = None
        self._closed = False

    def batches(self, tick: float | None = None) -> StreamIterator[list[Event]]:
        """Return what each network read brings; `None` comes whenever nothing did for a tick."""
        if self._watch is None:
            self._watch = self._thread.stream(self._turn.events(), tick)
        if self._closed:  # maybe before there was anything to close
            self._watch.close()
        return self._watch

    def __iter__(self) -> Iterator[Event]:
        try:
            for events in self.batches():
                yield from events or ()
        except SwiftaskError as error:
            self._failed = error
            raise
        finally:
            self.close()

    @property
    def answer(self) -> Answer:
        """The finished answer; waits for what is still to come, and raises what went wrong."""
        for _ in self:
            pass
        if self._failed is not None:
            raise self._failed
        return answer_from(self.reply)

    @property
    def kept(self) -> Answer:
        """The answer as far as it has come."""
        return answer_from(self.reply)

    def close(self) -> None:
        """Stop watching; the request ends if it has not."""
        self._closed = True
        if self._watch is not None:
            self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
