"""Waits and used-up quotas, in the many forms in which services tell them."""

from datetime import UTC, datetime, timedelta

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.protocols.errors import embedded_error, error_for_status, error_message
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.protocols.limits import (
    limit_error,
    local_time,
    parse_wait,
    requested_wait,
    wait_advice,
    wait_after_answer,
)
from swiftask_jupyter.settings.secrets import Secret

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0.5 ", 0.5),
        ("20s", 20.0),
        ("1m30s", 90.0),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("250ms", 0.25),
        ("1 hour and 5 minutes", 3900.0),
        ("2d", 172_800.0),
        (str(int(NOW.timestamp()) + 60), 60.0),
        (str((int(NOW.timestamp()) + 60) * 1000), 60.0),
        (str(int(NOW.timestamp()) - 60), 0.0),
        ("2026-01-01T00:01:00Z", 60.0),
        ("2026-01-01T01:01:00+01:00", 60.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-1", None),
    ],
)
def test_a_wait_is_a_number_a_duration_a_time_or_a_date(value, seconds):
    assert parse_wait(value, NOW) == seconds


@pytest.mark.parametrize("value", ["1e999", "nan", "inf", "soon", "1 fortnight", "1m30x"])
def test_a_wait_that_cannot_be_read_is_ignored(value):
    assert parse_wait(value) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "7", "x-ratelimit-reset": "60"}, 7),
        ({"x-ratelimit-reset": "60"}, 60),
        ({"x-ratelimit-reset-after": "0.5"}, 0.5),
        ({"x-rate-limit-reset": "60"}, 60),
        ({"ratelimit-reset": "60"}, 60),
        (
            {
                "x-ratelimit-remaining-requests": "9",
                "x-ratelimit-reset-requests": "24h0m0s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            360,
        ),
        ({"x-ratelimit-limit": "60", "date": "Thu, 01 Jan 2026 00:01:00 GMT"}, None),
    ],
)
def test_the_headers_of_a_refusal_tell_the_wait(headers, seconds):
    assert requested_wait(ResponseHead(429, headers)) == seconds


def test_a_date_of_reset_counts_from_now():
    date = datetime.now(UTC) + timedelta(seconds=600)
    headers = {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": date.isoformat(),
    }

    assert requested_wait(ResponseHead(429, headers)) == pytest.approx(600, abs=60)
    assert wait_after_answer(ResponseHead(200, headers)) == pytest.approx(600, abs=60)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached. Please try again in 20s.", 20),
        ("Please try again in 1m30.5s. Visit https://example.org/limits", 90.5),
        ("Requests have exceeded the rate. Please retry after 23 seconds.", 23),
        ("Request was throttled. Expected available in 20 seconds.", 20),
        ("Slow down: please wait for a maximum of 2 minutes", 120),
        ("limit resets in 3h", 10_800),
        ("try again in 250ms", 0.25),
        ('{"error": {"details": [{"retryDelay": "34.5s"}]}}', 34.5),
        ('{"message": "You are being rate limited.", "retry_after": 0.65}', 0.65),
        ('{"error": {"retry_after_ms": 2500}}', 2.5),
        ("try again later", None),
        ("you sent 30 requests in 20 seconds", None),
    ],
)
def test_a_wait_may_be_told_only_in_the_body(text, seconds):
    assert requested_wait(ResponseHead(429, {}), text) == seconds


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, ""),
        (429, '{"error": {"message": "no", "code": "insufficient_quota"}}'),
        (429, "You exceeded your current quota, please check your plan and billing details."),
        (429, '{"error": {"code": "billing_hard_limit_reached"}}'),
        (400, "Your credit balance is too low to access the API"),
        (403, '{"error": {"code": "insufficient_user_quota"}}'),
    ],
)
def test_a_used_up_quota_is_told_by_the_status_the_code_or_the_words(status, body):
    raw = body.encode()

    error = error_for_status(
        ResponseHead(status, {}), error_message(raw), "echo", "check the token", raw
    )

    assert type(error) is errors.QuotaSpent
    assert "check the credits" in str(error)


@pytest.mark.parametrize(
    ("status", "text", "wait", "kind"),
    [
        (429, "you exceeded your current quota, see billing", 34.0, errors.RateLimited),
        (429, "quota exceeded for requests per minute", None, errors.RateLimited),
        (429, "rate limit reached; a subscription allows more", None, errors.RateLimited),
        (429, "insufficient_quota", 1.0, errors.QuotaSpent),
        (400, "unknown field billing", None, None),
        (500, "insufficient_quota", None, None),
    ],
)
def test_words_about_billing_beside_a_wait_are_a_rate_limit(status, text, wait, kind):
    assert limit_error(status, text, wait) is kind


@pytest.mark.parametrize(
    ("body", "kind", "wait"),
    [
        ('{"error": {"message": "Rate limit reached, try again in 20s"}}', "RateLimited", 20),
        ('{"error": {"message": "slow", "code": 429}}', "RateLimited", None),
        ('{"error": {"type": "overloaded_error", "message": "busy"}}', "RateLimited", None),
        ('{"error": {"message": "pay first", "code": 402}}', "QuotaSpent", None),
        ('{"error": {"code": "insufficient_quota", "message": "x"}}', "QuotaSpent", None),
        ('{"error": {"message": "out of memory", "code": 500}}', "ServiceError", None),
    ],
)
def test_an_error_inside_an_answer_may_be_a_limit(body, kind, wait):
    error = embedded_error(Secret("t" * 20), ResponseHead(200, {}), body.encode())

    assert (type(error).__name__, error.retry_after, error.status) == (kind, wait, 200)


def test_a_wait_of_over_an_hour_is_told_as_a_time_of_day():
    assert wait_advice(7) == "try again in 7 s"
    assert wait_advice(None) == "try again later"
    assert wait_advice(7200).startswith(f"try again at {datetime.now().astimezone():%Y}"[:16])
    assert len(local_time(1e12)) >= len("2026-01-01 00:00")
