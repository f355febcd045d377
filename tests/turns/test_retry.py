"""Which failures of a row are worth another try."""

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
from swiftask_jupyter.protocols.errors import seconds_of
from swiftask_jupyter.turns.retry import patience


def most(_least, most):
    return most


@pytest.mark.parametrize(
    ("error", "waits"),
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
def test_a_row_waits_as_long_as_it_is_asked_to_and_gives_up_after_its_tries(error, waits):
    assert [patience(error, tries, 4, most) for tries in range(1, len(waits) + 1)] == waits


@pytest.mark.parametrize("said", ["1e999", "nan", "inf", "soon"])
def test_a_wait_without_end_is_not_believed(said):
    assert seconds_of(said) is None
