"""The chat panel in JupyterLab: what a user does, and what the panel shows then."""

import pytest
from nbformat import NotebookNode
from playwright.sync_api import expect

from swiftask_jupyter import Sandbox
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from tests.support.jupyter import Notebook
from tests.support.panels import (
    CHAT,
    DROP_FILES,
    RUN_UNTIL_GO,
    SHOW_PANEL,
    USE_DARK_THEME,
    WAIT,
    Panel,
    show_panel,
    violations,
)
from tests.support.servers import ANSWER, RawServer, always

pytestmark = pytest.mark.browser

LOSE_THE_LAST_UPDATES = """
import time
send, channel._send = channel._send, lambda *_: None
panel.ask("lost")
while panel.chat.in_flight:
    time.sleep(.01)
channel._send = send
channel.heartbeat()
"""
USE_OTHER = """from swiftask_jupyter.settings.connection import ConnectionOverrides as Settings
client.connections.overrides = Settings(os.environ["OTHER_URL"], "its-token")"""
LIST_UPLOADS = """import time
for _ in range(500):
    if panel._uploads._uploads:
        time.sleep(.02)
[*panel._uploads._uploads]"""
CLEAR = "() => window.jupyterapp.shell.currentWidget.content.widgets[0].outputArea.model.clear()"
COPIED = "() => navigator.clipboard.readText()"
RESTART = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
NEW_VIEW = "() => window.jupyterapp.commands.execute('notebook:create-output-view')"
# The panel and the closed transcript below it fill the view, and nothing is out of sight.
VIEW_IS_FILLED = """() => {
  const view = document.querySelector('.jp-LinkedOutputView'), area = view.firstElementChild;
  const parts = ['.swiftask-panel', '.st-composer', 'summary'].map((it) => view.querySelector(it));
  const [whole, panel, box, transcript] = [view, ...parts].map((it) => it.getBoundingClientRect());
  return panel.top === whole.top && box.bottom < panel.bottom && panel.bottom <= transcript.top
    && transcript.bottom <= whole.bottom && whole.bottom - panel.bottom < 40
    && whole.bottom <= window.innerHeight && area.scrollHeight === area.clientHeight;
}"""
FOCUS = """() => [document.activeElement.ariaLabel,
  getComputedStyle(document.activeElement).outlineStyle]"""


def test_a_question_can_be_asked_copied_rated_retried_and_edited(
    notebook: Notebook, env: dict[str, str]
):
    """A reload of the page shows the same, and the saved file has a transcript."""
    notebook.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notebook.open("talk.ipynb", [f"{CHAT} lorem", "1 + 1"], env=env)
    panel, page = show_panel(notebook), notebook.page

    panel.text.fill("tell me")
    panel.text.press("Shift+Enter")
    panel.text.press_sequentially("dd a x 00")  # in a notebook these would delete and insert cells
    panel.text.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    panel.text.dispatch_event("keydown", {"key": "Enter", "keyCode": 229})
    expect(panel.exchanges).to_have_count(0)
    panel.text.press("Enter")

    check_formatted(panel)
    status, copy = panel.root.get_by_role("status"), panel.button("Copy code")
    expect(status).to_contain_text("roses climbing white")
    drawn = copy.locator("path").get_attribute("d") or ""
    copy.click()
    expect(status).to_have_text("copied")
    assert copy.locator("path").get_attribute("d") != drawn
    assert page.evaluate(COPIED).startswith("def mean(values: list[float]) -> float:\n")
    panel.button("Copy answer as Markdown").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('# The')")

    panel.button("Good answer").click()
    expect(panel.button("Good answer")).to_have_attribute("aria-pressed", "true")
    panel.button("Comment on this answer").click()
    panel.root.get_by_label("Your comment").fill("clear")
    panel.root.get_by_label("Your comment").press("Enter")
    expect(panel.root.get_by_label("Your comment")).to_have_count(0)
    expect(panel.button("Comment on this answer")).to_have_attribute("aria-pressed", "true")
    expect(copy.locator("path")).to_have_attribute("d", drawn)

    panel.button("Ask lorem again").click()
    expect(panel.footers).to_contain_text("turn 2")
    panel.choose("echo")
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
    check_transcript(notebook.saved())
    check_output_view(notebook)
    assert notebook.foreign_requests() == []
    assert notebook.page_errors == []


