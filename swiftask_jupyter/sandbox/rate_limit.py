"""The hourly rate limit of `/v1/api/chat/{slug}`, and the response headers that report it."""

import time

REQUESTS_PER_HOUR = 1000
"""The documented limit of a standard plan."""
HOUR = 3600.0


class RateLimit:
    """Counts requests against a limit per hour. Not thread-safe.

    An hour begins with its first request. That it is a fixed window, and neither slides nor
    refills gradually, is inferred.

    Args:
        limit: requests per hour.

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
        """Count one request and return True, or return False if the limit is used up.

        Args:
            limit: requests per hour to use for this request, in place of the own limit.
        """
        self._reset_if_over()
        if self._used >= (self._limit if limit is None else limit):
            return False
        self._used += 1
        return True

    def headers(self, limit: int | None = None) -> dict[str, str]:
        """Return the three documented X-RateLimit headers: limit, remaining requests, reset time.

        Args:
            limit: requests per hour to report, in place of the own limit.
        """
        self._reset_if_over()
        allowed = self._limit if limit is None else limit
        return {
            "X-RateLimit-Limit": str(allowed),
            "X-RateLimit-Remaining": str(max(0, allowed - self._used)),
            "X-RateLimit-Reset": f"{self._resets_at:.0f}",
        }

    def _reset_if_over(self) -> None:
        now = time.time()
        if now >= self._resets_at:
            self._used, self._resets_at = 0, now + HOUR
