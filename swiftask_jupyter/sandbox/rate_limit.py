"""How often the platform of `/chat/{slug}` may be asked, and what its headers say of it."""

import time

STANDARD = 1000
"""Requests an hour; documented for a standard plan."""
HOUR = 3600.0


class RateLimit:
    """What is left of this hour, which begins with its first request; on one thread alone."""

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"rate_limit must be at least 0, not {limit}")
        self._limit = limit
        self._used = 0
        self._ends = 0.0

    def take(self, limit: int | None = None) -> bool:
        """Counts a request, unless the limit (or this other one) is used up: then False."""
        self._turn()
        if self._used >= (self._limit if limit is None else limit):
            return False
        self._used += 1
        return True

    def headers(self, limit: int | None = None) -> dict[str, str]:
        """The documented three, for this limit or another."""
        self._turn()
        allowed = self._limit if limit is None else limit
        return {
            "X-RateLimit-Limit": str(allowed),
            "X-RateLimit-Remaining": str(max(0, allowed - self._used)),
            "X-RateLimit-Reset": f"{self._ends:.0f}",
        }

    def _turn(self) -> None:
        # That the hour is fixed, and neither rolls nor refills slowly, is inferred.
        now = time.time()
        if now >= self._ends:
            self._used, self._ends = 0, now + HOUR
