"""Which failures are worth another try, and after how long.

Only what can't have been billed: no connection, or a status that says "not now". A request that
was silent or broke off after it had been sent may have been answered, and is not sent again.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from swiftask_jupyter.errors import ConnectionFailed, ServiceError, SwiftaskError, TimedOut

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


def patience(
    error: SwiftaskError,
    tries: int,
    most: int,
    chance: Callable[[float, float], float] = random.uniform,
) -> float | None:
    """Return what `pause` does for one of many rows, which can wait as long as it is asked to.

    A connection that was reset before anything came is tried again too: among many rows such
    breaks are certain, and each would be a hole in the frame. Silence is not: it may be billed.

    Args:
        error: how the last try failed, before anything of an answer had come.
        tries: how many there have been.
        most: how many there may be.
        chance: draws between two numbers.
    """
    service = isinstance(error, ServiceError) and error.status in STATUSES
    reset = isinstance(error, ConnectionFailed) and not isinstance(error, TimedOut)
    if tries >= most or not (service or reset):
        return None
    asked = error.retry_after if isinstance(error, ServiceError) else None
    return chance(0, _ceiling(tries)) if asked is None else asked


def untaken(error: SwiftaskError) -> bool:
    """Tell whether the service can't have taken the question into its conversation."""
    if isinstance(error, ConnectionFailed):
        return not error.sent
    return isinstance(error, ServiceError) and 400 <= (error.status or 0) < 500


def _ceiling(tries: int) -> float:
    return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (tries - 1))
