"""Which failed requests are sent again, and after how many seconds."""

import pytest

from swiftask_jupyter.errors import (
    BadRequest,
    ConnectionFailed,
    QuotaSpent,
    RateLimited,
    ServiceUnavailable,
    StreamError,
    TimedOut,
    Unauthorized,
)
from swiftask_jupyter.turns.retry import (
    batch_retry_delay,
    is_busy,
    retry_delay,
    was_not_accepted,
)

SOON, LATE = 0.2, 7.0


def after(seconds, error):
    """Return the error of a response that came so many seconds after the request."""
    error.after = seconds
    return error


def longest(_low, high):
    """Draw the longest delay instead of a random one."""
    return high


@pytest.mark.parametrize(
    ("error", "delays"),
    [
        (RateLimited("x", status=429), [0.5, 1.0, 2.0, None]),
        (RateLimited("x", status=429, retry_after=3600), [3600, 3600, 3600, None]),
        (RateLimited("x", status=200), [0.5, 1.0, 2.0, None]),
        (QuotaSpent("x", status=429, retry_after=1), [None]),
        (ServiceUnavailable("x", status=501), [None]),
        (after(SOON, ConnectionFailed("x", sent=True)), [0.5, 1.0, 2.0, None]),
        (after(LATE, ConnectionFailed("x", sent=True)), [None]),
        (ConnectionFailed("x", sent=False), [0.5, 1.0, 2.0, None]),
        (ConnectionFailed("x", sent=False, permanent=True), [None]),
        (after(SOON, TimedOut("x")), [None]),
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
        (QuotaSpent("x", status=402), [None]),
        (ConnectionFailed("x", sent=False), [0.5, 1.0, None]),
        (ConnectionFailed("x", sent=False, permanent=True), [None]),
        (after(SOON, ConnectionFailed("x", sent=True)), [None]),
        (TimedOut("x"), [None]),
        (BadRequest("x", status=400), [None]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_cell_waits_30_seconds_at_most_and_never_resends_a_request_that_was_sent(error, delays):
    tries = range(1, len(delays) + 1)

    assert [retry_delay(error, each, longest) for each in tries] == delays


@pytest.mark.parametrize("status", [503, *range(520, 530)])
@pytest.mark.parametrize(
    ("seconds", "retry_after", "again"),
    [(SOON, None, True), (LATE, None, False), (None, None, False), (LATE, 3, True)],
)
def test_a_busy_service_is_asked_again_if_it_said_so_at_once_or_asks_for_it(
    status, seconds, retry_after, again
):
    error = after(seconds, ServiceUnavailable("x", status=status, retry_after=retry_after))

    assert (retry_delay(error, 1, longest) is not None) == again
    assert (batch_retry_delay(error, 1, 4, longest) is not None) == again


@pytest.mark.parametrize(
    ("status", "seconds", "again"),
    [(502, SOON, True), (502, LATE, False), (502, None, False), (500, SOON, False),
     (500, LATE, False), (504, SOON, False), (504, LATE, False)],
)  # fmt: skip
@pytest.mark.parametrize("retry_after", [None, 0])
def test_a_request_that_an_agent_may_have_answered_is_not_sent_again(
    status, seconds, again, retry_after
):
    error = after(seconds, ServiceUnavailable("x", status=status, retry_after=retry_after))

    assert (retry_delay(error, 1, longest) is not None) == again
    assert (batch_retry_delay(error, 1, 4, longest) is not None) == again


@pytest.mark.parametrize(
    ("error", "busy"),
    [
        (RateLimited("x", status=429), True),
        (RateLimited("x", status=200), True),
        (ServiceUnavailable("x", status=529), True),
        (QuotaSpent("x", status=429), False),
        (ServiceUnavailable("x", status=502), False),
        (TimedOut("x"), False),
    ],
    ids=repr,
)
def test_a_service_asks_for_fewer_requests_by_a_rate_limit_or_a_busy_status(error, busy):
    assert is_busy(error) == busy


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
