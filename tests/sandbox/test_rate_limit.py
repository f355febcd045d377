"""The hourly limit of `/v1/api/chat/{slug}`, and the headers that report it."""

import time

import pytest

from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.rate_limit import HourlyRateLimiter
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import ask_chat, chat_error, http_client


def limits(response):
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    return [int(response.headers[name]) for name in names]


def test_every_response_reports_what_is_left_of_1000_requests_per_hour(box, account):
    before = time.time()
    responses = [
        ask_chat(account),
        ask_chat(account, stream=True),
        ask_chat(account, "nobody"),
        ask_chat(account, stream=3),
    ]
    responses.append(account.get("/v1/api/chat/echo"))
    with http_client(box, "wrong") as other:
        responses.append(ask_chat(other))

    assert [each.status_code for each in responses] == [200, 200, 404, 400, 405, 401]
    assert [limits(each)[:2] for each in responses] == [
        [1000, left] for left in (999, 998, 997, 996, 996, 996)
    ]
    (reset,) = {limits(each)[2] for each in responses}
    assert before + 3590 < reset < time.time() + 3601


def test_a_used_up_limit_is_status_429_without_retry_after():
    with Sandbox(rate_limit=2) as box, http_client(box) as client:
        responses = [ask_chat(client) for _ in range(4)]

    assert [each.status_code for each in responses] == [200, 200, 429, 429]
    assert [limits(each)[1] for each in responses] == [1, 0, 0, 0]
    assert chat_error(responses[2])[0] == "RateLimitError"
    assert "retry-after" not in responses[2].headers


def test_the_limit_is_reset_after_its_hour():
    with Sandbox(rate_limit=1) as box, http_client(box) as client:
        assert [ask_chat(client).status_code for _ in range(2)] == [200, 429]
        box._state.rate_limit._resets_at = 0.0
        assert ask_chat(client).status_code == 200


def test_the_limit_applies_to_the_chat_dialect_only():
    with Sandbox(rate_limit=0) as box, http_client(box) as client:
        native = client.post("/api/ai/echo", json={"input": "x"})
        assert ask_chat(client).status_code == 429

    assert native.status_code == 200
    assert "x-ratelimit-limit" not in native.headers


def test_a_negative_limit_is_refused_at_once():
    with pytest.raises(ValueError, match="rate_limit"):
        Sandbox(rate_limit=-1)


def test_a_fault_can_lower_the_limit(box, account):
    ask_chat(account)
    box.fail(Fault(rate_limit=1), times=2)
    refused = [ask_chat(account), ask_chat(account)]

    assert [each.status_code for each in refused] == [429, 429]
    assert limits(refused[0])[:2] == [1, 0]
    assert limits(ask_chat(account))[:2] == [1000, 998]


def test_a_fault_can_set_the_headers_itself(box, account):
    headers = {"X-RateLimit-Reset": "1700000000", "Retry-After": "7"}
    box.fail(Fault(status=429, headers=headers))
    response = ask_chat(account)

    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
    assert limits(response)[2] == 1700000000


def test_the_hour_begins_with_the_first_request():
    limit = HourlyRateLimiter(2)
    before = time.time()
    taken = [limit.take() for _ in range(3)]

    assert taken == [True, True, False]
    assert limit.headers()["X-RateLimit-Remaining"] == "0"
    assert before + 3599 <= int(limit.headers()["X-RateLimit-Reset"]) <= time.time() + 3601
