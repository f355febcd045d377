"""The log of received requests."""

import time

import pytest

from swiftask_jupyter.sandbox.request_log import RecordedRequest, RequestLog
from tests.support.sandbox_requests import COMPLETIONS, HELLO


def recorded(body=b""):
    return RecordedRequest("POST", "/", "", {}, body, time.monotonic())


def test_a_request_is_recorded_with_its_times(box, account):
    account.post(COMPLETIONS + "?a=1", json=HELLO, headers={"X-Mine": "yes"})
    request = box.requests[-1]

    assert (request.method, request.path, request.query) == ("POST", COMPLETIONS, "a=1")
    assert request.headers["x-mine"] == "yes"
    assert request.json == HELLO
    assert box.wait_for(lambda: request.ended is not None)
    assert request.arrived <= request.first_byte <= request.ended
    assert (request.status, request.disconnected) == (200, False)


def test_wait_for_returns_after_its_timeout(box):
    started = time.monotonic()

    assert box.wait_for(lambda: False, timeout=0.05) is False
    assert time.monotonic() - started >= 0.05


def test_the_log_keeps_the_newest_requests(monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.sandbox.request_log.MAX_REQUESTS", 2)
    log, requests = RequestLog(), [recorded() for _ in range(3)]
    for each in requests:
        log.add(each)

    assert log.snapshot() == requests[1:]


def test_the_log_is_limited_in_bytes_but_keeps_the_last_request(monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.sandbox.request_log.MAX_BYTES", 10)
    log, requests = RequestLog(), [recorded(b"6bytes"), recorded(b"6bytes"), recorded(bytes(20))]
    for each in requests:
        log.add(each)
        assert log.snapshot() == [each]


def test_an_update_wakes_a_thread_that_waits(box):
    log, request = RequestLog(), recorded()
    log.add(request)
    log.response_started()
    assert log.open_count == 1

    log.update(request, status=200)
    log.response_ended()
    assert log.wait_for(lambda: request.status, timeout=1) == 200
    assert log.open_count == 0


def test_a_body_that_is_not_json_raises_value_error():
    with pytest.raises(ValueError, match="Expecting value"):
        _ = recorded(b"nonsense").json
