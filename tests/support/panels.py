"""A chat panel on a page, as its user finds it: by role, label and text."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from swiftask_jupyter import Sandbox

LOAD = "%load_ext swiftask_jupyter"
CHAT = f"{LOAD}\n%swiftask chat"
AXE = "axe-core@4.10.3"
RULES = {"resultTypes": ["violations"]}
WAIT = 30_000


class Panel:
    """One view of a panel."""

    def __init__(self, page: Page, number: int = 0) -> None:
        self.page = page
        self.root = page.locator(".swiftask-panel:visible").nth(number)
        self.text = self.root.get_by_label("Message", exact=True)
        self.log = self.root.get_by_role("log")
        self.exchanges = self.root.locator(".st-exchange")
        self.answers = self.root.locator(".st-answer .st-body")
        self.notes = self.root.locator(".st-footer-text")
        self.banner = self.root.get_by_role("alert")

    def button(self, name: str) -> Locator:
        """A button by the words that a screen reader says."""
        return self.root.get_by_role("button", name=name, exact=True)

    def ready(self) -> "Panel":
        """Wait until the kernel has been heard of."""
        expect(self.root.locator(".st-placeholder")).to_contain_text(
            "No messages yet.", timeout=WAIT
        )
        return self

    def ask(self, text: str) -> None:
        """Type and press Enter."""
        self.text.fill(text)
        self.text.press("Enter")

    def choose(self, agent: str) -> None:
        """Type an agent's name."""
        self.root.get_by_label("Agent").fill(agent)
        self.root.get_by_label("Agent").press("Tab")

    def ended(self, count: int = 1) -> Locator:
        """Wait until so many answers have ended; return the last one."""
        expect(self.notes).to_have_count(count, timeout=WAIT)
        expect(self.button("Send")).to_be_visible(timeout=WAIT)
        return self.answers.last

    def html(self) -> list[str]:
        """What stands in each exchange."""
        return self.exchanges.evaluate_all("(found) => found.map((each) => each.innerHTML)")


def environment(box: Sandbox) -> dict[str, str]:
    """A kernel that asks the sandbox, and writes to this test's ledger."""
    own = {"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    return own | {"SWIFTASK_STORE": os.environ["SWIFTASK_STORE"]}


def fetch_axe(folder: Path) -> tuple[str, str]:
    """The source of axe, out of npm's registry; or why it can't be had."""
    if not (npm := shutil.which("npm")):
        return "", "npm is not installed, so axe can't look for what keeps people out"
    command = [npm, "pack", AXE, "--silent", "--ignore-scripts"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        return "", f"npm could not fetch {AXE} ({type(error).__name__})"
    [archive] = folder.glob("*.tgz")
    with tarfile.open(archive) as packed, packed.extractfile("package/axe.min.js") as file:
        return file.read().decode(), ""


def violations(page: Page, axe: str) -> list[dict[str, Any]]:
    """What axe finds in the panels of a page: each rule and where it is broken."""
    page.evaluate(axe)
    run = "(options) => window.axe.run('.swiftask-panel', options)"
    found = page.evaluate(run, RULES)["violations"]
    return [
        {"rule": each["id"], "help": each["help"], "at": [node["html"] for node in each["nodes"]]}
        for each in found
    ]
