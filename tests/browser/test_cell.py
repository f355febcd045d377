"""The cell magic in JupyterLab and Notebook 7: an answer streams, is stopped, is saved."""

import time

import nbformat
import pytest
from playwright.sync_api import expect

from swiftask_jupyter import Sandbox, Swiftask
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from tests.support.jupyter import App, Notebook
from tests.support.panels import LOAD

pytestmark = pytest.mark.browser

APPS = pytest.mark.parametrize("app", ["lab", "notebook"])
LOREM = "%%swiftask lorem\nhello"
# Another library's task on the kernel's event loop.
TICKING = """
import asyncio
ticks = []
async def tick():
    while True:
        ticks.append(1)
        await asyncio.sleep(.01)
task = asyncio.get_running_loop().create_task(tick())
"""
STILL_TICKING = "n = len(ticks); await asyncio.sleep(.1); (task.done(), len(ticks) > n)"

# Record each text that the output of a cell has.
WATCH = """(index) => {
  const cell = document.querySelectorAll('.jp-NotebookPanel .jp-Cell')[index];
  const states = window.testStates = [];
  new MutationObserver(() => {
    const text = cell.querySelector('.jp-Cell-outputArea')?.innerText ?? '';
    if (text && text !== states.at(-1)) states.push(text);
  }).observe(cell, { subtree: true, childList: true, characterData: true });
}"""
COLOURS = "(parts) => [...new Set(parts.map((part) => getComputedStyle(part).color))]"


def check_formatted(notebook: Notebook, i: int) -> None:
    """Check every kind of formatting in the answer of the agent "lorem"."""
    output = notebook.output(i)
    expect(output.locator("mjx-container")).to_have_count(2)
    expect(output.locator("h1")).to_have_text("The garden at the end of the line")
    expect(output.locator("table tbody tr")).to_have_count(3)
    expect(output.locator("ul ul ul li")).to_have_text("white, the old kind")
    expect(output.locator("ul ol li")).to_have_text(["thyme", "sage"])
    expect(output.locator("blockquote blockquote")).to_have_count(1)
    expect(output.locator("li.task")).to_have_count(3)
    assert (
        output.locator("li.task").evaluate_all(
            "(items) => items.map((item) => getComputedStyle(item).listStyleType)"
        )
        == ["none"] * 3
    )
    assert len(output.locator("pre code, pre code *").evaluate_all(COLOURS)) >= 4
    expect(output.locator("img")).to_have_count(0)
    expect(output.locator(".swiftask-footer")).to_contain_text(" · turn 1")


@APPS
def test_an_answer_streams_and_is_saved_with_its_formatting(
    notebook: Notebook, app: App, env: dict[str, str]
):
    """The saved notebook has the answer and its footer, and shows them when it is opened again."""
    notebook.open("answer.ipynb", [LOAD, LOREM], app=app, env=env)
    notebook.page.evaluate(WATCH, 1)

    notebook.run_all()
    notebook.wait_idle()
    states = notebook.page.evaluate("() => window.testStates")
    check_formatted(notebook, 1)
    notebook.save()

    assert len(set(states)) >= 3
    # Between two updates the newest text may appear twice, so not every text is shorter.
    assert any(len(states[0]) < len(state) < len(states[-1]) for state in states)
    saved = notebook.saved()
    nbformat.validate(saved)
    answer, footer = saved.cells[1].outputs
    assert answer.data.keys() == {"text/html", "text/plain", TURN_MIME_TYPE}
    assert answer.data["text/plain"].startswith("# The garden")
    assert answer.data[TURN_MIME_TYPE]["status"] == "ok"
    assert footer.data["text/plain"].startswith("lorem · ")
    [row] = read_usage()
    assert (row["agent"], row["status"], row["turn"]) == (
        "lorem",
        "ok",
        answer.data[TURN_MIME_TYPE]["turn"],
    )
    assert row["notebook"].endswith("answer.ipynb")

    notebook.open("answer.ipynb", app=app)

    check_formatted(notebook, 1)
    assert len(read_usage()) == 1
    assert notebook.foreign_requests() == []
    assert notebook.page_errors == []


@pytest.mark.parametrize(("app", "rounds"), [("lab", 5), ("notebook", 1)])
def test_the_stop_button_ends_the_stream_and_keeps_the_received_text(
    notebook: Notebook, app: App, rounds: int, box: Sandbox, env: dict[str, str]
):
    """Queued cells do not run, and other tasks on the kernel's event loop continue."""
    cells = ["%%swiftask slow\nhello", "1 + 1", LOAD + TICKING, STILL_TICKING]
    notebook.open("stop.ipynb", [*cells, "%%swiftask echo\nstill here"], app=app, env=env)
    notebook.run_cell(2)
    notebook.wait_idle()

    for done in range(rounds):
        notebook.run_all()
        assert box.wait_for(lambda done=done: len(prompts(box)) == done + 1)
        notebook.wait_text(0, "word5 ")
        assert {notebook.prompt(i) for i in range(5)} == {"[*]:"}
        clicked = time.monotonic()
        notebook.interrupt(by="button")
        seen = prompts(box)[-1]
        assert box.wait_for(lambda seen=seen: seen.disconnected)
        print(f"{app}: {seen.ended - clicked:.3f} s from click to disconnect")  # noqa: T201
        notebook.wait_idle()
        notebook.save()

        assert [notebook.prompt(i) for i in range(1, 5)] == ["[ ]:"] * 4
        answer, footer, error = notebook.saved().cells[0].outputs
        assert answer.data[TURN_MIME_TYPE]["status"] == "interrupted"
        assert answer.data["text/plain"].startswith("word1 word2 ")
        assert " · interrupted · " in footer.data["text/plain"]
        assert error.ename == "Interrupted"
        assert "word5" in notebook.output_text(0)

    for i in (3, 4):
        notebook.run_cell(i)
        notebook.wait_idle()
    assert notebook.output_text(3) == "(False, True)"
    assert notebook.output_text(4).startswith("still here\n")
    assert [row["status"] for row in read_usage()] == ["interrupted"] * rounds + ["ok"]
    assert notebook.page_errors == []


def prompts(box: Sandbox) -> list:
    """Return the prompts that the sandbox received."""
    return [seen for seen in box.requests if seen.method == "POST"]


def read_usage() -> list[dict]:
    """Return the rows of this test's ledger."""
    with Swiftask() as client:
        return client.usage().to_dict("records")