def check_formatted(panel: Panel) -> None:
    """Check every kind of formatting in the answer of the agent "lorem"."""
    answer = panel.ended()
    expect(panel.prompts).to_have_text("tell me\ndd a x 00")
    expect(answer.locator("math")).to_have_count(2)
    expect(answer.locator("table tbody tr")).to_have_count(3)
    expect(answer.locator("ul ul ul li")).to_have_text("white, the old kind")
    expect(answer.locator("li.st-task")).to_have_count(3)
    expect(answer.locator("pre .st-code-keyword").first).to_have_text("def")
    expect(answer.locator("img, script, style, iframe")).to_have_count(0)
    expect(panel.root.locator(".st-total")).to_contain_text("1 call")
    at_the_end = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    assert panel.log.evaluate(at_the_end)


def check_transcript(saved: NotebookNode) -> None:
    """Check the transcript in a saved notebook."""
    [transcript] = [
        each.data for each in saved.cells[0].outputs if TURN_MIME_TYPE in each.get("data", {})
    ]
    assert "You: tell me *more*" in transcript["text/plain"]
    assert "<em>more</em>" in transcript["text/html"]
    assert [each["agent"] for each in transcript[TURN_MIME_TYPE]] == ["echo"]
    assert len(saved.cells) == 2  # no key that was typed has changed the notebook


def check_output_view(notebook: Notebook) -> None:
    """Check that the panel fills JupyterLab's "New View for Cell Output"."""
    page = notebook.page
    page.evaluate(NEW_VIEW)
    view = page.locator(".jp-LinkedOutputView")
    expect(view.locator(".st-exchange")).to_have_count(1, timeout=WAIT)
    expect(view.locator("summary")).to_have_count(1)
    for height in (900, 700):
        page.set_viewport_size({"width": 1280, "height": height})
        page.wait_for_function(VIEW_IS_FILLED)


def test_an_answer_streams_and_stops_while_a_cell_runs(notebook: Notebook, env: dict[str, str]):
    """The received text is kept; when the kernel is gone, one line says what to do."""
    notebook.open("busy.ipynb", [f"{CHAT} slow", RUN_UNTIL_GO, "6 * 7"], env=env)
    panel = show_panel(notebook)
    notebook.run_cell(1)
    panel.ask("go")
    expect(panel.answers).to_contain_text("word5 ")
    assert notebook.prompt(1) == "[*]:"

    panel.button("Stop").click()

    panel.ended()
    assert notebook.prompt(1) == "[*]:"
    expect(panel.footers).to_contain_text("interrupted")
    expect(panel.answers).to_contain_text("word5 ")
    panel.ask("once more")
    expect(panel.answers).to_have_count(2)
    expect(panel.answers.last).to_contain_text("word3 ")
    (notebook.folder / "go").touch()
    notebook.wait_idle()
    panel.button("Stop").click()
    panel.ended(2)
    assert notebook.page_errors == []

    panel.ask("until it is gone")
    expect(panel.answers).to_have_count(3)
    expect(panel.answers.last).to_contain_text("word3 ")
    notebook.page.evaluate(RESTART)
    expect(panel.banner).to_contain_text("and this cell again; your text stays", timeout=WAIT)
    expect(panel.footers.last).to_contain_text(
        "interrupted"
    )  # by the kernel's last message, or by the view
    expect(panel.button("Send")).to_be_visible()
    expect(panel.button("Edit and ask again").last).to_be_enabled()
    panel.button("Close").click()
    panel.ask("are you there?")
    expect(panel.banner).to_contain_text("your text stays", timeout=WAIT)
    expect(panel.text).to_have_value("are you there?")
    show_panel(notebook)
    expect(panel.text).to_have_value("are you there?")


