"""What is in sight in a chat panel, and what can be pressed there, while something happens."""

import pytest
from playwright.sync_api import expect

from .jupyter import Notebook
from .panels import Panel
from .test_panel import PANEL, shown

pytestmark = pytest.mark.browser

LONG = "a question\n" * 12
# How far the running exchange is below the top of the log.
BELOW_TOP = """(log) => log.querySelector('.st-running').getBoundingClientRect().top
  - log.getBoundingClientRect().top"""
AT_THE_END = """() => {
  const log = document.querySelector('.swiftask-panel [role=log]');
  return log.scrollHeight - log.scrollTop - log.clientHeight < 2;
}"""


def test_what_runs_is_in_sight(notebook: Notebook, env: dict[str, str]):
    """An early question that is asked again is; at the end the newest text is, resized or not."""
    notebook.open("sight.ipynb", [PANEL], env=env)
    panel, page = shown(notebook), notebook.page
    panel.choose("echo")
    for count in range(1, 5):
        panel.ask(LONG)
        panel.ended(count)
    for width in ("320px", ""):
        panel.root.evaluate("(root, width) => { root.style.width = width; }", width)
        page.wait_for_function(AT_THE_END)
        expect(panel.button("Go to the newest message")).to_be_hidden()

    panel.choose("slow")
    panel.button("Edit and ask again").nth(1).click()
    panel.ask(LONG)
    check_held(panel)
    panel.button("Stop").click()
    panel.ended(4)
    panel.button("Ask again").nth(1).click()
    check_held(panel)
    panel.button("Go to the newest message").click()
    page.wait_for_function(AT_THE_END)
    panel.button("Stop").click()
    panel.ended(4)
    assert notebook.page_errors == []


def check_held(panel: Panel) -> None:
    """The question that runs stands at the top, however the answer grows."""
    for word in ("word3 ", "word12 "):
        expect(panel.answers.nth(1)).to_contain_text(word)
        assert 0 <= panel.log.evaluate(BELOW_TOP) < 20
