"""The chat panel keeps focus, drafts, messages and files where the user left them."""

import pytest
from playwright.sync_api import Page, expect

from swiftask_jupyter import Sandbox
from tests.support.jupyter import Notebook
from tests.support.panels import CLIENT, DROP_FILES, SHOW_PANEL, WAIT, Panel, show_panel

pytestmark = pytest.mark.browser

COUNT_UPLOADS = """import time
for _ in range(100):  # a request of the view may arrive after the cell has begun
    if len(panel._uploads._uploads) > 1:
        time.sleep(.02)
len(panel._uploads._uploads)"""
PASTE = """([withText]) => {
  const carried = new DataTransfer(), file = new File([new Uint8Array(9)], 'image.png');
  for (const type of withText ? ['text/plain', 'text/html'] : []) carried.setData(type, 'a\\tb');
  carried.items.add(file);
  const options = { clipboardData: carried, bubbles: true, cancelable: true };
  const event = new ClipboardEvent('paste', options);
  document.querySelector('.swiftask-panel textarea').dispatchEvent(event);
  return event.defaultPrevented;
}"""
COUNT_ANNOUNCEMENTS = """() => {
  const status = document.querySelector('.swiftask-panel [role=status]');
  window.announced = 0;
  new MutationObserver(() => { window.announced += 1; }).observe(status, { childList: true });
}"""
BREAK_FILE_READING = """() => {
  Blob.prototype.arrayBuffer = () => Promise.reject(new DOMException('gone', 'NotFoundError'));
}"""
BREAK_COPYING = """() => {
  navigator.clipboard.write = () => Promise.reject(new Error('refused'));
  document.execCommand = () => false;
}"""
START = f"""{CLIENT}
import importlib
importlib.import_module("swiftask_jupyter.notebook.panel.panel").PAGE = 3"""
SEVEN = """for n in range(7):
    client.session().ask(f"question {n}", "echo", fresh=True)
panel = __import__("swiftask_jupyter").ChatPanel(client, "echo")
panel"""
# The response to a rating or to a switch of the conversation waits for a file of its kind's name.
DELAY_RESPONSES = """import pathlib, threading, time
channel = panel._channel
respond = channel.respond
def respond_later(request, kind, fields):
    while not pathlib.Path(request["kind"]).exists():
        time.sleep(.02)
    respond(request, kind, **fields)
    panel._choose_agent({"agent": request["kind"]})
def delay(request, kind="response", **fields):
    if request["kind"] in ("rate", "switch_session"):
        threading.Thread(target=respond_later, args=(request, kind, fields)).start()
    else:
        respond(request, kind, **fields)
channel.respond = delay"""
REFUSE = """def refuse(_):
    raise ValueError("no other")
panel.switch, channel.respond = refuse, respond"""
CLICK_TWICE = "(button) => { button.click(); button.click(); }"


def focused(page: Page) -> str:
    """Return the label of the focused element."""
    return str(page.evaluate("() => document.activeElement.ariaLabel"))


def press(panel: Panel, name: str, key: str = "Enter") -> None:
    """Focus a button and press a key."""
    panel.button(name).focus()
    panel.page.keyboard.press(key)


def test_the_focus_and_a_draft_are_kept(notebook: Notebook, env: dict[str, str], box: Sandbox):
    """This holds whatever is drawn again or removed. Announcements are made once."""
    cells = [SHOW_PANEL, COUNT_UPLOADS, "%%swiftask nosuch\nhi"]
    notebook.open("places.ipynb", cells, env=env | {"SWIFTASK_DIALECT": "native"})
    panel, page = show_panel(notebook), notebook.page
    panel.choose("echo")
    panel.ask("hello")
    panel.ended()

    page.evaluate(COUNT_ANNOUNCEMENTS)
    check_a_rating_and_a_comment(panel)
    assert page.evaluate("() => window.announced") == 0
    press(panel, "Ask echo again")
    expect(panel.footers).to_contain_text("turn 2")
    assert focused(page) == "Message"
    check_an_edit(panel)
    check_files(panel, notebook)
    assert [len(seen.body) for seen in box.requests if seen.method == "PUT"] == [600_000]
    page.evaluate(BREAK_COPYING)
    press(panel, "Copy answer as Markdown")
    expect(panel.banner).to_contain_text("refused to copy")
    assert focused(page) == "Copy answer as Markdown"
    press(panel, "Close")
    assert focused(page) == "Message"
    notebook.run_cell(2)
    panel.ended(2)
    expect(panel.errors).to_contain_text("nosuch")
    # The panel does not know the cell's options.
    expect(panel.button("Retry")).to_have_count(0)
    assert notebook.page_errors == []


