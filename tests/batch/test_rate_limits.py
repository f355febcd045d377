"""Pauses that a service asks for: no row of a batch is sent during one, at any concurrency."""

import asyncio
import re
import threading
from datetime import datetime

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.batch.limiter import RateLimitHook, RateLimitPaused
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.transport.pool import ConnectionPool
from tests.support.frames import add_random_faults, received_prompts, request_count
from tests.support.servers import ANSWER, RawServer

MANY = (16, 32)
HALF_AN_HOUR = {"Retry-After": "1800"}


def numbered_rows(count):
    return pd.DataFrame({"n": range(count)})


def map_until(client, frame, wait, **options):
    """Run a batch until the function `wait` returns, and then stop it."""

    async def run():
        mapping = client.map_async(frame, "row {{n}}", progress=False, **options)
        task = asyncio.create_task(mapping)
        await asyncio.to_thread(wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    client.connections.thread.close()  # the ledger has all turns after this


def test_no_row_is_sent_during_the_pause_that_a_response_asks_for(client, box):
    box.fail(Fault(status=429, headers={"Retry-After": "1"}))

    out = client.map(pd.DataFrame({"n": range(5)}), "say {{n}}", concurrency=1)

    refused, *others = box.requests
    assert list(out["status"]) == ["ok"] * 5
    assert min(other.arrived for other in others) >= refused.first_byte + 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("concurrency", MANY)
def test_in_a_pause_requests_in_flight_end_and_no_other_is_sent(traffic, status, concurrency):
    released = threading.Event()

    async def held(messages):
        while not released.is_set():  # noqa: ASYNC110 - another thread releases it
            await asyncio.sleep(0.01)
        yield messages[-1]["content"]

    with (
        Sandbox(agents={"held": held}) as box,
        Swiftask(base_url=box.url, token=box.token, agent="held", dialect="openai") as client,
    ):
        box.fail(Fault(status=status, headers=HALF_AN_HOUR))

        def wait():
            assert traffic.wait_for(lambda: traffic.pauses)
            assert box.wait_for(lambda: request_count(box) == concurrency)
            released.set()
            assert box.wait_for(lambda: box.open_streams == 0)
            assert traffic.wait_for(lambda: traffic.heads == concurrency)

        map_until(client, numbered_rows(200), wait, concurrency=concurrency)

        assert request_count(box) == concurrency
        assert traffic.sent_during_pause() == []


@pytest.mark.parametrize("concurrency", MANY)
def test_a_request_that_waits_for_its_connection_is_not_sent_in_a_pause(
    client, box, traffic, monkeypatch, concurrency
):
    """The hook is called when the connection is open, and not only before."""
    opened, real = [], ConnectionPool._open

    async def slow(self, *given):
        opened.append(None)
        if len(opened) > 1:
            while not traffic.pauses:  # noqa: ASYNC110 - a hook on the I/O thread records it
                await asyncio.sleep(0.005)
        return await real(self, *given)

    paused = []
    original = RateLimitHook.before_send

    def before_send(self):
        try:
            original(self)
        except RateLimitPaused:
            paused.append(self)
            traffic.notify()
            raise

    monkeypatch.setattr(ConnectionPool, "_open", slow)
    monkeypatch.setattr(RateLimitHook, "before_send", before_send)
    box.fail(Fault(status=429, headers=HALF_AN_HOUR))

    def wait():
        assert traffic.wait_for(lambda: len(paused) == concurrency - 1)

    map_until(client, numbered_rows(200), wait, concurrency=concurrency)

    assert len(received_prompts(box)) == 1
    # A request that was not sent is no attempt, and the next run sends it.
    ledger = client.usage()
    assert sorted(ledger["attempts"]) == [0] * (concurrency - 1) + [1]
    assert set(ledger["status"]) == {"interrupted"}


@pytest.mark.parametrize("concurrency", MANY)
def test_a_failing_service_receives_no_request_during_a_pause(client, box, traffic, concurrency):
    add_random_faults(box, retry_after="0.1", slow=0.05)
    box.fail(Fault(status=503, headers={"Retry-After": "0.1"}, probability=0.05), times=None)

    out = client.map(
        numbered_rows(300), "row {{n}}", concurrency=concurrency, tries=20, progress=False
    )

    assert set(out["status"]) <= {"ok", "error"}
    assert len(traffic.pauses) > 10
    assert traffic.sent_during_pause() == []
    assert traffic.received_during_pause(box) == []


def test_a_row_that_was_held_back_is_sent_after_the_pause(client, box, traffic):
    box.fail(Fault(status=429, headers={"Retry-After": "0.2"}), times=3)

    out = client.map(numbered_rows(40), "row {{n}}", concurrency=16, progress=False)

    assert list(out["status"]) == ["ok"] * 40
    assert len(received_prompts(box)) == 43
    assert traffic.sent_during_pause() == []


def test_no_file_is_uploaded_during_a_pause(box, traffic, tmp_path):
    """The upload of a row's file is a request like any other."""
    (tmp_path / "a.txt").write_text("a")
    box.fail(Fault(status=429, headers=HALF_AN_HOUR))
    frame = numbered_rows(50).assign(file=str(tmp_path / "a.txt"))

    def wait():
        assert traffic.wait_for(lambda: traffic.pauses)
        assert box.wait_for(lambda: box.open_streams == 0)

    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client:
        map_until(client, frame, wait, concurrency=4, files="file")

    assert {seen.method for seen in box.requests} == {"GET", "PUT", "POST"}
    assert traffic.sent_during_pause() == []


LONG = (
    {"Retry-After": "7200"},
    {"X-RateLimit-Reset": "2h"},
    {"retry-after-ms": "7200000"},
)


def long_wait(caught):
    """Check that an error says when to go on; return how long that is, in hours."""
    ends = datetime.fromisoformat(re.search(r"until (\d+-\d+-\d+ \d+:\d+)", str(caught.value))[1])
    assert "run the batch again then" in str(caught.value)
    return (ends - datetime.now()).total_seconds() / 3600  # noqa: DTZ005 - the local time is shown


@pytest.mark.parametrize("headers", LONG, ids=lambda each: next(iter(each)))
@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_wait_of_over_an_hour_ends_the_batch_and_says_when_to_go_on(client, box, headers, status):
    box.fail(Fault(status=status, headers=headers, message="too many today"))

    with pytest.raises(errors.RateLimited, match="too many today") as caught:
        client.map(numbered_rows(20), "row {{n}}", concurrency=1, progress=False)

    assert 1.5 < long_wait(caught) < 2.5
    assert len(received_prompts(box)) == 1
    out = client.map(numbered_rows(20), "row {{n}}", progress=False)
    assert list(out["status"]) == ["ok"] * 20


def test_a_long_wait_that_is_told_only_in_words_ends_the_batch(client, box):
    box.fail(Fault(status=429, message="limit reached, try again in 2h0m1s"))

    with pytest.raises(errors.RateLimited) as caught:
        client.map(numbered_rows(5), "row {{n}}", concurrency=1, progress=False)

    assert 1.5 < long_wait(caught) < 2.5
    assert len(received_prompts(box)) == 1


def answers_with(*headers):
    """Return a `serve` function whose answers have these headers, one text for each answer."""
    rest = iter(headers)

    def serve(server, connection):
        while server.read_request(connection) is not None:
            extra = next(rest, "").encode()
            connection.sendall(ANSWER.replace(b"OK\r\n", b"OK\r\n" + extra, 1))

    return serve


def batch_of(server, rows):
    with Swiftask(base_url=server.url, token="t" * 30, agent="echo", dialect="openai") as client:
        return client.map(numbered_rows(rows), "row {{n}}", concurrency=1, progress=False)


def test_no_row_is_sent_until_the_limit_that_an_answer_used_up_is_reset(traffic):
    spent = "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 0.3\r\n"

    with RawServer(answers_with(spent)) as server:
        out = batch_of(server, 3)

    assert list(out["status"]) == ["ok"] * 3
    (_, first), (_, second), _ = traffic.sent
    assert second >= first + 0.3


def test_a_limit_that_the_last_answer_used_up_delays_nothing():
    spent = "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 50m\r\n"

    with RawServer(answers_with("", "", spent)) as server:
        out = batch_of(server, 3)

    assert list(out["status"]) == ["ok"] * 3


def test_a_limit_that_an_answer_used_up_for_hours_ends_the_batch():
    spent = "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 2h\r\n"

    with (
        RawServer(answers_with("", spent)) as server,
        pytest.raises(errors.RateLimited) as caught,
    ):
        batch_of(server, 5)

    assert 1.5 < long_wait(caught) < 2.5
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=402, message="payment required"),
        Fault(status=429, message="You exceeded your current quota, check your billing details"),
        Fault(status=429, body='{"error": {"message": "no", "code": "insufficient_quota"}}'),
        Fault(body='data: {"error": {"code": "insufficient_quota"}}\n\n',
              content_type="text/event-stream"),
    ],
    ids=["402", "words", "code", "stream"],
)  # fmt: skip
def test_a_used_up_quota_ends_the_batch_and_the_next_run_sends_the_rest(client, box, fault):
    box.fail(fault, times=None)

    with pytest.raises(errors.QuotaSpent, match="check the credits"):
        client.map(numbered_rows(20), "row {{n}}", concurrency=2, progress=False)

    assert len(received_prompts(box)) <= 2
    box.clear_faults()
    out = client.map(numbered_rows(20), "row {{n}}", progress=False)
    assert list(out["status"]) == ["ok"] * 20


def test_a_rate_limit_inside_an_answer_pauses_the_batch(client, box, traffic):
    error = '{"error": {"message": "Rate limit reached, try again in 300ms", "code": 429}}'
    box.fail(Fault(body=f"data: {error}\n\n", content_type="text/event-stream"))

    out = client.map(numbered_rows(5), "row {{n}}", concurrency=1, progress=False)

    assert list(out["status"]) == ["ok"] * 5
    assert sorted(out["attempts"]) == [1, 1, 1, 1, 2]
    first, second = box.requests[:2]
    assert second.arrived >= first.first_byte + 0.3
