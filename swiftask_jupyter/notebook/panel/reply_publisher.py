"""Sends one growing answer to the views, from a thread.

While an answer streams, the cell that displayed the panel has long ended and other cells may run,
so each answer has a thread. The thread sends what is new about eight times a second and not for
each token, because every message costs its envelope.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from swiftask_jupyter.conversation.running_turn import Stream
from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.notebook.panel.channel import Channel
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.support.io_thread import CLOSE_SECONDS

INTERVAL = 0.12  # seconds between two updates at least
IDLE_FACTOR = 8  # after an update that took t seconds to make, wait 8 t at least
HEARTBEAT_AFTER = 6.0  # seconds without a change, so that views know that the kernel is alive
# Seconds between the heartbeats after the end, in case the last update was lost.
FINAL_HEARTBEATS = (1.0, 3.0, 6.0, 20.0)


class ReplyPublisher:
    """Publishes one answer until it ends.

    Args:
        exchange: the exchange with the answer.
        channel: sends the updates.
        stream: the stream of the answer if the panel asked the question; `None` for a question of
            a cell, which consumes the stream itself.
        on_end: called with the exchange when the answer has ended, before the last update.
        clock: returns the time in seconds.

    Attributes:
        exchange: the exchange.
        stream: the stream.
        turn_ended: set by whoever learns that the turn has ended.
    """

    def __init__(
        self,
        exchange: ExchangeView,
        channel: Channel,
        stream: Stream | None,
        on_end: Callable[[ExchangeView], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.exchange = exchange
        self.stream = stream
        self.turn_ended = Event()
        self._channel = channel
        self._on_end = on_end
        self._clock = clock
        self._due = self._last_sent = clock()
        self._activity = ""

    def announce_and_start(self, announce: Callable[[], None]) -> None:
        """Call `announce` on this thread, then start the publishing thread.

        Any exception, such as an interrupt of the kernel, ends the answer: the panel accepts no
        other question while an answer is in flight.
        """
        try:
            announce()
            self.start(contextvars.copy_context())
        except BaseException:
            self.close()
            self.exchange.reply.status = "interrupted"
            self._channel.broadcast("reload")
            raise

    def start(
        self, context: contextvars.Context, announce: Callable[[], None] = lambda: None
    ) -> None:
        """Start the publishing thread.

        Args:
            context: the context variables of the request that the thread's messages answer. Without
                them, the kernel would take the messages for output of the running cell, and the
                next request of the view would wait until that cell ends.
            announce: called on the thread first.
        """
        args = (self._run, announce)
        Thread(target=context.run, args=args, name="swiftask-panel", daemon=True).start()

    def stop(self) -> None:
        """Stop the answer; the text received so far is kept."""
        if self.stream is not None:
            self.stream.close()

    def close(self) -> None:
        """Stop the answer and let the thread end."""
        self.stop()
        self.turn_ended.set()

    def _run(self, announce: Callable[[], None]) -> None:
        failure = None
        try:
            announce()
            self._publish_until_end()
        except SwiftaskError as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 - no one sees the traceback of a thread
            failure = f"{type(error).__name__}: {error}"
        self._wait_for_status(failure)
        self.publish_end()
        self._channel.last_ended = key = self.exchange.key
        for seconds in FINAL_HEARTBEATS:
            if self._channel.closed.wait(seconds) or self._channel.last_ended != key:
                return  # the answer that ended later sends heartbeats for both
            self._channel.heartbeat()

    def _publish_until_end(self) -> None:
        exchange = self.exchange
        if self.stream is None:
            # A question that was stopped before it was sent (`at` is 0) gets no end event.
            while (exchange.running or exchange.reply.at) and not self.turn_ended.wait(INTERVAL):
                self.publish_changes()
            return
        for _ in self.stream.batches(INTERVAL / 4):
            self.publish_changes()

    def _wait_for_status(self, failure: str | None) -> None:
        """Wait until the turn has a final status; set one if it never gets there."""
        reply = self.exchange.reply
        # `at` is 0 if the question was stopped before it was sent: then no end will come.
        ended = reply.at and self.turn_ended.wait(CLOSE_SECONDS)
        if self.exchange.running and not ended:
            reply.status = "error" if failure else "interrupted"
        reply.error = reply.error or failure

    def publish_changes(self) -> None:
        """Send what is new, if an update is due; send a heartbeat after a long silence."""
        start = self._clock()
        if start < self._due:
            return
        exchange, channel = self.exchange, self._channel
        with channel.lock:
            changes, activity = exchange.changes(), exchange.reply.progress
            if changes or activity != self._activity:
                meta = {"meta": exchange.meta()} if activity != self._activity else {}
                channel.broadcast("patch", key=exchange.key, changes=changes, **meta)
                self._last_sent = now = self._clock()
                self._due = now + max(INTERVAL, IDLE_FACTOR * (now - start))
                self._activity = activity
            elif start > self._last_sent + HEARTBEAT_AFTER:
                channel.heartbeat()
                self._last_sent = start

    def publish_end(self) -> None:
        """Send the last changes and how the answer ended."""
        with suppress(Exception):  # the end is sent even if, say, the ledger cannot be read
            self._on_end(self.exchange)
        with self._channel.lock:
            exchange = self.exchange
            changes = exchange.finish()
            self._channel.broadcast(
                "patch", key=exchange.key, changes=changes, meta=exchange.meta()
            )
