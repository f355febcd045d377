"""Which failed requests are sent again, and after how many seconds."""

import pytest

from swiftask_jupyter.errors import (
    BadRequest,
    ConnectionFailed,
    RateLimited,
    ServiceUnavailable,
    StreamError,
    TimedOut,
    Unauthorized,
)
from swiftask_jupyter.turns.retry import batch_retry_delay, retry_delay, was_not_accepted


def longest(_low, high):
    """Draw the longest delay instead of a random one."""
    return high


@pytest.mark.parametrize(
    ("error", "delays"),
    [
        (RateLimited("x", status=429), [0.5, 1.0, 2.0, None]),
        (RateLimited("x", status=429, retry_after=3600), [3600, 3600, 3600, None]),
        (ServiceUnavailable("x", status=504), [0.5, 1.0, 2.0, None]),
        (ServiceUnavailable("x", status=501), [None]),
        (ConnectionFailed("x", sent=True), [0.5, 1.0, 2.0, None]),
        (ConnectionFailed("x", sent=False), [0.5, 1.0, 2.0, None]),
        (TimedOut("x"), [None]),
        (Unauthorized("x", status=401), [None]),
        (BadRequest("x", status=400), [None]),
        (StreamError("x"), [None]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_row_waits_as_long_as_the_service_asks_and_gives_up_after_its_tries(error, delays):
    tries = range(1, len(delays) + 1)

    assert [batch_retry_delay(error, each, 4, longest) for each in tries] == delays


@pytest.mark.parametrize(
    ("error", "delays"),
    [
        (RateLimited("x", status=429), [0.5, 1.0, None]),
        (RateLimited("x", status=429, retry_after=7), [7, 7, None]),
        (RateLimited("x", status=429, retry_after=3600), [None]),
        (ConnectionFailed("x", sent=False), [0.5, 1.0, None]),
        (ConnectionFailed("x", sent=True), [None]),
        (TimedOut("x"), [None]),
        (BadRequest("x", status=400), [None]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_cell_waits_30_seconds_at_most_and_never_resends_a_request_that_was_sent(error, delays):
    tries = range(1, len(delays) + 1)

    assert [retry_delay(error, each, longest) for each in tries] == delays


@pytest.mark.parametrize(
    ("error", "certain"),
    [
        (ConnectionFailed("x", sent=False), True),
        (ConnectionFailed("x", sent=True), False),
        (BadRequest("x", status=400), True),
        (ServiceUnavailable("x", status=503), False),
        (StreamError("x"), False),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_question_was_certainly_not_accepted_if_it_was_not_sent_or_was_rejected(error, certain):
    assert was_not_accepted(error) == certain
