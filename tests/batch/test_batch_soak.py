"""Long batches: a failing service, twenty kills, and a hundred thousand rows."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.support.frames import (
    CONCURRENCY,
    add_random_faults,
    kill_batch_when,
    prompts_answered_twice,
    recorded_prompts,
    request_count,
)

SEED = 20_251_124
pytestmark = [pytest.mark.soak, pytest.mark.parametrize("box", [SEED], indirect=True)]

# Prints the peak of resident memory during a batch, beyond what was resident before, and the CPU
# time: bytes and seconds per row.
MEASUREMENT = """
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


@pytest.mark.parametrize("concurrency", [16, 32])
def test_a_thousand_rows_are_answered_after_at_most_three_runs_against_a_failing_service(
    client, box, traffic, concurrency
):
    add_random_faults(box)
    frame, runs = pd.DataFrame({"n": range(1000)}), 1

    out = client.map(frame, "row {{n}}", concurrency=concurrency)
    while runs < 3 and not (out["status"] == "ok").all():
        out = client.map(frame, "row {{n}}", concurrency=concurrency, retry="errors")
        runs += 1

    assert list(out["answer"]) == [f"row {n}" for n in range(1000)]
    assert prompts_answered_twice(client.store) == []
    assert traffic.sent_during_pause() == []
    assert traffic.received_during_pause(box) == []
    counts = f"{runs} runs, {len(traffic.sent)} requests, {len(traffic.pauses)} pauses"
    print(f"{counts}, no request in any")  # noqa: T201


def test_a_kill_loses_no_more_answers_than_there_were_requests_in_flight(client, box):
    # So many rows that even a late kill comes before the end of the batch.
    chance, lost, rows = random.Random(SEED), [], 2000
    for _ in range(20):
        before = len(box.requests)
        kept = sum(status == "ok" for _, status in recorded_prompts(client.store)) if before else 0
        moment = request_count(box) + chance.randint(1, 50)
        kill_batch_when(box, lambda moment=moment: request_count(box) >= moment, rows)
        answered = sum(
            seen.status == 200 and not seen.disconnected for seen in box.requests[before:]
        )
        now = sum(status == "ok" for _, status in recorded_prompts(client.store))
        lost.append(answered - (now - kept))

    out = client.map(pd.DataFrame({"n": range(rows)}), "row {{n}}", confirm=False)

    assert list(out["answer"]) == [f"row {n}" for n in range(rows)]
    assert prompts_answered_twice(client.store) == []
    assert max(lost) <= CONCURRENCY
    assert request_count(box) <= rows + 20 * CONCURRENCY
    print(f"answers lost by each kill, {CONCURRENCY} at once: {lost}")  # noqa: T201


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_memory_and_cpu_of_a_row_do_not_grow_with_the_number_of_rows(box, tmp_path):
    environment = {**os.environ, "SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    taken = {}
    for rows in (5_000, 100_000):
        environment["SWIFTASK_STORE"] = str(tmp_path / f"{rows}.db")
        ran = subprocess.run(
            [sys.executable, "-c", MEASUREMENT, str(rows)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr[-2000:]
        taken[rows] = [float(word) for word in ran.stdout.split()]
        print(f"{rows:,} rows: {taken[rows][0]:.0f} bytes, {taken[rows][1] * 1000:.2f} ms CPU each")  # noqa: T201

    assert taken[100_000][0] < 2_500  # bytes: an outcome, its digest, its cells in the frame
    assert taken[100_000][1] < 1.5 * taken[5_000][1]  # no step is quadratic
