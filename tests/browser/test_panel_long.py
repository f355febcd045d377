"""The chat panel in other front ends, under load, with large files and long conversations."""

from pathlib import Path
from urllib.parse import quote

import pytest
from nbformat import v4, write
from playwright.sync_api import expect

from swiftask_jupyter import Sandbox, Swiftask
from tests.support.hostility import block_other_hosts
from tests.support.jupyter import Notebook
from tests.support.panels import (
    CHAT,
    CLIENT,
    DROP_FILES,
    RUN_UNTIL_GO,
    SHOW_PANEL,
    WAIT,
    Panel,
    show_panel,
    violations,
)

pytestmark = [pytest.mark.browser, pytest.mark.soak]

IPYKERNEL_6 = Path(__file__).parents[2] / ".venv" / "ipykernel6" / "bin" / "python"
FLOOD = """import ipywidgets, threading
bar = ipywidgets.IntProgress(max=10**6)
display(bar)
n = 0
while panel.chat.in_flight:
    n += 1
    bar.comm.send({"method": "update", "state": {"value": n}})
print("moved", n > 1000)"""
MANY = """session = client.session()
for n in range(500):
    session.ask(f"question {n}", "echo", fresh=True)"""
LONG = """import time
block = "## {0}\\n\\nsome *words*\\n\\n```python\\nn = {0}\\n```\\n\\n| a |\\n|---|\\n| {0} |"
blocks = [block.format(n) for n in range(70)]
items = [f"- item {n}\\n  - in it" for n in range(300)]
rows = ["| a | b |", "|---|---|", *(f"| {n} | `b` |" for n in range(300))]
panel.ask("\\n\\n".join([*blocks, "\\n".join(items), "\\n".join(rows), "the end"]), "echo")
while panel.chat.in_flight:
    time.sleep(.01)"""
TEXT = "() => [...document.querySelectorAll('.st-body')].map((each) => each.textContent)"


def test_the_panel_works_in_notebook_7(notebook: Notebook, env: dict[str, str], axe: str):
    """It streams, stops while a cell runs, inserts a cell, and is accessible."""
    notebook.open("seven.ipynb", [f"{CHAT} slow", RUN_UNTIL_GO], app="notebook", env=env)
    panel = show_panel(notebook)
    notebook.run_cell(1)
    panel.ask("go")
    expect(panel.answers).to_contain_text("word5 ")
    panel.button("Stop").click()
    panel.ended()
    assert notebook.prompt(1) == "[*]:"
    (notebook.folder / "go").touch()
    notebook.wait_idle()

    panel.choose("echo")
    panel.ask("```python\n1 + 1\n```")
    panel.ended(2)
    panel.button("Insert as a cell below").click()

    inserted = notebook.page.locator(".jp-Notebook .jp-Cell").nth(1).locator(".cm-content")
    expect(inserted).to_have_text("1 + 1")
    assert violations(notebook.page, axe) == []
    assert notebook.page_errors == []


@pytest.mark.skipif(
    not IPYKERNEL_6.exists(), reason="`make soak` makes an older kernel's environment"
)
def test_without_subshells_stop_says_that_the_kernel_is_busy(
    notebook: Notebook, env: dict[str, str]
):
    """The kernel receives the request when its cell has ended."""
    notebook.open("older.ipynb", [f"{CHAT} slow", RUN_UNTIL_GO], env=env, python=str(IPYKERNEL_6))
    panel = show_panel(notebook)
    panel.ask("go")
    expect(panel.answers).to_contain_text("word2 ")
    notebook.run_cell(1)

    panel.button("Stop").click()

    expect(panel.button("Stopping: kernel busy")).to_be_visible()
    expect(panel.banner).to_contain_text("kernel busy")
    (notebook.folder / "go").touch()
    notebook.wait_idle()
    panel.ended()
    expect(panel.footers).to_contain_text("interrupted")
    expect(panel.banner).to_be_hidden()


def test_code_is_inserted_only_into_a_new_cell(notebook: Notebook, env: dict[str, str]):
    """In an untrusted notebook JupyterLab asks first; after a refusal nothing is inserted."""
    notebook.open("untrusted.ipynb", [SHOW_PANEL, "mine = 1"], env=env)
    panel, page = show_panel(notebook), notebook.page
    panel.choose("echo")
    panel.ask("```python\n1 + 1\n```")
    panel.ended()
    panel.button("Insert as a cell below").click()
    page.locator(".jp-Dialog").get_by_role("button", name="Cancel").click()

    page.locator(".jp-Notebook .jp-Cell").nth(1).locator(".cm-content").click()
    page.wait_for_timeout(500)  # the text would have been inserted by now

    expect(page.locator(".jp-Notebook .jp-Cell")).to_have_count(2)
    cells = page.locator(".jp-Notebook .jp-Cell .cm-content")
    expect(cells.nth(1)).to_have_text("mine = 1")

    panel.button("Insert as a cell below").click()
    page.locator(".jp-Dialog").get_by_role("button", name="Run Once").click()
    page.locator(".jp-Dialog", has_text="replace-selection").get_by_role(
        "button", name="Run Once"
    ).click()
    expect(cells.filter(has_text="1 + 1")).to_have_count(1)
    expect(cells.filter(has_text="mine")).to_have_text("mine = 1")


