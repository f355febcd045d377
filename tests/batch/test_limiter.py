"""How many requests may be under way: halved when refused, and grown back."""

import pytest

from swiftask_jupyter.batch.limiter import ConcurrencyLimiter


@pytest.fixture
def window():
    return ConcurrencyLimiter(16)


def test_a_window_begins_at_its_limit_and_counts_what_is_under_way(window):
    for _ in range(10):
        window.leave()

    assert window.free(0) == 6
    window.ended()
    assert window.free(0) == 7


def test_a_refusal_halves_it(window):
    window.refused(left_at=1, now=2, retry_after=None)

    assert window.free(2) == 8


def test_a_whole_window_refused_at_once_counts_as_one_refusal(window):
    for _ in range(16):
        window.refused(left_at=1, now=2, retry_after=None)

    assert window.free(2) == 8


def test_a_refusal_of_what_left_after_the_cut_halves_it_again(window):
    window.refused(left_at=1, now=2, retry_after=None)
    window.refused(left_at=2, now=3, retry_after=None)

    assert window.free(3) == 4


def test_it_never_closes_for_good(window):
    for at in range(100):
        window.refused(left_at=at, now=at, retry_after=None)

    assert window.free(100) == 1


def test_nothing_leaves_while_the_service_asks_to_wait_whoever_it_told(window):
    window.refused(left_at=1, now=10, retry_after=5)
    window.refused(left_at=1, now=11, retry_after=1)

    assert [window.free(now) for now in (10, 12, 14.9)] == [0, 0, 0]
    assert window.closed_for(14) == 1
    assert window.free(15) == 8


def test_it_grows_by_one_for_each_window_of_answers_and_never_past_its_limit(window):
    window.refused(left_at=1, now=1, retry_after=None)

    for _ in range(9):
        window.answered()
    assert window.free(2) == 9
    for _ in range(1000):
        window.answered()
    assert window.free(2) == 16


def test_two_windows_on_one_account_come_to_share_it_evenly():
    """Each sees only its own refusals; together they may have so many at once."""
    capacity, one, other = 24, ConcurrencyLimiter(32), ConcurrencyLimiter(32)
    other.size = 2.0

    for now in range(2000):
        for window in (one, other):
            for _ in range(int(window.size)):
                window.answered()
        if one.size + other.size > capacity:
            one.refused(now, now, None)
            other.refused(now, now, None)

    assert abs(one.size - other.size) < 2
    assert capacity / 3 < one.size + other.size <= capacity
