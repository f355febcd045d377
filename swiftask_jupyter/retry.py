"""Which failures are worth another try, and after how long.

Only what can't have been billed: no connection, or a status that says "not now". A request that
was silent or broke off after it had been sent may have been answered, and is not sent again.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from swiftask_jupyter.errors import ConnectionFailed, ServiceError, SwiftaskError

TRIES = 3
FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
STATUSES = frozenset((429, 500, 502, 503, 504))


def pause(
    error: SwiftaskError, tries: int, chance: Callable[[float, float], float] = random.uniform
) -> float | None:
    """Return the seconds to wait before another try, or `None` if there should be none.

    Args:
        error: how the last try failed, before anything of an answer had come.
        tries: how many there have been.
        chance: draws between two numbers: full jitter, so that many who failed together do
            not come back together.
    """
    if tries >= TRIES:
        return None
    if isinstance(error, ConnectionFailed):
        return None if error.sent else chance(0, _ceiling(tries))
    if isinstance(error, ServiceError) and error.status in STATUSES:
        if error.retry_after is None:
            return chance(0, _ceiling(tries))
        # What the service asks for is kept; longer than that, the user had better know.
        return error.retry_after if error.retry_after <= LONGEST_SECONDS else None
    return None


def _ceiling(tries: int) -> float:
    return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (tries - 1))