def check_a_rating_and_a_comment(panel: Panel) -> None:
    """Check that an open comment survives a rating, and that a saved comment can be changed."""
    good, comment = panel.button("Good answer"), panel.root.get_by_label("Your comment")
    press(panel, "Good answer")
    expect(good).to_have_attribute("aria-pressed", "true")
    assert focused(panel.page) == "Good answer"
    press(panel, "Comment on this answer")
    panel.page.keyboard.type("a careful comment")
    press(panel, "Good answer")
    expect(good).to_have_attribute("aria-pressed", "false")
    expect(comment).to_have_value("a careful comment")
    comment.press("Escape")
    expect(comment).to_have_count(0)
    assert focused(panel.page) == "Comment on this answer"
    panel.page.keyboard.press("Enter")
    panel.page.keyboard.type("a careful comment")
    comment.press("Enter")
    expect(comment).to_have_count(0)
    assert focused(panel.page) == "Comment on this answer"
    expect(panel.button("Comment on this answer")).to_have_attribute("aria-pressed", "true")
    panel.page.keyboard.press("Enter")
    expect(comment).to_have_value("a careful comment")
    comment.press("Escape")


def check_an_edit(panel: Panel) -> None:
    """Check that the draft comes back however an edit ends."""
    editing = panel.root.get_by_text("Asking an earlier message again")
    panel.text.fill("a draft")
    panel.button("Edit and ask again").click()
    expect(panel.text).to_have_value("hello")
    panel.text.dispatch_event("keydown", {"key": "Escape", "isComposing": True})
    expect(editing).to_be_visible()
    press(panel, "Cancel")
    assert focused(panel.page) == "Message"
    expect(panel.text).to_have_value("a draft")
    panel.button("Edit and ask again").click()
    panel.ask("hello again")
    expect(panel.answers).to_have_text("hello again")
    panel.ended()
    expect(panel.text).to_have_value("a draft")
    panel.button("Edit and ask again").click()
    sessions = panel.root.get_by_label("Conversation")
    sessions.select_option("New conversation")
    expect(sessions).to_have_value("=chat-2")
    expect(editing).to_be_hidden()
    expect(panel.text).to_have_value("a draft")
    sessions.select_option("main")
    panel.ended()


def check_files(panel: Panel, notebook: Notebook) -> None:
    """Check that a removed file is gone in the kernel too, and that paste skips a table's image."""
    chips = panel.root.get_by_label("Files to send").locator("li")
    assert not panel.page.evaluate(PASTE, [True])
    assert panel.page.evaluate(PASTE, [False])
    panel.page.evaluate(DROP_FILES, [["a.txt"], 600_000])
    expect(chips).to_have_text(["image.png 9 bytes", "a.txt 600 KB"])
    expect(panel.uploads).to_have_count(0)
    panel.text.fill("")
    expect(panel.button("Send")).to_be_disabled()
    press(panel, "Send")
    expect(panel.banner).to_contain_text("Write a question for the files.")
    press(panel, "Remove image.png")
    expect(chips).to_have_count(1)
    assert focused(panel.page) == "Message"
    notebook.run_cell(1)
    notebook.wait_idle()
    expect(notebook.output(1)).to_contain_text("1")
    panel.button("Edit and ask again").click()
    panel.ask("look")
    expect(panel.banner).to_be_hidden()
    expect(panel.answers).to_contain_text("look")
    panel.ended()
    expect(chips).to_have_count(0)
    panel.page.evaluate(BREAK_FILE_READING)
    panel.page.evaluate(DROP_FILES, [["a folder"], 1])
    expect(panel.banner).to_contain_text("a folder can't be read")
    expect(chips).to_have_count(0)


