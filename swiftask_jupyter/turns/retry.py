"""Decides whether a failed request is sent again, and after how many seconds.

A request is sent again only if it was not billed. These failures prove that:

- No connection was opened, so the request was not sent.
- The service limits the rate (429, or an error inside an answer that has no text yet).
- Status 503 or 520 to 529 within `SOON_SECONDS` after the request, or with a `Retry-After`.
- Status 502 within `SOON_SECONDS` after the request: a gateway found no service to pass it to.

All other failures prove nothing. After a 500, a 504, a later 502 or a time-out, the agent may have
answered, and the answer may have been billed. The user decides whether to ask again. If the quota
is used up, a proxy wants a password or a certificate is refused, another request is of no use.
`batch_retry_delay` makes one exception.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from swiftask_jupyter.errors import (
    ConnectionFailed,
    QuotaSpent,
    RateLimited,
    ServiceError,
    SwiftaskError,
    TimedOut,
)
from swiftask_jupyter.protocols.limits import BUSY_STATUSES

MAX_TRIES = 3
FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 30.0
SOON_SECONDS = 1.0  # an agent that was asked needs longer to answer


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
    if tries >= MAX_TRIES or not _was_not_billed(error):
        return None
    requested = error.retry_after if isinstance(error, ServiceError) else None
    if requested is None:
        return draw(0, _max_delay(tries))
    # If the service asks for a longer delay, it is better to show the user the error.
    return requested if requested <= MAX_DELAY_SECONDS else None


def batch_retry_delay(
    error: SwiftaskError,
    tries: int,
    max_tries: int,
    draw: Callable[[float, float], float] = random.uniform,
) -> float | None:
    """Return how many seconds to wait before a batch sends a prompt again, or `None` to give up.

    There are two differences to `retry_delay`. First, a delay that the service asks for
    (`Retry-After`) is used even if it is long. Second, a request is sent again if its connection
    was closed within `SOON_SECONDS`. Otherwise, some rows of a large batch would get no answer. A
    request that timed out is not sent again.

    Args:
        error: the error of the last try, raised before any part of an answer arrived.
        tries: the number of tries so far.
        max_tries: the number of tries that are allowed.
        draw: returns a random number between its two arguments; replaced in tests.
    """
    is_reset = isinstance(error, ConnectionFailed) and error.sent and _came_soon(error)
    if tries >= max_tries or isinstance(error, TimedOut):
        return None
    if not (is_reset or _was_not_billed(error)):
        return None
    requested = error.retry_after if isinstance(error, ServiceError) else None
    return draw(0, _max_delay(tries)) if requested is None else requested


def is_busy(error: SwiftaskError) -> bool:
    """Return whether a service asks for fewer requests by this error: 429, 503 or 520 to 529."""
    if isinstance(error, QuotaSpent) or not isinstance(error, ServiceError):
        return False
    return isinstance(error, RateLimited) or error.status in BUSY_STATUSES


def _was_not_billed(error: SwiftaskError) -> bool:
    """Return whether an error proves that the service did nothing, and another try may help."""
    if isinstance(error, ConnectionFailed):
        return not error.sent and not error.permanent
    if not isinstance(error, ServiceError) or isinstance(error, QuotaSpent):
        return False
    if isinstance(error, RateLimited):
        return True
    asked = error.status in BUSY_STATUSES and error.retry_after is not None
    return asked or (error.status in {502, *BUSY_STATUSES} and _came_soon(error))


def _came_soon(error: ServiceError | ConnectionFailed) -> bool:
    return error.after is not None and error.after <= SOON_SECONDS


def was_not_accepted(error: SwiftaskError) -> bool:
    """Return whether an error proves that the service did not add the prompt to a conversation.

    The proof is that the request was not sent, or that the response has a status from 400 to 499.
    """
    if isinstance(error, ConnectionFailed):
        return not error.sent
    return isinstance(error, ServiceError) and 400 <= (error.status or 0) < 500


def _max_delay(tries: int) -> float:
    return min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** (tries - 1))
