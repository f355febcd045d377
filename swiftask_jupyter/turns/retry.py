"""Decides whether a failed request is sent again, and after how many seconds.

A request is sent again only if it was probably not billed. This is the case if no connection was
opened, or if the status of the response means that the service did not process the request. After a
missing response or an incomplete answer, a request is not sent again, because it may have been
billed. `batch_retry_delay` makes one exception.
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

    The delay is a random number (exponential backoff with full jitter). The maximum of the delay
    doubles with each try. If the service asks for a delay (`Retry-After`), that delay is used
    instead. If the service asks for more than 30 seconds, the result is `None`.

    Args:
        error: the error of the last try, raised before any part of an answer arrived.
        tries: the number of tries so far.
        draw: returns a random number between its two arguments; replaced in tests.
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
    """Return how many seconds to wait before a batch sends a prompt again, or `None` to give up.

    There are two differences to `retry_delay`. First, a delay that the service asks for
    (`Retry-After`) is used even if it is long. Second, a request is sent again if its connection
    was closed before the response, although the request may have been billed. Otherwise, some rows
    of a large batch would get no answer. A request that timed out is not sent again.

    Args:
        error: the error of the last try, raised before any part of an answer arrived.
        tries: the number of tries so far.
        max_tries: the number of tries that are allowed.
        draw: returns a random number between its two arguments; replaced in tests.
    """
    unavailable = isinstance(error, ServiceError) and error.status in RETRY_STATUSES
    reset = isinstance(error, ConnectionFailed) and not isinstance(error, TimedOut)
    if tries >= max_tries or not (unavailable or reset):
        return None
    requested = error.retry_after if isinstance(error, ServiceError) else None
    return draw(0, _max_delay(tries)) if requested is None else requested


def was_not_accepted(error: SwiftaskError) -> bool:
    """Return whether an error proves that the service did not add the prompt to a conversation.

    The proof is that the request was not sent, or that the response has a status from 400 to 499.
    """
    if isinstance(error, ConnectionFailed):
        return not error.sent
    return isinstance(error, ServiceError) and 400 <= (error.status or 0) < 500


def _max_delay(tries: int) -> float:
    return min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** (tries - 1))
