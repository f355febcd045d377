"""Sends one streaming answer to the panel's views in the browser, from its own thread.

An answer can stream longer than the cell that displayed the panel runs. Therefore each answer has
its own thread. The thread sends at most about eight updates a second. One message for each token
would be slow, because every message has a fixed cost.
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

INTERVAL = 0.12  # minimum seconds between two updates
IDLE_FACTOR = 8  # after an update that took t seconds to make, wait at least 8 t seconds
HEARTBEAT_AFTER = 6.0  # seconds without a change; shows the views that the kernel is alive
# Seconds to wait before each heartbeat after the end of the answer. A heartbeat lets a view notice
# that the last update was lost.
FINAL_HEARTBEATS = (1.0, 3.0, 6.0, 20.0)


class ReplyPublisher:
    """Sends the changes of one streaming answer to all views until the answer ends.

    The changes are sent from a separate thread.

    Args:
        exchange: the question with its answer.
        channel: the channel that sends updates to the views, the panel's displays in the browser.
        stream: the stream of the answer; `None` if a cell or another panel asked the question.
        on_end: the function that is called with the exchange when the answer has ended.
        clock: the function that returns the time in seconds.

    Attributes:
        exchange: the question with its answer.
        stream: the stream of the answer; `None` if a cell or another panel asked the question.
        turn_ended: the event that tells the thread that the answer has ended.
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
        """Call `announce`, which adds the exchange to the views, then start the publishing thread.

        If an exception or `KeyboardInterrupt` occurs, the answer is stopped, and the exception is
        raised again.
        """
        try:
            announce()
            self.start(contextvars.copy_context())
        except BaseException:  # an answer without a publisher would block the panel for ever
            self.close()
            self.exchange.reply.status = "interrupted"
            self._channel.broadcast("reload")
            raise

    def start(
        self, context: contextvars.Context, announce: Callable[[], None] = lambda: None
    ) -> None:
        """Start the publishing thread.

        Args:
            context: the context variables of a view's request. The variables make the kernel assign
                the thread's messages to this request, and not to the running cell.
            announce: the function that the thread calls before any change is sent.
        """
        args = (self._run, announce)
        Thread(target=context.run, args=args, name="swiftask-panel", daemon=True).start()

    def stop(self) -> None:
        """Stop the answer, and keep the text received so far.

        Nothing happens if a cell or another panel asked the question.
        """
        if self.stream is not None:
            self.stream.close()

    def close(self) -> None:
        """Stop the answer as `stop` does, and tell the publishing thread to end."""
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
            # `at` is 0 if the question was stopped before it was sent: no end is reported then.
            while (exchange.running or exchange.reply.at) and not self.turn_ended.wait(INTERVAL):
                self.publish_changes()
            return
        for _ in self.stream.batches(INTERVAL / 4):
            self.publish_changes()

    def _wait_for_status(self, failure: str | None) -> None:
        """Wait up to `CLOSE_SECONDS` for the final status of the answer.

        If no final status arrives, the method sets the status `error` or `interrupted`.

        Args:
            failure: the message of an exception in the publishing thread; `None` without an
                exception. If the reply has no error yet, the message becomes the reply's error.
        """
        reply = self.exchange.reply
        # `at` is 0 if the question was stopped before it was sent. The session then reports no end.
        ended = reply.at and self.turn_ended.wait(CLOSE_SECONDS)
        if self.exchange.running and not ended:
            reply.status = "error" if failure else "interrupted"
        reply.error = reply.error or failure

    def publish_changes(self) -> None:
        """Send new changes of the answer to the views.

        Nothing is sent in the first `INTERVAL` seconds after an update. After `HEARTBEAT_AFTER`
        seconds without changes, a heartbeat message shows the views that the kernel is alive.
        """
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
        """Call `on_end`, then send the last changes and the final status to the views."""
        with suppress(Exception):  # the end is sent even if, say, the ledger cannot be read
            self._on_end(self.exchange)
        with self._channel.lock:
            exchange = self.exchange
            changes = exchange.finish()
            self._channel.broadcast(
                "patch", key=exchange.key, changes=changes, meta=exchange.meta()
            )