def test_the_panel_works_in_voila(notebook: Notebook, env: dict[str, str], axe: str):
    """The page has no cells, so the panel offers no "Insert as a cell"."""
    spec = {"name": notebook.server.kernel(env), "display_name": "Python 3"}
    cells = [v4.new_code_cell(f"{CHAT} lorem")]
    path = notebook.folder / "page.ipynb"
    write(v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), path)
    place = quote(path.relative_to(notebook.server.root).as_posix())

    block_other_hosts(notebook)  # Voila's page requests fonts from another host
    notebook.page.goto(f"{notebook.server.url}voila/render/{place}?token={notebook.server.token}")
    panel = Panel(notebook.page).ready()
    panel.ask("tell me")

    answer = panel.ended()
    expect(answer.locator("math")).to_have_count(2)
    expect(answer.locator("pre .st-code-keyword").first).to_have_text("def")
    expect(answer.get_by_role("button", name="Copy code")).to_have_count(1)
    expect(panel.button("Insert as a cell below")).to_have_count(0)
    assert violations(notebook.page, axe) == []


def test_a_flood_of_other_messages_loses_no_text(notebook: Notebook, env: dict[str, str]):
    """The server drops messages that come too fast, but the view ends with the whole answer."""
    notebook.open("flood.ipynb", [SHOW_PANEL, FLOOD], env=env)
    panel = show_panel(notebook)
    panel.ask("go")
    panel.ended()
    panel.choose("slow")
    panel.ask("and now slowly")
    expect(panel.answers.last).to_contain_text("word3 ")
    notebook.run_cell(1)

    while "message rate exceeded" not in notebook.server.log():
        notebook.page.wait_for_timeout(100)
    notebook.page.wait_for_timeout(5000)  # of the flood; a message gets through only by chance

    panel.button("Stop").click()

    panel.ended(2)
    with Swiftask() as client, client.session().runtime.ledger.store.read() as table:
        [whole] = table.execute("SELECT answer FROM texts WHERE answer LIKE 'word1%'").fetchone()
    expect(panel.answers.last).to_have_text(whole)


def test_a_large_file_is_attached_while_an_answer_streams(
    notebook: Notebook, env: dict[str, str], box: Sandbox
):
    """It is sent in chunks; one large message would close the kernel's connection."""
    notebook.open("large.ipynb", [f"{CHAT} slow"], env=env)
    panel = show_panel(notebook)
    panel.ask("go on talking")
    expect(panel.answers).to_contain_text("word3 ")
    chips = panel.root.get_by_label("Files to send").locator("li")

    notebook.page.evaluate(DROP_FILES, [["large.bin"], 25_000_000])
    panel.text.fill("what is in it?")

    expect(chips).to_have_text("large.bin 25.0 MB")
    expect(panel.uploads).to_have_count(0, timeout=WAIT)
    panel.button("Stop").click()
    panel.ended()
    panel.choose("echo")
    panel.text.press("Enter")
    panel.ended(2)
    [put] = [seen for seen in box.requests if seen.method == "PUT"]
    assert len(put.body) == 25_000_000


def test_five_hundred_messages_are_loaded_in_pages_in_order(
    notebook: Notebook, env: dict[str, str]
):
    """The newest page is shown at once, the others by the button above it."""
    notebook.open("many.ipynb", [f"{CLIENT}\n{MANY}", SHOW_PANEL], env=env)
    notebook.run_cell(0)
    notebook.wait_idle()
    notebook.run_cell(1)
    notebook.wait_idle()
    panel = Panel(notebook.page)
    expect(panel.exchanges).to_have_count(30, timeout=WAIT)
    more = panel.button("Show earlier messages")
    for count in (*range(60, 500, 30), 500):
        more.click()
        expect(panel.exchanges).to_have_count(count)
    expect(more).to_be_hidden()

    texts = notebook.page.evaluate(TEXT)
    assert texts[::2] == [f"question {n}" for n in range(500)]

    panel.button("Go to the newest message").click()
    panel.choose("echo")
    panel.ask("question 500")

    expect(panel.answers.last).to_have_text("question 500")
    expect(panel.exchanges).to_have_count(30)  # the older ones are removed from the page
    expect(panel.button("Send")).to_be_visible()
    more.click()
    expect(panel.exchanges).to_have_count(60)
    texts = notebook.page.evaluate(TEXT)
    assert texts[::2] == [f"question {n}" for n in range(441, 501)]


def test_a_long_answer_is_the_same_in_a_view_that_saw_it_grow_and_in_a_later_view(
    notebook: Notebook, env: dict[str, str]
):
    notebook.open("grown.ipynb", [SHOW_PANEL, LONG, "panel"], env=env)
    first = show_panel(notebook)
    notebook.run_cell(1)
    notebook.wait_idle()
    expect(first.ended()).to_contain_text("the end")
    notebook.run_cell(2)
    second = Panel(notebook.page, 1)
    expect(second.ended()).to_contain_text("the end")

    assert first.html() == second.html()
    expect(first.answers.locator("pre .st-code-number")).to_have_count(70)
    expect(first.answers.locator("tbody tr")).to_have_count(370)
    expect(first.answers.locator("li")).to_have_count(600)
    at_the_end = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    assert first.log.evaluate(at_the_end)


def test_a_view_that_was_scrolled_up_stays_there_while_an_answer_streams(
    notebook: Notebook, env: dict[str, str]
):
    """A button leads back to the newest text."""
    notebook.open("scroll.ipynb", [f"{CHAT} lorem"], env=env)
    panel = show_panel(notebook)
    panel.ask("a long one")
    panel.ended()
    panel.choose("slow")
    panel.ask("slowly")
    expect(panel.answers.last).to_contain_text("word3 ")

    panel.log.evaluate("(log) => { log.scrollTop = 40; }")
    expect(panel.answers.last).to_contain_text("word30 ")

    assert panel.log.evaluate("(log) => log.scrollTop") == 40
    panel.button("Go to the newest message").click()
    expect(panel.answers.last).to_contain_text("word60 ")
    at_the_end = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    assert panel.log.evaluate(at_the_end)
    panel.button("Stop").click()
    panel.ended(2)
