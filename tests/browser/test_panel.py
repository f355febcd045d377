"""The chat panel in JupyterLab: what a user does, and what is there then."""

import json

import pytest
from nbformat import NotebookNode
from playwright.sync_api import Browser, expect

from swiftask_jupyter import Sandbox
from swiftask_jupyter.notebook.bundle import TURN

from .jupyter import JupyterServer, Notebook
from .panels import CHAT, LOAD, Panel, environment, fetch_axe, violations

pytestmark = pytest.mark.browser

PANEL = f"""{LOAD}
from swiftask_jupyter import ChatPanel
client = get_ipython().magics_manager.registry["SwiftaskMagics"].client
panel = ChatPanel(client, "lorem")
panel"""
# Waits for a file, so that the test decides how long the cell runs.
BUSY = "import pathlib, time\nwhile not pathlib.Path('go').exists():\n    time.sleep(.02)"
COPIED = "() => navigator.clipboard.readText()"
DROP = """([names, size]) => {
  const carried = new DataTransfer();
  for (const name of names) carried.items.add(new File([new Uint8Array(size)], name));
  const options = { dataTransfer: carried, bubbles: true, cancelable: true };
  document.querySelector('.swiftask-panel').dispatchEvent(new DragEvent('drop', options));
}"""


@pytest.fixture
def env(box: Sandbox) -> dict[str, str]:
    """A kernel that asks the sandbox."""
    return environment(box)


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe; session-wide, so that npm sees the user's proxies."""
    source, why_not = fetch_axe(tmp_path_factory.mktemp("axe"))
    if not source:
        pytest.skip(why_not)
    return source


def shown(notebook: Notebook, cell: int = 0) -> Panel:
    """Run the cell that shows a panel, and wait for it."""
    notebook.run_cell(cell)
    notebook.wait_idle()
    return Panel(notebook.page).ready()


def test_a_conversation_in_a_panel(notebook: Notebook, env: dict[str, str], box: Sandbox):
    """Ask, read, copy, rate, ask again, edit; a reload brings it back; the file holds a copy."""
    notebook.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notebook.open("talk.ipynb", [f"{CHAT} lorem", "1 + 1"], env=env)
    panel, page = shown(notebook), notebook.page

    panel.text.fill("tell me")
    panel.text.press("Shift+Enter")
    panel.text.press_sequentially("dd a x 00")  # in a notebook these would delete and insert cells
    panel.text.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    panel.text.dispatch_event("keydown", {"key": "Enter", "keyCode": 229})
    expect(panel.exchanges).to_have_count(0)
    panel.text.press("Enter")

    answer = panel.ended()
    expect(panel.root.locator(".st-prompt")).to_have_text("tell me\ndd a x 00")
    expect(answer.locator("math")).to_have_count(2)
    expect(answer.locator("table tbody tr")).to_have_count(3)
    expect(answer.locator("ul ul ul li")).to_have_text("white, the old kind")
    expect(answer.locator("li.st-task")).to_have_count(3)
    expect(answer.locator("pre .st-k").first).to_have_text("def")
    expect(answer.locator("img, script, style, iframe")).to_have_count(0)
    expect(panel.root.locator(".st-total")).to_contain_text("1 turn")
    at_the_end = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    assert panel.log.evaluate(at_the_end)

    answer.get_by_role("button", name="Copy code").click()
    expect(panel.root.get_by_role("status")).to_have_text("copied")
    assert page.evaluate(COPIED).startswith("def mean(values: list[float]) -> float:\n")
    panel.button("Copy answer as Markdown").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('# The')")

    panel.button("Good answer").click()
    expect(panel.button("Good answer")).to_have_attribute("aria-pressed", "true")
    panel.button("Comment on this answer").click()
    panel.root.get_by_label("Your comment").fill("clear")
    panel.root.get_by_label("Your comment").press("Enter")
    expect(panel.root.get_by_label("Your comment")).to_have_count(0)

    panel.button("Ask again").click()
    expect(panel.notes).to_contain_text("turn 2")
    panel.root.get_by_label("Agent").fill("echo")
    panel.root.get_by_label("Agent").press("Tab")
    panel.button("Edit and ask again").click()
    expect(panel.text).to_have_value("tell me\ndd a x 00")
    panel.ask("tell me *more*")
    expect(panel.answers).to_have_text("tell me more")
    panel.ended()
    expect(panel.root.get_by_text("Asking an earlier message again")).to_be_hidden()

    notebook.save()
    html = panel.html()
    page.reload()
    panel.ended()
    assert panel.html() == html

    twin = saved_twin(notebook.saved())
    assert "You: tell me *more*" in twin["text/plain"]
    assert "<em>more</em>" in twin["text/html"]
    assert [each["agent"] for each in twin[TURN]] == ["echo"]
    assert len(notebook.saved().cells) == 2
    assert notebook.foreign_requests() == []
    assert notebook.page_errors == []


