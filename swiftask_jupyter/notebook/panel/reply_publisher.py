"""Keeps the views up with one answer, from a thread of its own.

The cell that showed the panel has long ended when an answer streams, and other cells may run. So
each answer has a thread, which tells the views eight times a second what is new: by time, never by
token, because every message costs its envelope.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from swiftask_jupyter.conversation.stream import Stream
from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.notebook.panel.channel import Channel
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.support.io_thread import CLOSING

TICK = 0.12  # seconds between two messages
SHARE = 8  # a message waits this many times as long as the last one took to make
PULSE = 6.0  # seconds without a change after which a heartbeat says that the answer still runs
BEATS = (1.0, 3.0, 6.0, 20.0)  # seconds between the heartbeats after the end


class ReplyPublisher:
    """Follows one answer to its end.

    Args:
        shown: the exchange.
        channel: the way to the views.
        stream: the answer, where it is the panel that asked; a cell draws its own.
        ended: called when it has ended, before the views are told.

    Attributes:
        over: set when the turn has ended; whoever is told of turns sets it.
    """

    def __init__(
        self,
        shown: ExchangeView,
        channel: Channel,
        stream: Stream | None,
        ended: Callable[[ExchangeView], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.shown = shown
        self.stream = stream
        self.over = Event()
        self._channel = channel
        self._ended = ended
        self._clock = clock
        self._due = self._told = clock()
        self._doing = ""

    def begin(self, first: Callable[[], None]) -> None:
        """Begin to follow what this thread asks, which tells of it first.

        Whatever strikes meanwhile, such as an interrupt of the kernel, ends it: as long as an
        answer is to come, no other can be asked for.
        """
        try:
            first()
            self.start(contextvars.copy_context())
        except BaseException:
            self.close()
            self.shown.reply.status = "interrupted"
            self._channel.tell("stale")
            raise

    def start(self, context: contextvars.Context, first: Callable[[], None] = lambda: None) -> None:
        """Begin.

        Args:
            context: where the thread's messages belong. By it the kernel tells what a message
                answers; without, the view's next words would wait for the cell that runs then.
            first: done on the thread before all else.
        """
        run = (self._run, first)
        Thread(target=context.run, args=run, name="swiftask-panel", daemon=True).start()

    def stop(self) -> None:
        """Stop the answer; what has come is kept."""
        if self.stream is not None:
            self.stream.close()

    def close(self) -> None:
        """Let the thread end: the panel is gone."""
        self.stop()
        self.over.set()

    def _run(self, first: Callable[[], None]) -> None:
        failure = None
        try:
            first()
            self._watch()
        except SwiftaskError as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 - a thread's traceback is seen by nobody
            failure = f"{type(error).__name__}: {error}"
        self._settle(failure)
        self.finish()
        self._channel.ended = key = self.shown.key
        for seconds in BEATS:
            if self._channel.closed.wait(seconds) or self._channel.ended != key:
                return  # what ended later has beats of its own
            self._channel.beat()

    def _watch(self) -> None:
        shown = self.shown
        if self.stream is None:  # of what was stopped before it was sent no end is told
            while (shown.running or shown.reply.at) and not self.over.wait(TICK):
                self.tell()
            return
        for _ in self.stream.batches(TICK / 4):
            self.tell()

    def _settle(self, failure: str | None) -> None:
        """Wait until the turn is over; what says nothing of its end was stopped, or has failed."""
        reply = self.shown.reply
        over = reply.at and self.over.wait(CLOSING)  # a stop may come before it is sent
        if self.shown.running and not over:
            reply.status = "error" if failure else "interrupted"
        reply.error = reply.error or failure

    def tell(self) -> None:
        """Tell what is new, if it is time; and that it still runs, where nothing is for long."""
        start = self._clock()
        if start < self._due:
            return
        shown, channel = self.shown, self._channel
        with channel.lock:
            changes, doing = shown.grow(), shown.reply.doing
            if changes or doing != self._doing:
                end = {"end": shown.end()} if doing != self._doing else {}
                channel.tell("patch", key=shown.key, changes=changes, **end)
                self._told = now = self._clock()
                self._due = now + max(TICK, SHARE * (now - start))
                self._doing = doing
            elif start > self._told + PULSE:
                channel.beat()
                self._told = start

    def finish(self) -> None:
        """Tell how it has ended."""
        with suppress(Exception):  # such as a ledger that can't be read: the answer is told anyway
            self._ended(self.shown)
        with self._channel.lock:
            shown = self.shown
            self._channel.tell("patch", key=shown.key, changes=shown.finish(), end=shown.end())