def test_leaving_the_page_discards_its_uploads(notebook: Notebook, env: dict[str, str]):
    """No view could send them any more, and the kernel limits their number."""
    notebook.open("left.ipynb", [SHOW_PANEL, COUNT_UPLOADS], env=env)
    panel = show_panel(notebook)
    notebook.page.evaluate(DROP_FILES, [["a.txt", "b.txt"], 9])
    expect(panel.uploads).to_have_count(0)
    expect(panel.root.get_by_label("Files to send").locator("li")).to_have_count(2)
    notebook.save()

    notebook.page.reload()

    panel.ready()
    notebook.run_cell(1)
    notebook.wait_idle()
    assert notebook.output_text(1) == "0"


def test_a_late_response_does_not_move_the_focus(notebook: Notebook, env: dict[str, str]):
    """And a switch that failed is not shown as done."""
    notebook.open("elsewhere.ipynb", [SHOW_PANEL, DELAY_RESPONSES, REFUSE], env=env)
    panel, page = show_panel(notebook), notebook.page
    sessions, agent = panel.root.get_by_label("Conversation"), panel.root.get_by_label("Agent")
    comment = panel.root.get_by_label("Your comment")
    notebook.run_cell(1)
    notebook.wait_idle()
    panel.choose("echo")
    panel.ask("hello")
    panel.ended()

    press(panel, "Comment on this answer")
    comment.fill("a careful comment")
    comment.press("Enter")
    panel.text.focus()
    (notebook.folder / "rate").touch()
    expect(comment).to_have_count(0)
    assert focused(page) == "Message"
    sessions.select_option("New conversation")
    agent.focus()
    (notebook.folder / "switch_session").touch()
    expect(panel.text).to_have_attribute("placeholder", "Ask switch_session")
    assert focused(page) == "Agent"

    notebook.run_cell(2)
    notebook.wait_idle()
    sessions.select_option("main")
    expect(panel.banner).to_contain_text("no other")
    expect(sessions).to_have_value("=chat-2")
    assert notebook.page_errors == []


def test_a_double_click_does_nothing_more_than_a_click(notebook: Notebook, env: dict[str, str]):
    notebook.open("twice.ipynb", [SHOW_PANEL], env=env)
    panel = show_panel(notebook)
    panel.choose("echo")
    panel.ask("hello")
    panel.ended()

    panel.button("Ask echo again").evaluate(CLICK_TWICE)
    expect(panel.footers).to_contain_text("turn 2")
    expect(panel.banner).to_be_hidden()
    panel.choose("slow")
    panel.text.fill("go on")
    panel.button("Send").hover()
    for count in (1, 2):
        panel.page.mouse.down(click_count=count)
        panel.page.mouse.up(click_count=count)
        expect(panel.button("Stop")).to_be_visible()
    expect(panel.answers.last).to_contain_text("word8 ")
    panel.button("Stop").click()
    panel.ended(2)
    assert notebook.page_errors == []


def test_earlier_messages_are_loaded_once_and_in_order(notebook: Notebook, env: dict[str, str]):
    """This holds when the button is clicked twice, and when the first one is asked again."""
    cells = [START, "%%swiftask echo\nfrom the first cell", SEVEN]
    notebook.open("earlier.ipynb", cells, env=env)
    for cell in range(3):
        notebook.run_cell(cell)
        notebook.wait_idle()
    panel = Panel(notebook.page)
    prompts, more = panel.prompts, panel.button("Show earlier messages")
    expected = ["from the first cell", *(f"question {n}" for n in range(7))]
    expect(prompts).to_have_text(expected[-3:], timeout=WAIT)
    expect(more).to_have_css("display", "block")
    panel.text.fill("a draft")

    notebook.run_cell(1)
    notebook.wait_idle()
    panel.ask("the last")
    expect(prompts).to_have_text([*expected[-3:], "the last"])
    panel.ended(4)
    more.evaluate(CLICK_TWICE)
    expect(prompts).to_have_text([*expected[-6:], "the last"])
    more.focus()
    notebook.page.keyboard.press("Enter")
    expect(prompts).to_have_text([*expected, "the last"])
    expect(more).to_be_hidden()
    assert focused(notebook.page) == "Message"
    assert notebook.page_errors == []