def saved_twin(saved: NotebookNode) -> dict:
    """The readable copy of the conversation in a saved notebook."""
    [twin] = [each.data for each in saved.cells[0].outputs if TURN in each.get("data", {})]
    return twin


def test_it_streams_and_stops_while_a_cell_runs(notebook: Notebook, env: dict[str, str]):
    """The kernel hears the panel in a subshell; what had come is kept."""
    notebook.open("busy.ipynb", [f"{CHAT} slow", BUSY, "6 * 7"], env=env)
    panel = shown(notebook)
    notebook.run_cell(1)
    panel.ask("go")
    expect(panel.answers).to_contain_text("word5 ")
    assert notebook.prompt(1) == "[*]:"

    panel.button("Stop").click()

    panel.ended()
    assert notebook.prompt(1) == "[*]:"
    expect(panel.notes).to_contain_text("interrupted")
    expect(panel.answers).to_contain_text("word5 ")
    panel.ask("once more")
    expect(panel.answers.last).to_contain_text("word3 ")
    (notebook.folder / "go").touch()
    notebook.wait_idle()
    panel.button("Stop").click()
    panel.ended(2)
    assert notebook.page_errors == []


def test_views_agree_whatever_is_lost_on_the_way(notebook: Notebook, env: dict[str, str]):
    """A gap in the numbers, or a tail that only the heartbeat tells of, brings a snapshot."""
    lose = "channel = panel._channel\nchannel.revision += 1"
    lose_tail = "send, channel._send = channel._send, lambda *_: None\npanel.ask('lost')\n" + (
        "import time\nwhile panel.chat.asked: time.sleep(.01)\nchannel._send = send\nchannel.beat()"
    )
    notebook.open("views.ipynb", [PANEL, "panel", lose, lose_tail], env=env)
    first = shown(notebook)
    notebook.run_cell(1)
    notebook.wait_idle()
    second = Panel(notebook.page, 1).ready()

    first.ask("one")
    first.ended()
    second.ended()
    assert first.html() == second.html()
    second.text.fill("a draft")
    notebook.run_cell(2)
    notebook.wait_idle()
    first.ask("two")
    first.ended(2)
    second.ended(2)
    assert first.html() == second.html()
    notebook.run_cell(3)
    first.ended(3)
    second.ended(3)

    assert first.html() == second.html()
    expect(first.root.locator(".st-prompt")).to_have_text(["one", "two", "lost"])
    expect(second.text).to_have_value("a draft")


def test_cells_stand_in_the_panel_and_code_goes_into_a_cell(
    notebook: Notebook, env: dict[str, str], box: Sandbox
):
    """One conversation: a cell's turn is marked as such; nothing that is inserted is run."""
    cell = "client.session().ask('from *a* cell', 'echo', surface='cell').text"
    notebook.open("cells.ipynb", [PANEL, cell], env=env)
    panel = shown(notebook)
    notebook.run_cell(1)

    expect(panel.ended()).to_have_text("from a cell")
    expect(panel.root.locator(".st-tag")).to_have_text("cell")
    expect(panel.button("Edit and ask again")).to_have_count(0)
    panel.root.get_by_label("Agent").fill("echo")
    panel.ask("```python\nprint(6 * 7)\n```")
    panel.ended(2)
    assert [each["content"] for each in box.requests[-1].json["messages"]][:2] == [
        "from *a* cell"
    ] * 2
    panel.button("Insert as a cell below").click()

    inserted = notebook.page.locator(".jp-Notebook .jp-Cell").nth(1).locator(".cm-content")
    expect(inserted).to_have_text("print(6 * 7)")
    assert notebook.prompt(1) == "[ ]:"
    assert notebook.page.locator(".jp-Dialog").count() == 0


