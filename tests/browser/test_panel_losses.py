"""The chat panel when responses, updates or the kernel are lost."""

import pytest
from playwright.sync_api import expect

from tests.support.jupyter import Notebook
from tests.support.panels import CHAT, SHOW_PANEL, WAIT, show_panel

pytestmark = pytest.mark.browser

# Make the panel's timeouts 25 times shorter, and record their original length.
SHORTEN_TIMEOUTS = """() => {
  const real = window.setTimeout;
  window.timeouts = [];
  window.setTimeout = (then, ms, ...more) => {
    const isTimeout = ms >= 5000 && Math.log2(ms / 5000) % 1 === 0;
    if (isTimeout) window.timeouts.push(ms);
    return real(then, isTimeout || ms === 18000 ? ms / 25 : ms, ...more);
  };
}"""
LOSE_RESPONSES = """channel, lost = panel._channel, []
respond, ask = channel.respond, panel._ask
def drop(request, kind="response", **fields):
    if request["kind"] in ("ask", "choose_agent", "get_snapshot"):
        lost.append((request, kind, fields))
    else:
        respond(request, kind, **fields)
channel.respond = drop
panel._ask = lambda request: None"""
ASK_AGAIN = 'panel._ask = ask\npanel._choose_agent({"agent": "echo"})'
MISS_ONE = "channel.revision += 1\nchannel.heartbeat()"
HOLD_QUESTIONS = (
    "held = []\npanel._ask = held.append\nrespond_now = channel.respond\nchannel.respond = drop"
)
ANSWER_HELD = "panel._ask = ask\nchannel.respond = respond_now\n[ask(request) for request in held]"
SEND_LOST_SNAPSHOTS = """channel.respond = respond
for request, kind, fields in lost:
    if kind == "snapshot":
        respond(request, kind, **fields)"""
COUNT_REDRAWS = """() => {
  window.redrawn = 0;
  const log = document.querySelector('.swiftask-panel [role=log]');
  new MutationObserver((all) => all.forEach(({ removedNodes }) => [...removedNodes].forEach(
    (node) => { if (node.className === 'st-exchange') window.redrawn += 1; }
  ))).observe(log, { childList: true });
}"""
# Hold back the kernel's messages to the panel. Later, deliver all but the first one too late.
HOLD_MESSAGES = """() => {
  const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
  window.held = [];
  for (const comm of kernel._comms.values()) {
    const receive = comm.onMsg;
    comm.onMsg = (message) => void window.held.push(() => receive(message));
  }
}"""
HELD = "() => window.held.length >= 3"  # the exchange, the state, the response
RESTART_AFTER_ONE = """() => {
  const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
  window.held.shift()();
  return kernel.restart();
}"""
DELIVER_HELD = """() => {
  for (const deliver of window.held) deliver();
  return new Promise((then) => setTimeout(then, 200));
}"""


def test_after_a_lost_response_everything_can_be_used(notebook: Notebook, env: dict[str, str]):
    """A lost question can be sent again; a view without response asks at growing intervals."""
    cells = [SHOW_PANEL, LOSE_RESPONSES, ASK_AGAIN, MISS_ONE, SEND_LOST_SNAPSHOTS]
    notebook.open("losses.ipynb", cells, env=env)
    panel, page = show_panel(notebook), notebook.page
    page.evaluate(SHORTEN_TIMEOUTS)
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

    page.evaluate(COUNT_REDRAWS)
    run(notebook, 3)
    page.wait_for_function("() => window.timeouts.includes(40000)", timeout=WAIT)
    run(notebook, 4)
    panel.ask("third")
    panel.ended(3)
    assert page.evaluate("() => window.redrawn") == 2
    assert notebook.page_errors == []


def test_a_question_that_is_received_late_does_not_disturb_an_edit(
    notebook: Notebook, env: dict[str, str]
):
    """The edited question is asked in its slot, and the received question is no draft any more."""
    notebook.open(
        "late.ipynb",
        [SHOW_PANEL, LOSE_RESPONSES, ASK_AGAIN, SEND_LOST_SNAPSHOTS, HOLD_QUESTIONS, ANSWER_HELD],
        env=env,
    )
    panel = show_panel(notebook)
    notebook.page.evaluate(SHORTEN_TIMEOUTS)
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

    expect(panel.prompts).to_have_text(["first, edited", "second"])
    panel.ended(2)
    expect(panel.text).to_have_value("")
    assert notebook.page_errors == []


def test_late_messages_of_a_dead_kernel_hide_no_warning(notebook: Notebook, env: dict[str, str]):
    """Its last messages are drawn, no answer counts as running, and the warning stays."""
    notebook.open("gone.ipynb", [f"{CHAT} slow"], env=env)
    panel, page = show_panel(notebook), notebook.page
    page.evaluate(HOLD_MESSAGES)
    panel.ask("are you there?")
    page.wait_for_function(HELD, timeout=WAIT)

    page.evaluate(RESTART_AFTER_ONE)
    page.evaluate(DELIVER_HELD)

    expect(panel.banner).to_contain_text("The kernel was restarted")
    expect(panel.footers).to_have_text("interrupted: the kernel is gone")
    expect(panel.root.locator(".st-activity")).to_have_count(0)
    expect(panel.button("Send")).to_be_visible()
    expect(panel.text).to_have_value("are you there?")
    assert notebook.page_errors == []


def test_a_restart_that_the_page_does_not_see_is_noticed_by_silence(
    notebook: Notebook, env: dict[str, str]
):
    """Such as a restart from another page: then no message comes for many seconds."""
    notebook.open("silence.ipynb", [f"{CHAT} slow"], env=env)
    panel, page = show_panel(notebook), notebook.page
    page.evaluate(SHORTEN_TIMEOUTS)
    panel.ask("are you there?")
    expect(panel.answers).to_contain_text("word2 ")

    [running] = notebook.server.api("GET", "api/sessions")
    notebook.server.api("POST", f"api/kernels/{running['kernel']['id']}/restart")

    expect(panel.banner).to_contain_text("If it was restarted, run", timeout=WAIT)
    run(notebook, 0)  # JupyterLab keeps sending to a subshell of the old kernel
    expect(panel.banner).to_contain_text("If you have, save, and reload the page", timeout=WAIT)
    assert notebook.page_errors == []


def run(notebook: Notebook, cell: int) -> None:
    """Run a cell and wait until it has ended."""
    notebook.run_cell(cell)
    notebook.wait_idle()
