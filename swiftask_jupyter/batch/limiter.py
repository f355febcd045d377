"""Limits for the requests of a batch: how many are in flight, and when none may be sent.

The limit adapts to the service by AIMD (additive increase, multiplicative decrease), as in TCP
(https://www.rfc-editor.org/rfc/rfc5681): independent kernels of one account converge on a fair
share, although none knows of the others.
"""

from __future__ import annotations

import time

from swiftask_jupyter.protocols.errors import retry_after_seconds
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.transport.connection import NotSent, RequestHook

# The HTTP statuses by which a service asks for fewer requests.
RATE_LIMIT_STATUSES = frozenset((429, 503))


class ConcurrencyLimiter:
    """Counts the requests in flight, and adapts their limit to the responses.

    The limiter reads no clock: callers pass the time, in seconds of `time.monotonic`.

    Args:
        limit: the highest number of requests in flight.

    Attributes:
        limit: as above; the current limit never exceeds it.
        window: the current limit; it grows by fractions, and only its whole part counts.
        in_flight: the number of requests in flight.
        paused_until: the time before which no request may be sent, as the service asked.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.window = float(limit)
        self.in_flight = 0
        self.paused_until = float("-inf")
        self._halved_at = float("-inf")

    def available(self, now: float) -> int:
        """Return how many more requests may be sent now; 0 during a pause."""
        if now < self.paused_until:
            return 0
        return max(0, int(self.window) - self.in_flight)

    def pause_remaining(self, now: float) -> float:
        """Return the seconds until the pause ends; 0.0 if there is no pause."""
        return max(0.0, self.paused_until - now)

    def request_started(self) -> None:
        """Count a request as in flight."""
        self.in_flight += 1

    def request_ended(self) -> None:
        """Stop counting a request as in flight, whatever its result."""
        self.in_flight -= 1

    def request_succeeded(self) -> None:
        """Raise the limit: by 1 after as many successes as the current limit."""
        self.window = min(float(self.limit), self.window + 1 / self.window)

    def rate_limited(self, sent_at: float, now: float, retry_after: float | None) -> None:
        """Halve the limit, and pause all requests for as long as the service asks.

        All requests in flight may be refused at once. They count as one refusal: a request that
        was sent before the limit was last halved does not halve it again.

        Args:
            sent_at: when the refused request was sent.
            now: the time of the refusal.
            retry_after: the seconds that the service asks to wait; `None` if it names none.
        """
        if sent_at >= self._halved_at:
            self.window = max(1.0, self.window / 2)
            self._halved_at = now
        if retry_after is not None:
            self.pause(retry_after, now)

    def pause(self, seconds: float, now: float) -> None:
        """Pause all requests until `seconds` after `now`, unless an earlier pause lasts longer."""
        self.paused_until = max(self.paused_until, now + seconds)


class RateLimitPaused(NotSent):
    """A request was not sent, because the service asked for a pause."""


class RateLimitHook(RequestHook):
    """The hook of one row's request: it obeys and announces the pauses that the service asks for.

    A pause counts at once for all rows of the batch, also for those that have a connection and
    are about to be sent.

    Args:
        limiter: the limiter of the batch.

    Attributes:
        sent_at: when the row's request was last sent, in seconds of `time.monotonic`.
    """

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self.sent_at = 0.0
        self._limiter = limiter

    def before_send(self) -> None:
        """Let the request be sent.

        Raises:
            RateLimitPaused: the service has asked for a pause since the request was prepared.
        """
        now = time.monotonic()
        if self._limiter.pause_remaining(now):
            raise RateLimitPaused
        self.sent_at = now

    def on_response(self, head: ResponseHead) -> None:
        """Start a pause as soon as the head of a response asks for one.

        Args:
            head: the status and the headers of the response.
        """
        if head.status in RATE_LIMIT_STATUSES:
            wait = retry_after_seconds(head.headers.get("retry-after"))
            if wait is not None:
                self._limiter.pause(wait, time.monotonic())
