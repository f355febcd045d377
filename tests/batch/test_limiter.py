"""The concurrency limit of a batch: halved by a refusal, raised by answers; and its pauses."""

import pytest

from swiftask_jupyter.batch.limiter import ConcurrencyLimiter, RateLimitHook, RateLimitPaused
from swiftask_jupyter.protocols.http import ResponseHead


@pytest.fixture
def limiter():
    return ConcurrencyLimiter(16)


def test_as_many_requests_may_be_in_flight_as_the_limit_allows(limiter):
    for _ in range(10):
        limiter.request_started()

    assert limiter.available(0) == 6
    limiter.request_ended()
    assert limiter.available(0) == 7


def test_a_refusal_halves_the_limit(limiter):
    limiter.rate_limited(sent_at=1, now=2, retry_after=None)

    assert limiter.available(2) == 8


def test_refusals_of_all_requests_in_flight_count_as_one(limiter):
    for _ in range(16):
        limiter.rate_limited(sent_at=1, now=2, retry_after=None)

    assert limiter.available(2) == 8


def test_a_refusal_of_a_later_request_halves_the_limit_again(limiter):
    limiter.rate_limited(sent_at=1, now=2, retry_after=None)
    limiter.rate_limited(sent_at=2, now=3, retry_after=None)

    assert limiter.available(3) == 4


def test_one_request_is_always_allowed(limiter):
    for now in range(100):
        limiter.rate_limited(sent_at=now, now=now, retry_after=None)

    assert limiter.available(100) == 1


def test_nothing_may_be_sent_during_a_pause_and_the_longest_pause_counts(limiter):
    limiter.rate_limited(sent_at=1, now=10, retry_after=5)
    limiter.rate_limited(sent_at=1, now=11, retry_after=1)

    assert [limiter.available(now) for now in (10, 12, 14.9)] == [0, 0, 0]
    assert limiter.pause_remaining(14) == 1
    assert limiter.available(15) == 8


def test_the_limit_grows_by_one_for_as_many_answers_and_never_beyond_its_start(limiter):
    limiter.rate_limited(sent_at=1, now=1, retry_after=None)

    for _ in range(9):
        limiter.request_succeeded()
    assert limiter.available(2) == 9
    for _ in range(1000):
        limiter.request_succeeded()
    assert limiter.available(2) == 16


def test_two_limiters_of_one_account_converge_on_equal_shares():
    """Each sees only its own refusals; the service allows 24 requests of both together."""
    capacity, one, other = 24, ConcurrencyLimiter(32), ConcurrencyLimiter(32)
    other.window = 2.0

    for now in range(2000):
        for limiter in (one, other):
            for _ in range(int(limiter.window)):
                limiter.request_succeeded()
        if one.window + other.window > capacity:
            one.rate_limited(now, now, None)
            other.rate_limited(now, now, None)

    assert abs(one.window - other.window) < 2
    assert capacity / 3 < one.window + other.window <= capacity


def test_a_pause_that_one_hook_hears_of_stops_the_requests_of_all_hooks(limiter):
    one, other = RateLimitHook(limiter), RateLimitHook(limiter)
    one.before_send()

    one.on_response(ResponseHead(429, {"retry-after": "60"}))

    for hook in (one, other):
        with pytest.raises(RateLimitPaused):
            hook.before_send()
    assert limiter.available(one.sent_at) == 0


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {"retry-after-ms": "60000"}),
        (429, {"x-ratelimit-reset-requests": "1m0s"}),
        (503, {"retry-after": "60"}),
        (529, {"retry-after": "60"}),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}),
        (200, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m"}),
        (200, {"x-ratelimit-remaining": "0", "retry-after": "60"}),
        (200, {"ratelimit": "limit=9, remaining=0, reset=60"}),
        (200, {"ratelimit": '"default";r=0;t=60'}),
    ],
)
def test_a_response_may_ask_for_a_pause_in_many_ways(limiter, status, headers):
    hook = RateLimitHook(limiter)
    hook.before_send()

    hook.on_response(ResponseHead(status, headers))

    assert limiter.paused_until == pytest.approx(hook.sent_at + 60, abs=5)
    with pytest.raises(RateLimitPaused):
        hook.before_send()


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"retry-after": "60"}),
        (429, {}),
        (500, {"retry-after": "60"}),
        (429, {"retry-after": "soon"}),
        (200, {"x-ratelimit-remaining": "1", "x-ratelimit-reset": "60"}),
        (200, {"x-ratelimit-remaining": "0"}),
    ],
)
def test_a_response_that_asks_for_no_pause_stops_no_request(limiter, status, headers):
    hook = RateLimitHook(limiter)

    hook.on_response(ResponseHead(status, headers))

    hook.before_send()
