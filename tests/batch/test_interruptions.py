"""Batches that were killed, interrupted or failed in part: the next run sends what is missing."""

import signal
import threading

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from tests.support.frames import (
    CONCURRENCY,
    StallingAgent,
    add_random_faults,
    kill_batch_when,
    prompts_answered_twice,
    received_prompts,
    recorded_prompts,
)
from tests.support.kernels import Kernel


@pytest.mark.parametrize("count", [3, 70])
def test_after_a_kill_the_next_run_sends_only_the_missing_rows(count):
    stalling = StallingAgent(count)
    with (
        Sandbox(usage="counted", agents={"stalling": stalling}) as box,
        Swiftask(base_url=box.url, token=box.token, agent="stalling", dialect="openai") as client,
    ):
        kill_batch_when(
            box, lambda: stalling.left == 0 and box.open_streams == CONCURRENCY, 100, "stalling"
        )
        kept = sum(status == "ok" for _, status in recorded_prompts(client.store))
        before = len(received_prompts(box))
        stalling.release()

        out = client.map(pd.DataFrame({"n": range(100)}), "row {{n}}")

        assert count - kept <= CONCURRENCY
        assert list(out["answer"]) == [f"row {n}" for n in range(100)]
        assert len(received_prompts(box)) - before == 100 - kept
        assert prompts_answered_twice(client.store) == []
        assert list(client.usage()["status"]).count("lost") >= CONCURRENCY


def test_an_interrupt_ends_the_batch_and_counts_the_rows_that_are_kept(client, box, capsys):
    def interrupt():
        box.wait_for(lambda: box.open_streams == 3, timeout=60)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(errors.Interrupted, match="stopped; 0 of 20 rows are kept"):
        client.map(pd.DataFrame({"n": range(20)}), "{{n}}", agent="slow", concurrency=3)
    thread.join()

    assert box.wait_for(lambda: box.open_streams == 0)
    assert [status for _, status in recorded_prompts(client.store)] == ["interrupted"] * 3
    shown = capsys.readouterr()
    assert "stopped; 0 of 20 rows are kept" in shown.err
    assert shown.out == "20 rows, 20 to send\nstopped; 0 of 20 rows are kept\n"


def test_every_row_is_answered_after_some_runs_against_a_failing_service(client, box, traffic):
    add_random_faults(box, slow=0.2)
    frame = pd.DataFrame({"n": range(60)})

    out = client.map(frame, "row {{n}}", concurrency=CONCURRENCY)
    for _ in range(5):
        out = client.map(frame, "row {{n}}", concurrency=CONCURRENCY, retry="errors")

    assert list(out["answer"]) == [f"row {n}" for n in range(60)]
    assert prompts_answered_twice(client.store) == []
    assert traffic.pauses
    assert traffic.sent_during_pause() == []
    assert traffic.received_during_pause(box) == []


BATCH = """
import pandas as pd
out = swiftask.map(pd.DataFrame({"n": range(40)}), "{{n}}", agent="slow", concurrency=3)
"""
SETUP = """
%load_ext swiftask_jupyter
from swiftask_jupyter import Swiftask
swiftask = Swiftask(dialect="openai")
"""


def test_an_interrupted_cell_fails_in_one_line_and_the_kernel_goes_on(box):
    environment = {"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    with Kernel(environment) as kernel:
        assert kernel.run(SETUP).status == "ok"
        sent, queued = kernel.send(BATCH), kernel.send("ran = True")
        assert box.wait_for(lambda: box.open_streams == 3, timeout=60)

        kernel.interrupt()

        ran = kernel.finish(sent)
        assert ran.error == (
            "Interrupted: stopped; 0 of 40 rows are kept; run it again for the rest"
        )
        assert box.wait_for(lambda: box.open_streams == 0)
        assert kernel.finish(queued).status == "aborted"
        after = kernel.run('swiftask.ask("still here", agent="echo").text')
        assert after.texts() == ["'still here'"]
