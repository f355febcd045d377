"""An answer, watched from the thread of whoever asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from swiftask_jupyter.answers.answer import Answer, answer_from
from swiftask_jupyter.answers.events import Event
from swiftask_jupyter.conversation.running_turn import RunningTurn
from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.support.io_thread import IOThread, StreamIterator


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
