"""Limits how many requests of a batch are in flight; pauses the batch if the service asks to wait.

The limit adapts to the service by AIMD (additive increase, multiplicative decrease). TCP uses the
same method (https://www.rfc-editor.org/rfc/rfc5681). If several kernels use one account, each
kernel reaches a fair share without communicating.
"""

from __future__ import annotations

import time

from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.protocols.limits import BUSY_STATUSES, requested_wait, wait_after_answer
from swiftask_jupyter.transport.connection import RequestHeld, RequestHook

# The HTTP statuses by which a service asks for fewer requests.
RATE_LIMIT_STATUSES = BUSY_STATUSES | {429}


class ConcurrencyLimiter:
    """Counts the requests in flight, and raises or lowers the limit depending on the responses.

    The limiter reads no clock: callers pass the time, in seconds of `time.monotonic`.

    Args:
        limit: the highest number of requests in flight.

    Attributes:
        limit: the upper bound of `window`.
        window: the limit that applies now, as a float; only the whole part counts.
        in_flight: the number of requests in flight.
        paused_until: the end of the last pause; before this time, no request may be sent.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.window = float(limit)
        self.in_flight = 0
        self.paused_until = float("-inf")
        self._halved_at = float("-inf")

    def available(self, now: float) -> int:
        """Return how many additional requests may be sent now; 0 during a pause."""
        if now < self.paused_until:
            return 0
        return max(0, int(self.window) - self.in_flight)

    def pause_remaining(self, now: float) -> float:
        """Return the seconds until the pause ends; 0.0 if there is no pause."""
        return max(0.0, self.paused_until - now)

    def request_started(self) -> None:
        """Add 1 to the number of requests in flight."""
        self.in_flight += 1

    def request_ended(self) -> None:
        """Subtract 1 from the number of requests in flight, after a success or a failure."""
        self.in_flight -= 1

    def request_succeeded(self) -> None:
        """Raise `window` by `1 / window`, but not above `limit`."""
        self.window = min(float(self.limit), self.window + 1 / self.window)

    def rate_limited(self, sent_at: float, now: float, retry_after: float | None) -> None:
        """Halve `window` after a refused request; start a pause if `retry_after` is given.

        If the service refuses several requests at once, `window` is halved only once: a request
        that was sent before the last halving has no effect.

        Args:
            sent_at: when the refused request was sent.
            now: when the refusal arrived.
            retry_after: the seconds that the service asks to wait; `None` if the service names no
                time.
        """
        if sent_at >= self._halved_at:
            self.window = max(1.0, self.window / 2)
            self._halved_at = now
        if retry_after is not None:
            self.pause(retry_after, now)

    def pause(self, seconds: float, now: float) -> None:
        """Pause all requests until `seconds` after `now`, unless an earlier pause lasts longer."""
        self.paused_until = max(self.paused_until, now + seconds)


class RateLimitPaused(RequestHeld):
    """Raised if a request is about to be sent during a pause that the service asked for."""


class RateLimitHook(RequestHook):
    """Stops the requests of one row during a pause, and starts a pause if a response asks for one.

    All rows share the limiter of the batch. So a pause takes effect at once for every unsent
    request, even if the connection of the request is already open.

    Args:
        limiter: the limiter of the batch.

    Attributes:
        sent_at: when the row's last request was sent, in seconds of `time.monotonic`.
    """

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self.sent_at = 0.0
        self._limiter = limiter

    def before_send(self) -> None:
        """Record the time at which the request is sent; raise an error during a pause.

        Raises:
            RateLimitPaused: the service has asked for a pause.
        """
        now = time.monotonic()
        if self._limiter.pause_remaining(now):
            raise RateLimitPaused
        self.sent_at = now

    def on_response(self, head: ResponseHead) -> None:
        """Pause all requests if the headers of the response ask for it.

        A response with one of `RATE_LIMIT_STATUSES` asks for a pause by `Retry-After` or a similar
        header. A successful response asks for a pause if it used up the allowed requests, that is
        by `X-RateLimit-Remaining: 0`. The method is called when the head of the response has
        arrived, before the body is read.

        Args:
            head: the status and the headers of the response.
        """
        wait = None
        if head.status in RATE_LIMIT_STATUSES:
            wait = requested_wait(head)
        elif head.status < 300:
            wait = wait_after_answer(head)
        if wait is not None:
            self._limiter.pause(wait, time.monotonic())