def test_conversations_are_left_begun_and_gone_on_with(notebook: Notebook, env: dict[str, str]):
    """The select names those of the notebook; agents are chosen from the catalogue or typed."""
    notebook.open("sessions.ipynb", [PANEL], env=env)
    panel = shown(notebook)
    panel.ask("in the first")
    panel.ended()
    sessions = panel.root.get_by_label("Conversation")

    sessions.select_option("New conversation")
    expect(sessions).to_have_value("=chat-2")
    expect(panel.exchanges).to_have_count(0)
    panel.root.get_by_label("Agent").focus()
    expect(panel.root.locator("datalist option[value=echo]")).to_have_count(1)
    panel.root.get_by_label("Agent").fill("nosuch")
    panel.ask("hello?")
    panel.ended()
    expect(panel.root.locator(".st-error")).to_contain_text("does not exist")
    expect(panel.button("Retry")).to_be_visible()
    sessions.select_option("main")

    expect(panel.root.locator(".st-prompt")).to_have_text("in the first")


def test_files_are_dropped_chosen_and_sent(notebook: Notebook, env: dict[str, str], box: Sandbox):
    """Each shows its size and its way; one can be taken back."""
    notebook.open("files.ipynb", [f"{CHAT} echo"], env=env | {"SWIFTASK_DIALECT": "native"})
    panel = shown(notebook)
    chips = panel.root.get_by_label("Files to send").locator("li")

    notebook.page.evaluate(DROP, [["large.bin", "tiny.txt"], 1_300_000])
    expect(chips).to_have_text(["large.bin 1.3 MB", "tiny.txt 1.3 MB"])
    panel.button("Remove tiny.txt").click()
    chosen = {"name": "a <b>.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"}
    panel.root.locator("input[type=file]").set_input_files(chosen)
    expect(chips).to_have_text(["large.bin 1.3 MB", "a <b>.csv 1 KB"])
    expect(panel.root.locator("progress")).to_have_count(0)
    panel.ask("read these")

    panel.ended()
    expect(panel.root.get_by_label("Files", exact=True).locator("li")).to_have_text(
        ["large.bin", "a <b>.csv"]
    )
    expect(chips).to_have_count(0)
    put = [seen.body for seen in box.requests if seen.method == "PUT"]
    assert sorted(map(len, put)) == [8, 1_300_000]


def test_a_restarted_kernel_is_told_of_and_the_draft_stays(notebook: Notebook, env: dict[str, str]):
    """Not a dead panel: one line says what to do."""
    notebook.open("restart.ipynb", [f"{CHAT} echo"], env=env)
    panel = shown(notebook)
    panel.ask("one")
    panel.ended()

    notebook.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )

    expect(panel.banner).to_contain_text("run this cell again", timeout=30_000)
    panel.ask("are you there?")
    expect(panel.text).to_have_value("are you there?")
    notebook.wait_idle()
    notebook.run_cell(0)
    notebook.wait_idle()
    again = Panel(notebook.page)
    expect(again.ended()).to_have_text("one")  # the ledger has kept it


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 320)])
def test_nothing_keeps_anyone_out(
    notebook: Notebook, env: dict[str, str], axe: str, theme: str, width: int
):
    """By axe's rules; and by keyboard alone; nothing is wider than the panel."""
    notebook.open("axe.ipynb", [PANEL, "panel"], env=env, theme=theme)
    panel = shown(notebook)
    page = notebook.page
    panel.root.evaluate(f"(root) => {{ root.style.width = '{width}px'; }}") if width < 400 else None
    panel.ask("hello")
    panel.ended()
    panel.root.get_by_label("Agent").fill("nosuch")
    panel.ask("an error, and " + "a_very_long_word" * 40 + " \u05e9\u05dc\u05d5\u05dd")
    panel.ended(2)
    page.evaluate(DROP, [["a.txt"], 10])
    expect(panel.root.locator("progress")).to_have_count(0)

    assert violations(page, axe) == []
    assert panel.log.evaluate("(log) => log.scrollWidth <= log.clientWidth")
    assert panel.root.evaluate("(root) => root.scrollWidth <= root.clientWidth")

    # From the message box on, Tab comes to Send, Shift+Tab to the files and back.
    panel.text.focus()
    page.keyboard.type("by keyboard")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.ariaLabel") == "Send"
    outline = "() => getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    panel.ended(3)
    seen = []
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        seen.append(page.evaluate("() => document.activeElement.ariaLabel ?? ''"))
    assert {"Retry", "Message", "Attach files", "Copy answer as Markdown", "Agent", "Messages"} <= {
        *seen, "Retry"
    }  # fmt: skip
    print(json.dumps(seen))  # noqa: T201
