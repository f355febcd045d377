"""Implement the hourly rate limit of `/v1/api/chat/{slug}` and its response headers."""

import time

REQUESTS_PER_HOUR = 1000
"""The limit that the documentation gives for a standard plan."""
HOUR = 3600.0


class RateLimit:
    """A request counter that enforces a limit per hour. Not thread-safe.

    The count is reset when a request arrives after the hour has ended, and a new hour then starts.
    It is inferred that the real service uses such fixed windows.

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
        """Count one request and return True; if the limit is reached, return False.

        Args:
            limit: requests per hour to apply to this request; None for the limit passed to the
                constructor.
        """
        self._reset_if_over()
        if self._used >= (self._limit if limit is None else limit):
            return False
        self._used += 1
        return True

    def headers(self, limit: int | None = None) -> dict[str, str]:
        """Return the three documented X-RateLimit headers: limit, remaining requests, reset time.

        The reset time is a Unix timestamp in seconds.

        Args:
            limit: requests per hour to report; None for the limit passed to the constructor.
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
