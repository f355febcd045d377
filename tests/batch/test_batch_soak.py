"""Long batches: a service at fault, twenty kills, a hundred thousand rows."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask
from tests.batch.test_resumed import CONCURRENCY, killed_when
from tests.support.frames import Traffic, answered_twice, asked, misbehave, written

pytestmark = pytest.mark.soak

SEED = 20_251_124
# Resident memory over what the rows themselves and their answers hold, as it is while they run.
MEASURED = """
import sys, threading
import pandas as pd
from swiftask_jupyter import Swiftask
rows, peak, over = int(sys.argv[1]), 0, threading.Event()
def resident():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * 4096
def watch():
    global peak
    while not over.wait(0.05):
        peak = max(peak, resident())
with Swiftask(agent="echo", dialect="openai") as client:
    def run(rows, word):
        frame = pd.DataFrame({"n": range(rows)})
        out = client.map(frame, word + " {{n}}", concurrency=32, confirm=False, progress=False)
        assert (out["status"] == "ok").all()
    run(1000, "warm")
    threading.Thread(target=watch, daemon=True).start()
    import time
    before, cpu = resident(), time.process_time()
    run(rows, "row")
    print((peak - before) / rows, (time.process_time() - cpu) / rows)
"""


@pytest.fixture
def box():
    with Sandbox(usage="counted", seed=SEED) as box:
        yield box


@pytest.fixture
def client(box):
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as client:
        yield client


@pytest.mark.parametrize("concurrency", [16, 32])
def test_a_thousand_rows_of_a_service_at_fault_are_answered_after_two_more_runs(
    client, box, monkeypatch, concurrency
):
    traffic = Traffic(monkeypatch)
    misbehave(box)
    frame, runs = pd.DataFrame({"n": range(1000)}), 1

    out = client.map(frame, "row {{n}}", concurrency=concurrency)
    while runs < 3 and not (out["status"] == "ok").all():
        out = client.map(frame, "row {{n}}", concurrency=concurrency, retry="errors")
        runs += 1

    assert list(out["answer"]) == [f"row {n}" for n in range(1000)]
    assert answered_twice(client.store) == []
    assert traffic.sent_while_told_to_wait() == []
    assert traffic.seen_while_told_to_wait(box) == []
    print(f"{runs} runs, {len(traffic.sent)} requests, {len(traffic.told)} waits, none sent in any")  # noqa: T201


def test_twenty_kills_at_random_moments_lose_no_row_and_no_more_answers_than_were_under_way(
    client, box
):
    # So many that a kill which comes late still comes before the end.
    chance, lost, rows = random.Random(SEED), [], 2000
    for _ in range(20):
        before = len(box.requests)
        kept = sum(status == "ok" for _, status in written(client.store)) if before else 0
        moment = asked(box) + chance.randint(1, 50)
        killed_when(box, lambda moment=moment: asked(box) >= moment, rows)
        answered = sum(
            seen.status == 200 and not seen.disconnected for seen in box.requests[before:]
        )
        now = sum(status == "ok" for _, status in written(client.store))
        lost.append(answered - (now - kept))

    out = client.map(pd.DataFrame({"n": range(rows)}), "row {{n}}", confirm=False)

    assert list(out["answer"]) == [f"row {n}" for n in range(rows)]
    assert answered_twice(client.store) == []
    assert max(lost) <= CONCURRENCY
    assert asked(box) <= rows + 20 * CONCURRENCY
    print(f"answers lost by each kill, {CONCURRENCY} at once: {lost}")  # noqa: T201


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_a_hundred_thousand_rows_take_what_their_answers_take_and_no_more_time_each(box, tmp_path):
    environment = {**os.environ, "SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    taken = {}
    for rows in (5_000, 100_000):
        environment["SWIFTASK_STORE"] = str(tmp_path / f"{rows}.db")
        ran = subprocess.run(
            [sys.executable, "-c", MEASURED, str(rows)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr[-2000:]
        taken[rows] = [float(word) for word in ran.stdout.split()]
        print(f"{rows:,} rows: {taken[rows][0]:.0f} bytes, {taken[rows][1] * 1000:.2f} ms CPU each")  # noqa: T201

    assert taken[100_000][0] < 2_500  # an outcome, its digest, its cells in the frame
    assert taken[100_000][1] < 1.5 * taken[5_000][1]  # CPU, in one run: no quadratic step
