"""Sends the prompt of one turn, and lets another thread iterate over the answer.

A `RunningTurn` runs on the I/O thread. It writes the turn's row to the ledger before the request is
sent, and completes the row when the answer ends. The caller reads the answer through a `Stream`. If
the caller stops reading, the request is cancelled, and the row records the interruption.
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
from swiftask_jupyter.conversation.rules import (
    continued,
    remark_on_withheld,
    said_at,
    stale_after,
)
from swiftask_jupyter.errors import Refused, StoreError, SwiftaskError
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.prompts.prompt import Prompt, fork_remark, replayed_text
from swiftask_jupyter.protocols.base import Protocol
from swiftask_jupyter.support.io_thread import BlockingIterator, IOThread
from swiftask_jupyter.support.structs import Struct, replace
from swiftask_jupyter.support.wording import quantity
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.turns.attempt import Attempt
from swiftask_jupyter.turns.retry import retry_delay
from swiftask_jupyter.turns.routing import Route

NOTHING_SPENT = Usage(input_tokens=0, output_tokens=0, total_tokens=0, credits=0.0)


class TurnContext(Struct, frozen=True):
    """The turns around a new turn in the conversation, and the options for sending the new turn.

    Attributes:
        earlier: the turns before the new turn in the conversation.
        sendable: the turns of `earlier` that may be sent to the service of the new turn.
        later: the turns after the new turn, such as turns of cells further down.
        sent: every turn that was ever sent in the conversation.
        left_out: the number of sendable turns that are not sent because of the history limit.
        withheld: the turns of `earlier` that are not sent because another service received them.
        cache: `off`, `on` or `strict`. `on` shows a stored answer to the same request again.
            `strict` also shows a stored answer, and raises an error if no answer is stored.
        replay: whether to send the earlier turns again, as text, to a service that stores
            conversations but lacks these turns.
        fresh: whether to send the new turn without earlier turns.
        earliest: the lowest time for the new turn, in seconds since the epoch. With this time, the
            new turn is last even if the clock was set back.
        highest: the highest number of a turn in the conversation. The new turn gets a higher one.
        remarks: other remarks to show below the answer.
    """

    earlier: Sequence[Turn] = ()
    sendable: Sequence[Turn] = ()
    later: Sequence[Turn] = ()
    sent: Sequence[Turn] = ()
    left_out: int = 0
    withheld: Sequence[Turn] = ()
    cache: str = "off"
    replay: bool = False
    fresh: bool = False
    earliest: float = 0.0
    highest: int = 0
    remarks: tuple[str, ...] = ()

    def unsendable(self) -> list[Turn]:
        """Return the turns of `earlier` that are not in `sendable`."""
        sendable = {turn.id for turn in self.sendable}
        return [turn for turn in self.earlier if turn.id not in sendable]

    def remarks_on_sending(self, surface: str) -> list[str]:
        """Return remarks on earlier turns that are not sent, for footers and dry runs.

        Args:
            surface: where the user wrote the prompt: `cell`, `panel` or `python`.
        """
        found = [*self.remarks]
        if self.left_out:
            found.append(f"{quantity(self.left_out, 'earlier turn')} not sent")
        if self.withheld:
            found.append(remark_on_withheld(self.withheld, surface))
        return found

    def unkept_remarks(self, slot: str | None) -> list[str]:
        """Return remarks for the footer about what is impossible because texts are not kept.

        One remark says that earlier turns were not sent. Another remark says that the answer was
        not stored in the cache.

        Args:
            slot: the slot of the new turn. An older turn in this slot is replaced by the new turn,
                and causes no remark.
        """
        known = {None, slot, *(turn.slot for turn in self.earlier)}
        unkept = not self.fresh and any(
            turn.status == "ok" and turn.slot not in known
            for turn in self.sent if not turn.has_texts
        )  # fmt: skip
        remarks = ["earlier turns whose texts are not kept were not sent along"] if unkept else []
        if self.cache == "on":
            remarks.append("not kept for the cache: no texts are kept")
        return remarks

    def stale_remarks(self, digest: str) -> list[str]:
        """Return a list with a remark for the footer if the new turn makes later turns stale.

        A turn is stale if the turns before it have changed since it was sent. The list is empty if
        no turn becomes stale.

        Args:
            digest: the content digest of the new turn.
        """
        later = [each for each in self.later if each.history_digest is not None]
        if not later:
            return []
        filled = replace(later[0], content_digest=digest)
        count = len(stale_after(self.earlier, filled, self.later))
        answers = "answer predates" if count == 1 else "answers predate"
        return [f"{count} later {answers} this"] if count else []


class RunningTurn:
    """Sends the prompt of one turn, reads the answer, and records both in the ledger.

    Args:
        reply: the record of the turn; the pieces of the answer are added as they arrive.
        prompt: the content of the request, earlier messages included.
        route: chooses the protocol of each request.
        context: the turns around this turn in the conversation, and the options for sending.
        ledger: the database in which the turn is recorded.
        transport: sends the request.
        watchers: functions to call with this object when the turn begins and when the turn ends;
            called on the I/O thread.
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

        The turn's row in the ledger is written before the request is sent. The row is completed
        when this generator ends: at the end of the answer, after an error, or when the generator is
        closed.

        Raises:
            StoreError: the row can't be written; nothing was sent.
            SwiftaskError: no answer arrived, or the answer broke off.
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
        """Return the protocol, the prompt and remarks for a dry run; send nothing.

        The remarks say what is uncertain, and which earlier turns would not be sent. Without such
        remarks, the text is empty.
        """
        protocol, prompt, unknown = self._attempt().preview()
        remarks = self._context.remarks_on_sending(self.reply.surface)
        return protocol, prompt, "; ".join(filter(None, (unknown, *remarks)))

    def _attempt(self) -> Attempt:
        return Attempt(
            self._transport, self._route, self.prompt, self.reply,
            retry_delay=retry_delay, address=self._address,
        )  # fmt: skip

    def _complete(self) -> None:
        """Record in the ledger how the turn ended, and call the watchers.

        An error of the ledger is not raised, because it would hide the answer or an earlier error.
        A remark is added to the reply instead.
        """
        try:
            self._ledger.turns.complete(self.reply)
            self.reply.recorded = self.reply.has_texts  # else a panel would drop it from its list
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
        reply.remarks += self._ledger.store.pop_warnings()
        reply.remarks += self._context.remarks_on_sending(reply.surface)
        if not self._ledger.keeps_texts():
            reply.remarks += self._context.unkept_remarks(reply.slot)
        if self._context.cache != "off":
            if replayed := self._replayed():
                attempt.receive(replayed)
                yield replayed
                return
            if self._context.cache == "strict":
                raise Refused(
                    "no answer to this prompt is in the cache, and strict asks nobody",
                    advice="ask it once with %swiftask cache on"
                    if self._ledger.keeps_texts()
                    else "no new answer gets there: no texts are kept, see %swiftask privacy",
                )
        reply.remarks += self._ledger.budgets.check(reply)
        async with aclosing(attempt.events()) as answer:
            async for events in answer:
                yield events

    def _replayed(self) -> list[Event]:
        """Return the events of a stored answer to the same request; `[]` if there is none.

        If a stored answer is found, the reply is marked as cached.
        """
        for protocol in self._route.candidates():
            digest = self.prompt.digest(protocol.name, self._route.service)
            if found := self._ledger.history.replay(digest):
                reply = self.reply
                reply.dialect, reply.streams, reply.request_digest = protocol.name, True, digest
                reply.cached = True
                finish = [Finish(found.finish_reason)] if found.finish_reason else []
                return [Delta(found.answer), Raw(found.raw), NOTHING_SPENT, *finish]
        return []

    def _address(self, protocol: Protocol, prompt: Prompt) -> Prompt:
        """Return the prompt with the id of the service's conversation that the prompt continues.

        The id is `None` if no conversation can be continued. In this case, a service that stores
        conversations lacks the earlier turns. With the option `replay`, the method puts the earlier
        turns into the text. Without the option, the method adds a remark that the earlier turns are
        missing.
        """
        context, reply = self._context, self.reply
        earlier = () if context.fresh else context.sendable
        # A service's ids mean nothing to another one, even where the history is shared.
        own, sent = (said_at(each, self._route.service) for each in (earlier, context.sent))
        known = continued(own, sent, protocol.name, prompt.agent)
        if known is None and protocol.owns_conversation and earlier:
            if context.replay:
                prompt = replace(prompt, text=replayed_text(prompt))
            elif reply.attempts == 1:
                remark = fork_remark(earlier, protocol.name, prompt.agent)
                reply.remarks.append(remark)
        return replace(prompt, conversation=known)


