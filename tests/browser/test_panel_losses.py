"""What a chat panel's user still has when answers, exchanges or the kernel are lost."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_panel import PANEL, shown
from tests.support.jupyter import Notebook
from tests.support.panels import CHAT, WAIT

pytestmark = pytest.mark.browser

# The panel's patience ends 25 times as soon; and how long it was to be is kept.
HASTE = """() => {
  const real = window.setTimeout;
  window.waited = [];
  window.setTimeout = (then, ms, ...more) => {
    const patience = ms >= 5000 && Math.log2(ms / 5000) % 1 === 0;
    if (patience) window.waited.push(ms);
    return real(then, patience || ms === 18000 ? ms / 25 : ms, ...more);
  };
}"""
LOSE = """channel, lost = panel._channel, []
answer, ask = channel.respond, panel._ask
def lose(call, kind="response", **fields):
    if call["kind"] in ("ask", "choose_agent", "get_snapshot"):
        lost.append((call, kind, fields))
    else:
        answer(call, kind, **fields)
channel.respond = lose
panel._ask = lambda call: None"""
ASK_AGAIN = 'panel._ask = ask\npanel._choose_agent({"agent": "echo"})'
MISS_ONE = "channel.revision += 1\nchannel.heartbeat()"
HOLD = "held = []\npanel._ask = held.append\nanswer_now = channel.respond\nchannel.respond = lose"
GO_ON = "panel._ask = ask\nchannel.respond = answer_now\n[ask(call) for call in held]"
ANSWER_ALL = """channel.respond = answer
for call, kind, fields in lost:
    if kind == "snapshot":
        answer(call, kind, **fields)"""
WATCH = """() => {
  window.redrawn = 0;
  const log = document.querySelector('.swiftask-panel [role=log]');
  new MutationObserver((all) => all.forEach(({ removedNodes }) => [...removedNodes].forEach(
    (node) => { if (node.className === 'st-exchange') window.redrawn += 1; }
  ))).observe(log, { childList: true });
}"""
# What the kernel says to the panel is held back; then all but the first word comes too late.
HOLD_WORDS = """() => {
  const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
  window.words = [];
  for (const comm of kernel._comms.values()) {
    const hear = comm.onMsg;
    comm.onMsg = (word) => void window.words.push(() => hear(word));
  }
}"""
HEARD = "() => window.words.length >= 3"  # the question, the state, the answer to the call
RESTART_AFTER_ONE = """() => {
  const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
  window.words.shift()();
  return kernel.restart();
}"""
LAST_WORDS = """() => {
  for (const word of window.words) word();
  return new Promise((then) => setTimeout(then, 200));
}"""


def test_a_lost_answer_disables_nothing(notebook: Notebook, env: dict[str, str]):
    """What was asked can be asked again, what has arrived is known; a view asks less and less."""
    cells = [PANEL, LOSE, ASK_AGAIN, MISS_ONE, ANSWER_ALL]
    notebook.open("losses.ipynb", cells, env=env)
    panel, page = shown(notebook), notebook.page
    page.evaluate(HASTE)
    run(notebook, 1)

    panel.choose("slow")
    expect(panel.banner).to_contain_text("No answer from the kernel")
    panel.button("Close").click()
    panel.ask("first")
    expect(panel.banner).to_contain_text("No answer from the kernel")
    expect(panel.text).to_have_value("first")
    run(notebook, 2)
    expect(panel.root.get_by_label("Agent")).to_have_value("echo")
    panel.text.press("Enter")
    panel.ended()
    expect(panel.text).to_have_value("")
    panel.ask("second")
    panel.ended(2)
    expect(panel.text).to_have_value("")

    page.evaluate(WATCH)
    run(notebook, 3)
    page.wait_for_function("() => window.waited.includes(40000)", timeout=WAIT)
    run(notebook, 4)
    panel.ask("third")
    panel.ended(3)
    assert page.evaluate("() => window.redrawn") == 2
    assert notebook.page_errors == []


def test_a_question_that_arrives_late_leaves_an_edit_alone(notebook: Notebook, env: dict[str, str]):
    """What is edited by then is asked in its own place; what has arrived is no draft any more."""
    notebook.open("late.ipynb", [PANEL, LOSE, ASK_AGAIN, ANSWER_ALL, HOLD, GO_ON], env=env)
    panel = shown(notebook)
    notebook.page.evaluate(HASTE)
    for cell in (1, 2, 3):
        run(notebook, cell)
    panel.ask("first")
    panel.ended()
    run(notebook, 4)
    panel.ask("second")
    expect(panel.banner).to_contain_text("No answer from the kernel")

    panel.button("Edit and ask again").click()
    panel.text.fill("first, edited")
    run(notebook, 5)
    panel.ended(2)
    expect(panel.root.get_by_text("Asking an earlier message again")).to_be_visible()
    expect(panel.text).to_have_value("first, edited")
    panel.text.press("Enter")

    said = panel.root.locator(".st-prompt")
    expect(said).to_have_text(["first, edited", "second"])
    panel.ended(2)
    expect(panel.text).to_have_value("")
    assert notebook.page_errors == []


def test_the_last_words_of_a_kernel_hide_nothing(notebook: Notebook, env: dict[str, str]):
    """What it said before its restart is drawn, and nothing of it runs; the banner stays."""
    notebook.open("gone.ipynb", [f"{CHAT} slow"], env=env)
    panel, page = shown(notebook), notebook.page
    page.evaluate(HOLD_WORDS)
    panel.ask("are you there?")
    page.wait_for_function(HEARD, timeout=WAIT)

    page.evaluate(RESTART_AFTER_ONE)
    page.evaluate(LAST_WORDS)

    expect(panel.banner).to_contain_text("The kernel was restarted")
    expect(panel.notes).to_have_text("interrupted: the kernel is gone")
    expect(panel.root.locator(".st-activity")).to_have_count(0)
    expect(panel.button("Send")).to_be_visible()
    expect(panel.text).to_have_value("are you there?")
    assert notebook.page_errors == []


def test_a_kernel_that_is_gone_unheard_is_missed(notebook: Notebook, env: dict[str, str]):
    """Where nobody tells the page, such as after a restart from elsewhere, the silence does."""
    notebook.open("silence.ipynb", [f"{CHAT} slow"], env=env)
    panel, page = shown(notebook), notebook.page
    page.evaluate(HASTE)
    panel.ask("are you there?")
    expect(panel.answers).to_contain_text("word2 ")

    [running] = notebook.server.api("GET", "api/sessions")
    notebook.server.api("POST", f"api/kernels/{running['kernel']['id']}/restart")

    expect(panel.banner).to_contain_text("If it was restarted, run", timeout=WAIT)
    run(notebook, 0)  # JupyterLab goes on to speak to a subshell that went with the old kernel
    expect(panel.banner).to_contain_text("If you have, save, and reload the page", timeout=WAIT)
    assert notebook.page_errors == []


def run(notebook: Notebook, cell: int) -> None:
    """Run a cell to its end."""
    notebook.run_cell(cell)
    notebook.wait_idle()