def test_views_agree_after_lost_messages(notebook: Notebook, env: dict[str, str], box: Sandbox):
    """A gap in the numbers, or a heartbeat after it, makes the view request a snapshot."""
    lose = "channel = panel._channel\nchannel.revision += 1"
    native = env | {"SWIFTASK_DIALECT": "native"}
    notebook.open(
        "views.ipynb", [SHOW_PANEL, "panel", lose, LOSE_THE_LAST_UPDATES, LIST_UPLOADS], env=native
    )
    first = show_panel(notebook)
    notebook.run_cell(1)
    notebook.wait_idle()
    second = Panel(notebook.page, 1).ready()
    attach(first)

    first.ask("one")
    first.ended()
    second.ended()
    assert first.html() == second.html()
    put = [seen.body for seen in box.requests if seen.method == "PUT"]
    assert sorted(map(len, put)) == [8, 1_300_000]
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
    expect(first.prompts).to_have_text(["one", "two", "lost"])
    expect(first.root.get_by_label("Files", exact=True).locator("li")).to_have_text(
        ["large.bin", "a <b>.csv"]
    )
    expect(second.text).to_have_value("a draft")
    notebook.page.evaluate(DROP_FILES, [["never sent"], 3])
    expect(first.root.get_by_label("Files to send").locator("li")).to_have_count(1)
    expect(first.uploads).to_have_count(0)
    notebook.page.evaluate(CLEAR)
    notebook.run_cell(4)
    notebook.wait_text(4, "[]")


def attach(panel: Panel) -> None:
    """Drop two files, remove one, choose another; each shows its size."""
    chips = panel.root.get_by_label("Files to send").locator("li")
    panel.page.evaluate(DROP_FILES, [["large.bin", "tiny.txt"], 1_300_000])
    expect(chips).to_have_text(["large.bin 1.3 MB", "tiny.txt 1.3 MB"])
    expect(panel.uploads).to_have_count(0)  # else the button may move during the click
    panel.button("Remove tiny.txt").click()
    chosen = {"name": "a <b>.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"}
    panel.root.locator("input[type=file]").set_input_files(chosen)
    expect(chips).to_have_text(["large.bin 1.3 MB", "a <b>.csv 8 bytes"])
    expect(panel.uploads).to_have_count(0)


def test_cells_and_the_panel_share_a_conversation_and_others_can_be_opened(
    notebook: Notebook, env: dict[str, str], box: Sandbox
):
    """A question of a cell is marked as such; code inserted as a cell is not run."""
    notebook.open("cells.ipynb", [SHOW_PANEL, "%%swiftask echo\nfrom *a* cell"], env=env)
    panel = show_panel(notebook)
    notebook.run_cell(1)

    expect(panel.ended()).to_have_text("from a cell")
    expect(panel.root.locator(".st-badge")).to_have_text("cell")
    expect(panel.button("Edit and ask again")).to_have_count(0)
    panel.choose("echo")
    panel.ask("```python\nprint(6 * 7)\n```")
    panel.ended(2)
    sent = [each["content"] for each in box.requests[-1].json["messages"]]
    assert sent[:2] == ["from *a* cell"] * 2
    panel.button("Insert as a cell below").click()
    inserted = notebook.page.locator(".jp-Notebook .jp-Cell").nth(1).locator(".cm-content")
    expect(inserted).to_have_text("print(6 * 7)")
    assert notebook.prompt(1) == "[ ]:"
    notebook.run_cell(0)  # again: the new panel replaces the first
    notebook.wait_idle()
    panel.ended(2)

    sessions = panel.root.get_by_label("Conversation")
    sessions.select_option("New conversation")
    expect(sessions).to_have_value("=chat-2")
    expect(panel.exchanges).to_have_count(0)
    panel.root.get_by_label("Agent").focus()
    expect(panel.root.locator("datalist option[value=echo]")).to_have_count(1)
    panel.choose("nosuch")
    panel.ask("hello?")
    panel.ended()
    expect(panel.errors).to_contain_text("does not exist")
    panel.choose("echo")
    panel.button("Retry").click()
    expect(panel.errors).to_have_count(0)
    expect(panel.answers).to_have_text("hello?")
    panel.ended()
    sessions.select_option("main")
    expect(panel.exchanges).to_have_count(2)
    assert notebook.page_errors == []


