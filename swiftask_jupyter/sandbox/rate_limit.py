"""Implement the hourly rate limit of `/v1/api/chat/{slug}` and the rate-limit headers."""

import time

REQUESTS_PER_HOUR = 1000
"""The limit that the documentation gives for a standard plan."""
HOUR = 3600.0


class HourlyRateLimiter:
    """A request counter that allows a limited number of requests per hour. Not thread-safe.

    When an hour has ended, the next call resets the count and starts a new hour.

    Args:
        limit: the number of requests allowed per hour.

    Raises:
        ValueError: the limit is negative.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"rate_limit must be at least 0, not {limit}")
        self._limit = limit
        self._used = 0
        self._resets_at = 0.0

    def take(self, limit: int | None = None) -> bool:
        """Count one request and return True.

        If the limit is already reached, count nothing and return False.

        Args:
            limit: the number of requests allowed per hour; None for the constructor's `limit`.
        """
        self._reset_if_over()
        if self._used >= (self._limit if limit is None else limit):
            return False
        self._used += 1
        return True

    def headers(self, limit: int | None = None) -> dict[str, str]:
        """Return the three documented X-RateLimit headers, as a dict.

        The headers contain the limit, the number of remaining requests and the reset time. The
        reset time is a Unix timestamp in seconds.

        Args:
            limit: the number of requests allowed per hour; None for the constructor's `limit`.
        """
        self._reset_if_over()
        allowed = self._limit if limit is None else limit
        return {
            "X-RateLimit-Limit": str(allowed),
            "X-RateLimit-Remaining": str(max(0, allowed - self._used)),
            "X-RateLimit-Reset": f"{self._resets_at:.0f}",
        }

    def _reset_if_over(self) -> None:
        # Inferred: the real service uses fixed windows too.
        now = time.time()
        if now >= self._resets_at:
            self._used, self._resets_at = 0, now + HOUR
