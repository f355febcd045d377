"""Limits how many requests of a batch are in flight, and pauses them when the service asks for it.

The limit adapts to the service by AIMD (additive increase, multiplicative decrease), as in TCP
(https://www.rfc-editor.org/rfc/rfc5681): several kernels that use one account each reach a fair
share without communicating.
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
        limit: the upper bound of `window`.
        window: the limit that applies now. It is a float, because each success raises it by a
            fraction; only its whole part counts.
        in_flight: the number of requests in flight.
        paused_until: the time before which no request may be sent, because the service asked for
            a pause.
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
        """Stop counting a request as in flight, whether it succeeded or failed."""
        self.in_flight -= 1

    def request_succeeded(self) -> None:
        """Raise the current limit by a fraction, up to the highest limit.

        The fractions add up to 1 after about as many successes as the current limit.
        """
        self.window = min(float(self.limit), self.window + 1 / self.window)

    def rate_limited(self, sent_at: float, now: float, retry_after: float | None) -> None:
        """Halve the current limit, and pause all requests if the service names a waiting time.

        If a service refuses all requests in flight at once, the limit is halved once: a request
        that was sent before the last halving does not halve it again.

        Args:
            sent_at: when the refused request was sent.
            now: when the refusal arrived.
            retry_after: the seconds that the service asks to wait; `None` if it names no time.
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
    """Raised instead of sending a request during a pause that the service asked for."""


class RateLimitHook(RequestHook):
    """Holds back one row's requests during a pause, and starts a pause that a response asks for.

    The hooks of all rows share the batch's limiter. So a pause takes effect at once for every
    request that is not sent yet, even if its connection is already open.

    Args:
        limiter: the limiter of the batch.

    Attributes:
        sent_at: when the row's request was last sent, in seconds of `time.monotonic`.
    """

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self.sent_at = 0.0
        self._limiter = limiter

    def before_send(self) -> None:
        """Allow the request to be sent and note the time, or raise during a pause.

        Raises:
            RateLimitPaused: a pause has begun since the request was prepared.
        """
        now = time.monotonic()
        if self._limiter.pause_remaining(now):
            raise RateLimitPaused
        self.sent_at = now

    def on_response(self, head: ResponseHead) -> None:
        """Pause all requests if the response is a 429 or 503 with a `Retry-After` header.

        Called as soon as the head has arrived, before the body is read.

        Args:
            head: the status and the headers of the response.
        """
        if head.status in RATE_LIMIT_STATUSES:
            wait = retry_after_seconds(head.headers.get("retry-after"))
            if wait is not None:
                self._limiter.pause(wait, time.monotonic())
