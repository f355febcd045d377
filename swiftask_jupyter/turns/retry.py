"""Decides whether a failed request is sent again, and after how many seconds.

A request is sent again only if it cannot have been billed: no connection was made, or the status
says that the service did not process it. A request that was sent and got no response, or whose
answer broke off, may have been processed and is not sent again.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from swiftask_jupyter.errors import ConnectionFailed, ServiceError, SwiftaskError, TimedOut

MAX_TRIES = 3
FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 30.0
RETRY_STATUSES = frozenset((429, 500, 502, 503, 504))


def retry_delay(
    error: SwiftaskError, tries: int, draw: Callable[[float, float], float] = random.uniform
) -> float | None:
    """Return how many seconds to wait before the next try, or `None` to give up.

    The delay grows exponentially, with full jitter: clients that failed together do not retry
    together. A delay that the service asks for (`Retry-After`) is kept, up to 30 s.

    Args:
        error: the error of the last try, raised before any text of an answer arrived.
        tries: how many tries there have been.
        draw: returns a random number between two numbers.
    """
    if tries >= MAX_TRIES:
        return None
    if isinstance(error, ConnectionFailed):
        return None if error.sent else draw(0, _max_delay(tries))
    if isinstance(error, ServiceError) and error.status in RETRY_STATUSES:
        if error.retry_after is None:
            return draw(0, _max_delay(tries))
        # If the service asks for a longer delay, it is better to show the user the error.
        return error.retry_after if error.retry_after <= MAX_DELAY_SECONDS else None
    return None


def batch_retry_delay(
    error: SwiftaskError,
    tries: int,
    max_tries: int,
    draw: Callable[[float, float], float] = random.uniform,
) -> float | None:
    """Return how many seconds a row of a batch waits before its next try, or `None` to give up.

    Unlike `retry_delay`, it keeps a delay of any length that the service asks for, and it retries
    after a connection was reset before the response began: with many rows, resets are certain, and
    each would leave a row without an answer. A timeout is not retried, because the request may have
    been billed.

    Args:
        error: the error of the last try, raised before any text of an answer arrived.
        tries: how many tries there have been.
        max_tries: how many tries are allowed.
        draw: returns a random number between two numbers.
    """
    unavailable = isinstance(error, ServiceError) and error.status in RETRY_STATUSES
    reset = isinstance(error, ConnectionFailed) and not isinstance(error, TimedOut)
    if tries >= max_tries or not (unavailable or reset):
        return None
    requested = error.retry_after if isinstance(error, ServiceError) else None
    return draw(0, _max_delay(tries)) if requested is None else requested


def was_not_accepted(error: SwiftaskError) -> bool:
    """Tell whether the service certainly did not add the question to its conversation."""
    if isinstance(error, ConnectionFailed):
        return not error.sent
    return isinstance(error, ServiceError) and 400 <= (error.status or 0) < 500


def _max_delay(tries: int) -> float:
    return min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** (tries - 1))
