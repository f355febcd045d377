"""A batch that was stopped, killed or failed in part goes on where it was."""

import os
import signal
import subprocess
import sys
import threading

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from tests.support.frames import (
    Stalling,
    Traffic,
    answered_twice,
    misbehave,
    prompts_of,
    written,
)
from tests.support.kernels import Kernel

CONCURRENCY = 4
MAP = f"""
import sys
import pandas as pd
from swiftask_jupyter import Swiftask
frame = pd.DataFrame({{"n": range(int(sys.argv[1]))}})
with Swiftask(agent=sys.argv[2], dialect="openai") as client:
    client.map(frame, "row {{{{n}}}}", concurrency={CONCURRENCY}, confirm=False)
"""


@pytest.fixture
def box():
    with Sandbox(usage="counted", seed=8) as box:
        yield box


def killed_when(box, ready, rows, agent="echo"):
    """Map in another process, kill it at that moment, and wait for its connections to close."""
    environment = {**os.environ, "SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    process = subprocess.Popen(
        [sys.executable, "-c", MAP, str(rows), agent], env=environment,
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert box.wait_for(ready, timeout=60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert box.wait_for(lambda: box.open_streams == 0)


@pytest.mark.parametrize("count", [3, 70])
def test_after_a_kill_only_what_is_missing_is_sent(count):
    stalling = Stalling(count)
    with (
        Sandbox(usage="counted", agents={"stalling": stalling}) as box,
        Swiftask(base_url=box.url, token=box.token, agent="stalling", dialect="openai") as client,
    ):
        killed_when(
            box, lambda: stalling.left == 0 and box.open_streams == CONCURRENCY, 100, "stalling"
        )
        kept = sum(status == "ok" for _, status in written(client.store))
        before = len(prompts_of(box))
        stalling.go_on()

        out = client.map(pd.DataFrame({"n": range(100)}), "row {{n}}")

        assert count - kept <= CONCURRENCY
        assert list(out["answer"]) == [f"row {n}" for n in range(100)]
        assert len(prompts_of(box)) - before == 100 - kept
        assert answered_twice(client.store) == []
        assert list(client.usage()["status"]).count("lost") >= CONCURRENCY


def test_an_interrupt_ends_it_keeps_what_is_done_and_says_so(client, box, capsys):
    def strike():
        box.wait_for(lambda: box.open_streams == 3, timeout=60)
        signal.raise_signal(signal.SIGINT)

    striker = threading.Thread(target=strike)
    striker.start()
    with pytest.raises(errors.Interrupted, match="stopped; 0 of 20 rows are kept"):
        client.map(pd.DataFrame({"n": range(20)}), "{{n}}", agent="slow", concurrency=3)
    striker.join()

    assert box.wait_for(lambda: box.open_streams == 0)
    assert [status for _, status in written(client.store)] == ["interrupted"] * 3
    shown = capsys.readouterr()
    assert "stopped; 0 of 20 rows are kept" in shown.err
    assert shown.out == "20 rows, 20 to send\nstopped; 0 of 20 rows are kept\n"


def test_a_service_at_fault_is_asked_politely_until_every_row_is_answered(client, box, monkeypatch):
    traffic = Traffic(monkeypatch)
    misbehave(box, slow=0.2)
    frame = pd.DataFrame({"n": range(60)})

    out = client.map(frame, "row {{n}}", concurrency=CONCURRENCY)
    for _ in range(5):
        out = client.map(frame, "row {{n}}", concurrency=CONCURRENCY, retry="errors")

    assert list(out["answer"]) == [f"row {n}" for n in range(60)]
    assert answered_twice(client.store) == []
    assert traffic.told
    assert traffic.sent_while_told_to_wait() == []
    assert traffic.seen_while_told_to_wait(box) == []


STOPPED = """
import pandas as pd
out = swiftask.map(pd.DataFrame({"n": range(40)}), "{{n}}", agent="slow", concurrency=3)
"""
READY = """
%load_ext swiftask_jupyter
from swiftask_jupyter import Swiftask
swiftask = Swiftask(dialect="openai")
"""


def test_stopped_in_a_kernel_the_cell_fails_in_one_line_and_the_kernel_goes_on(box):
    environment = {"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    with Kernel(environment) as kernel:
        assert kernel.run(READY).status == "ok"
        sent, queued = kernel.send(STOPPED), kernel.send("ran = True")
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
