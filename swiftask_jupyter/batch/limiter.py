"""How many requests may be under way, and when none may leave.

Additive increase, multiplicative decrease, as TCP shares a line among those who know nothing of
each other: so do the kernels of one account. Pure: the clock is passed in.


Whether a row's request may still leave: the last look, when its connection is there.
"""

from __future__ import annotations

import time

from swiftask_jupyter.protocols.errors import Head, seconds_of
from swiftask_jupyter.transport.exchange import RequestHook


class ConcurrencyLimiter:
    """The requests that may be under way at once; halved when the service says "not now".

    Args:
        limit: the most there may ever be.

    Attributes:
        size: how many there may be now.
        taken: how many there are.
        closed_until: the moment before which none may leave, as the service asked.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = float(limit)
        self.taken = 0
        self.closed_until = float("-inf")
        self._cut_at = float("-inf")

    def free(self, now: float) -> int:
        """Return how many more may leave now."""
        if now < self.closed_until:
            return 0
        return max(0, int(self.size) - self.taken)

    def closed_for(self, now: float) -> float:
        """Return the seconds for which none may leave."""
        return max(0.0, self.closed_until - now)

    def leave(self) -> None:
        """Note that a request leaves."""
        self.taken += 1

    def ended(self) -> None:
        """Note that a request has ended, whatever came of it."""
        self.taken -= 1

    def answered(self) -> None:
        """Grow by one for each window of answers."""
        self.size = min(float(self.limit), self.size + 1 / self.size)

    def refused(self, left_at: float, now: float, retry_after: float | None) -> None:
        """Halve, and close for as long as the service asks: for all rows at once.

        Refusals of requests that left before the last cut say nothing about what came of it:
        a whole window that is refused at once counts as one refusal.
        """
        if left_at >= self._cut_at:
            self.size = max(1.0, self.size / 2)
            self._cut_at = now
        if retry_after is not None:
            self.close_for(retry_after, now)

    def close_for(self, seconds: float, now: float) -> None:
        """Let none leave for so long."""
        self.closed_until = max(self.closed_until, now + seconds)


SLOW_DOWN = frozenset((429, 503))


class RateLimitPaused(Exception):
    """The service asks to wait; nothing was sent."""


class RowHook(RequestHook):
    """Closes the window when any row hears to wait, and lets no other leave from then on.

    Attributes:
        left_at: when the row's request left last.
    """

    def __init__(self, window: ConcurrencyLimiter) -> None:
        self.left_at = 0.0
        self._window = window

    def leaving(self) -> None:
        """Let the request go.

        Raises:
            NotNow: it has been asked to wait meanwhile.
        """
        now = time.monotonic()
        if self._window.closed_for(now):
            raise RateLimitPaused
        self.left_at = now

    def heard(self, head: Head) -> None:
        """Close the window at once, before the answer's row is even told."""
        if head.status in SLOW_DOWN:
            wait = seconds_of(head.headers.get("retry-after"))
            if wait is not None:
                self._window.close_for(wait, time.monotonic())
