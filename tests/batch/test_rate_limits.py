"""Pauses that a service asks for: no row of a batch is sent during one, at any concurrency."""

import asyncio
import threading

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask
from swiftask_jupyter.batch.limiter import RateLimitHook, RateLimitPaused
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.transport.pool import ConnectionPool
from tests.support.frames import add_random_faults, received_prompts, request_count

MANY = (16, 32)
ONE_DAY = {"Retry-After": "86400"}


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
        box.fail(Fault(status=status, headers=ONE_DAY))

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
    box.fail(Fault(status=429, headers=ONE_DAY))

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
    box.fail(Fault(status=429, headers=ONE_DAY))
    frame = numbered_rows(50).assign(file=str(tmp_path / "a.txt"))

    def wait():
        assert traffic.wait_for(lambda: traffic.pauses)
        assert box.wait_for(lambda: box.open_streams == 0)

    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client:
        map_until(client, frame, wait, concurrency=4, files="file")

    assert {seen.method for seen in box.requests} == {"GET", "PUT", "POST"}
    assert traffic.sent_during_pause() == []
