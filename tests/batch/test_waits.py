"""A service that asks to wait is not asked meanwhile, by any row: not once, at any concurrency."""

import asyncio
import threading

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask
from swiftask_jupyter.batch.limiter import ConcurrencyLimiter, RateLimitPaused, RowHook
from swiftask_jupyter.protocols.errors import Head
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.transport.pool import ConnectionPool
from tests.support.frames import Traffic, asked, misbehave, prompts_of

MANY = (16, 32)
FOR_EVER = {"Retry-After": "86400"}


@pytest.fixture
def box():
    with Sandbox(usage="counted", seed=8) as box:
        yield box


@pytest.fixture
def traffic(monkeypatch):
    return Traffic(monkeypatch)


def rows(count):
    return pd.DataFrame({"n": range(count)})


def stopped_after(client, frame, over, **options):
    """Map a frame until the function returns, then stop it; what was sent counts, no answer."""

    async def stopped():
        mapping = client.map_async(frame, "row {{n}}", progress=False, **options)
        task = asyncio.create_task(mapping)
        await asyncio.to_thread(over)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
    client._thread.close()  # all that was under way has been written down


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("concurrency", MANY)
def test_what_is_under_way_ends_and_nothing_more_leaves(traffic, status, concurrency):
    go_on = threading.Event()

    async def held(messages):
        while not go_on.is_set():  # noqa: ASYNC110 - let go by another thread
            await asyncio.sleep(0.01)
        yield messages[-1]["content"]

    with (
        Sandbox(agents={"held": held}) as box,
        Swiftask(base_url=box.url, token=box.token, agent="held", dialect="openai") as client,
    ):
        box.fail(Fault(status=status, headers=FOR_EVER))

        def over():
            assert traffic.wait_for(lambda: traffic.told)
            assert box.wait_for(lambda: asked(box) == concurrency)
            go_on.set()
            assert box.wait_for(lambda: box.open_streams == 0)
            assert traffic.wait_for(lambda: traffic.heard == concurrency)

        stopped_after(client, rows(200), over, concurrency=concurrency)

        assert asked(box) == concurrency
        assert traffic.sent_while_told_to_wait() == []


@pytest.mark.parametrize("concurrency", MANY)
def test_what_waits_for_its_connection_does_not_leave_on_it(
    client, box, traffic, monkeypatch, concurrency
):
    """The gate is looked at when the connection is there, and not only before."""
    opened, real = [], ConnectionPool._opened

    async def slow(self, *given):
        opened.append(None)
        if len(opened) > 1:
            while not traffic.told:  # noqa: ASYNC110 - noted by a test's hook
                await asyncio.sleep(0.005)
        return await real(self, *given)

    put_off = []
    real_leaving = RowHook.leaving

    def leaving(self):
        try:
            real_leaving(self)
        except RateLimitPaused:
            put_off.append(self)
            traffic.noted()
            raise

    monkeypatch.setattr(ConnectionPool, "_opened", slow)
    monkeypatch.setattr(RowHook, "leaving", leaving)
    box.fail(Fault(status=429, headers=FOR_EVER))

    def over():
        assert traffic.wait_for(lambda: len(put_off) == concurrency - 1)

    stopped_after(client, rows(200), over, concurrency=concurrency)

    assert len(prompts_of(box)) == 1
    # What had not left cost no try, and is sent by the next run.
    ledger = client.usage()
    assert sorted(ledger["attempts"]) == [0] * (concurrency - 1) + [1]
    assert set(ledger["status"]) == {"interrupted"}


@pytest.mark.parametrize("concurrency", MANY)
def test_a_service_at_fault_never_sees_what_left_after_it_said_to_wait(
    client, box, traffic, concurrency
):
    misbehave(box, retry_after="0.1", slow=0.05)
    box.fail(Fault(status=503, headers={"Retry-After": "0.1"}, rate=0.05), times=None)

    out = client.map(rows(300), "row {{n}}", concurrency=concurrency, tries=20, progress=False)

    assert set(out["status"]) <= {"ok", "error"}
    assert len(traffic.told) > 10
    assert traffic.sent_while_told_to_wait() == []
    assert traffic.seen_while_told_to_wait(box) == []


def test_a_row_that_was_put_off_is_sent_when_the_wait_is_over(client, box, traffic):
    box.fail(Fault(status=429, headers={"Retry-After": "0.2"}), times=3)

    out = client.map(rows(40), "row {{n}}", concurrency=16, progress=False)

    assert list(out["status"]) == ["ok"] * 40
    assert len(prompts_of(box)) == 43
    assert traffic.sent_while_told_to_wait() == []


def test_no_file_is_sent_ahead_while_the_service_asks_to_wait(box, traffic, tmp_path):
    """A row's upload is a request like any other."""
    (tmp_path / "a.txt").write_text("a")
    box.fail(Fault(status=429, headers=FOR_EVER))
    frame = rows(50).assign(file=str(tmp_path / "a.txt"))

    def over():
        assert traffic.wait_for(lambda: traffic.told)
        assert box.wait_for(lambda: box.open_streams == 0)

    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client:
        stopped_after(client, frame, over, concurrency=4, files="file")

    assert {seen.method for seen in box.requests} == {"GET", "PUT", "POST"}
    assert traffic.sent_while_told_to_wait() == []


def test_a_gate_closes_the_window_for_all_when_one_row_hears_to_wait():
    window = ConcurrencyLimiter(4)
    one, other = RowHook(window), RowHook(window)
    one.leaving()

    one.heard(Head(429, {"retry-after": "60"}))

    for gate in (one, other):
        with pytest.raises(RateLimitPaused):
            gate.leaving()
    assert window.free(one.left_at) == 0


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"retry-after": "60"}),
        (429, {}),
        (500, {"retry-after": "60"}),
        (429, {"retry-after": "soon"}),
    ],
)
def test_what_asks_nobody_to_wait_leaves_the_gate_open(status, headers):
    gate = RowHook(ConcurrencyLimiter(4))

    gate.heard(Head(status, headers))

    gate.leaving()