class Stream:
    """An answer that is being received: iterate over the events, then read `.answer`.

    If the caller stops reading early, the request is cancelled. The caller can stop by `close`,
    `break`, Ctrl-C or the end of a `with` statement.

    Attributes:
        reply: the record of the turn; the pieces of the answer are added as they arrive.
    """

    def __init__(self, turn: RunningTurn, thread: IOThread) -> None:
        self.reply = turn.reply
        self._turn = turn
        self._thread = thread
        self._watch: BlockingIterator[list[Event]] | None = None
        self._failed: SwiftaskError | None = None
        self._closed = False

    def batches(self, tick: float | None = None) -> BlockingIterator[list[Event]]:
        """Return an iterator over lists of events, one list for each network read.

        Args:
            tick: the iterator yields `None` after this many seconds without data. Default: never.
        """
        if self._watch is None:
            self._watch = self._thread.stream(self._turn.events(), tick)
        if self._closed:  # `close` may have been called before the iterator existed
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
        """The complete answer. Reading this property waits for the end of the answer.

        If the request failed, the error is raised.
        """
        for _ in self:
            pass
        if self._failed is not None:
            raise self._failed
        return answer_from(self.reply)

    @property
    def kept(self) -> Answer:
        """The part of the answer that has arrived so far, without waiting for the rest."""
        return answer_from(self.reply)

    def close(self) -> None:
        """Stop receiving the answer; cancel the request if it is still running."""
        self._closed = True
        if self._watch is not None:
            self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
