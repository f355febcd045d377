"""A batch in JupyterLab: its progress bar, the stop button, and the same cell run again."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from swiftask_jupyter import Sandbox
from tests.support.frames import StallingAgent
from tests.support.jupyter import Notebook

pytestmark = pytest.mark.browser

ROWS, CONCURRENCY = 120, 4
MADE = """
import pandas as pd
from swiftask_jupyter import Swiftask
swiftask = Swiftask(agent="stalling", dialect="openai")
"""
MAP = f"""
out = swiftask.map(pd.DataFrame({{"n": range({ROWS})}}), "row {{{{n}}}}", concurrency={CONCURRENCY})
out["status"].value_counts().to_dict()
"""


@pytest.fixture
def stalling() -> StallingAgent:
    return StallingAgent(20)


@pytest.fixture
def box(stalling: StallingAgent) -> Iterator[Sandbox]:
    with Sandbox(agents={"stalling": stalling}) as box:
        yield box


def test_the_stop_button_ends_a_batch_and_running_the_cell_again_completes_it(
    notebook: Notebook, box: Sandbox, env: dict[str, str], stalling: StallingAgent
) -> None:
    notebook.open("rows.ipynb", [MADE, MAP], env=env)
    notebook.run_cell(0)
    notebook.wait_idle()
    notebook.run_cell(1)
    assert box.wait_for(lambda: not stalling.left and box.open_streams == CONCURRENCY, timeout=60)

    pressed = time.monotonic()
    notebook.interrupt()
    notebook.wait_idle()
    took = time.monotonic() - pressed

    assert box.wait_for(lambda: box.open_streams == 0)
    expect(notebook.output(1)).to_contain_text("Interrupted: stopped; 20")
    expect(notebook.output(1)).to_contain_text(f" of {ROWS} rows are kept; run it again")
    expect(notebook.output(1).locator(".jupyter-widgets").first).to_contain_text("stopped; ")
    stalling.release()
    notebook.run_cell(1)
    notebook.wait_idle()
    expect(notebook.output(1)).to_contain_text(f"{{'ok': {ROWS}}}")
    expect(notebook.output(1)).to_contain_text("answered before")
    assert len(box.requests) <= ROWS + CONCURRENCY
    print(f"from the press of the button to an idle kernel: {took:.2f} s")  # noqa: T201
