"""A chat panel on a page, found as its user finds it: by role, label and text."""

import os
from typing import Any

from playwright.sync_api import Locator, Page, expect

from swiftask_jupyter import Sandbox
from tests.support.jupyter import Notebook

RULES = {"resultTypes": ["violations"]}
WAIT = 30_000  # ms

# Cells of a notebook.
LOAD = "%load_ext swiftask_jupyter"
CHAT = f"{LOAD}\n%swiftask chat"
CLIENT = f"""{LOAD}
client = get_ipython().magics_manager.registry["SwiftaskMagics"].client"""
SHOW_PANEL = f"""{CLIENT}
from swiftask_jupyter import ChatPanel
panel = ChatPanel(client, "lorem")
panel"""
# Runs until a file exists, so that the test decides how long.
RUN_UNTIL_GO = "import pathlib, time\nwhile not pathlib.Path('go').exists():\n    time.sleep(.02)"

# Scripts for the page.
USE_DARK_THEME = """() => window.jupyterapp.commands.execute('apputils:change-theme',
  {theme: 'JupyterLab Dark'})"""
DROP_FILES = """([names, size]) => {
  const carried = new DataTransfer();
  for (const name of names) carried.items.add(new File([new Uint8Array(size)], name));
  const options = { dataTransfer: carried, bubbles: true, cancelable: true };
  document.querySelector('.swiftask-panel').dispatchEvent(new DragEvent('drop', options));
}"""


class Panel:
    """One view of a panel.

    Args:
        page: the page.
        number: which of the visible panels on the page.
    """

    def __init__(self, page: Page, number: int = 0) -> None:
        self.page = page
        self.root = page.locator(".swiftask-panel:visible").nth(number)
        self.text = self.root.get_by_label("Message", exact=True)
        self.log = self.root.get_by_role("log")
        self.exchanges = self.root.locator(".st-exchange")
        self.prompts = self.root.locator(".st-prompt")
        self.answers = self.root.locator(".st-answer .st-body")
        self.footers = self.root.locator(".st-footer-text")
        self.errors = self.root.locator(".st-error")
        self.banner = self.root.get_by_role("alert")
        self.uploads = self.root.locator("progress")

    def button(self, name: str) -> Locator:
        """Return the button with this label."""
        return self.root.get_by_role("button", name=name, exact=True)

    def ready(self) -> "Panel":
        """Wait until the panel has the state from the kernel, and return it."""
        expect(self.root.locator(".st-placeholder")).to_contain_text(
            "No messages yet.", timeout=WAIT
        )
        return self

    def ask(self, text: str) -> None:
        """Type a question and press Enter."""
        self.text.fill(text)
        self.text.press("Enter")

    def choose(self, agent: str) -> None:
        """Type an agent's name."""
        self.root.get_by_label("Agent").fill(agent)
        self.root.get_by_label("Agent").press("Tab")

    def ended(self, count: int = 1) -> Locator:
        """Wait until this many answers have ended; return the last one."""
        expect(self.footers).to_have_count(count, timeout=WAIT)
        expect(self.button("Send")).to_be_visible(timeout=WAIT)
        return self.answers.last

    def html(self) -> list[str]:
        """Return the inner HTML of each exchange."""
        return self.exchanges.evaluate_all("(found) => found.map((each) => each.innerHTML)")


def show_panel(notebook: Notebook, cell: int = 0) -> Panel:
    """Run the cell that displays a panel, and wait until the panel is ready."""
    notebook.run_cell(cell)
    notebook.wait_idle()
    return Panel(notebook.page).ready()


def environment(box: Sandbox) -> dict[str, str]:
    """Return the environment of a kernel that asks the sandbox and uses this test's ledger."""
    own = {"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    return own | {"SWIFTASK_STORE": os.environ["SWIFTASK_STORE"]}


def violations(page: Page, axe: str) -> list[dict[str, Any]]:
    """Return each accessibility rule that the panels on a page break, and where."""
    page.evaluate(axe)
    run = "(options) => window.axe.run('.swiftask-panel', options)"
    found = page.evaluate(run, RULES)["violations"]
    return [
        {"rule": each["id"], "help": each["help"], "at": [node["html"] for node in each["nodes"]]}
        for each in found
    ]
