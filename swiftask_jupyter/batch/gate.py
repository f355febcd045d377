"""Whether a row's request may still leave: the last look, when its connection is there."""

from __future__ import annotations

import time

from swiftask_jupyter.batch.window import Window
from swiftask_jupyter.protocols import Head
from swiftask_jupyter.protocols.failures import seconds_of
from swiftask_jupyter.transport import Gate

SLOW_DOWN = frozenset((429, 503))


class NotNow(Exception):
    """The service asks to wait; nothing was sent."""


class RowGate(Gate):
    """Closes the window when any row hears to wait, and lets no other leave from then on.

    Attributes:
        left_at: when the row's request left last.
    """

    def __init__(self, window: Window) -> None:
        self.left_at = 0.0
        self._window = window

    def leaving(self) -> None:
        """Let the request go.

        Raises:
            NotNow: it has been asked to wait meanwhile.
        """
        now = time.monotonic()
        if self._window.closed_for(now):
            raise NotNow
        self.left_at = now

    def heard(self, head: Head) -> None:
        """Close the window at once, before the answer's row is even told."""
        if head.status in SLOW_DOWN:
            wait = seconds_of(head.headers.get("retry-after"))
            if wait is not None:
                self._window.close_for(wait, time.monotonic())