def test_the_panel_is_accessible(notebook: Notebook, env: dict[str, str], axe: str):
    """Checked with axe and by keyboard, in light and dark themes, wide and narrow."""
    notebook.open("axe.ipynb", [SHOW_PANEL], env=env)
    panel, page = show_panel(notebook), notebook.page
    panel.ask("hello")
    panel.ended()
    panel.choose("nosuch")
    panel.ask("an error, and " + "a_very_long_word" * 40 + " \u05e9\u05dc\u05d5\u05dd")
    panel.ended(2)
    page.evaluate(DROP_FILES, [["a.txt"], 10])
    expect(panel.uploads).to_have_count(0)
    assert violations(page, axe) == []

    page.evaluate(USE_DARK_THEME)
    page.wait_for_function("() => document.body.dataset.jpThemeName === 'JupyterLab Dark'")
    panel.root.evaluate("(root) => { root.style.width = '320px'; }")
    assert violations(page, axe) == []
    for part in (panel.log, panel.root):
        assert part.evaluate("(part) => part.scrollWidth <= part.clientWidth")
    code = panel.answers.locator("pre").first  # code scrolls and keeps its indentation
    assert code.evaluate("(code) => code.scrollWidth > code.clientWidth")

    panel.text.focus()
    page.keyboard.type("by keyboard")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS) == ["Send", "solid"]
    page.keyboard.press("Enter")
    panel.ended(3)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        reached.add(page.evaluate(FOCUS)[0])
    expected = {"Message", "Attach files", "Copy answer as Markdown", "Good answer", "Copy message"}
    expected |= {
        "Comment on this answer",
        "Messages",
        "Export as Markdown",
        "Agent",
        "Conversation",
    }
    assert expected <= reached

    sessions = panel.root.get_by_label("Conversation")
    sessions.focus()
    page.keyboard.press("ArrowDown")  # opens the list
    page.keyboard.press("Escape")
    expect(sessions).to_have_value("=main")
    expect(sessions).to_be_focused()
    for key in ("c", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(sessions).to_have_value("=chat-2")
    expect(panel.text).to_be_focused()
    assert notebook.page_errors == []


def test_what_stayed_with_another_service_is_sent_when_the_user_says_so(
    notebook: Notebook, box: Sandbox, env: dict[str, str]
):
    with RawServer(always(ANSWER)) as other:
        elsewhere = env | {"OTHER_URL": other.url}
        cells = [
            "import os, swiftask_jupyter\n%load_ext swiftask_jupyter\nclient = %swiftask client",
            "%config SwiftaskMagics.dialect = 'openai'\nclient.chat('echo')",
            USE_OTHER,
            "%%swiftask echo\nsaid elsewhere",
            "client.connections.overrides = Settings()",
        ]
        notebook.open("stays.ipynb", cells, theme="dark", env=elsewhere)
        for index in (0, 2, 3, 4):
            notebook.run_cell(index)
            notebook.wait_idle()
        notebook.run_cell(1)
        notebook.wait_idle()
        panel = Panel(notebook.page)
        panel.ask("and now?")
        panel.ended(2)
        expect(panel.footers.last).to_contain_text(
            f"1 earlier turn stayed with {other.url.removeprefix('https://')}"
        )
        assert not any(b"said elsewhere" in each.body for each in box.requests)

        panel.button("Send it too").click()
        expect(panel.footers.last).not_to_contain_text("stayed with", timeout=60_000)

    assert b"said elsewhere" in box.requests[-1].body
