"""The Chromium that the browser tests drive: where it is, and how to get one.

As a script (`python tests/browser/find_chromium.py`) it installs Chromium if there is none: from
apt if that is there and allowed, else Playwright's own. It always ends well: without Chromium the
browser tests are skipped, and say so.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")

MISSING = """
==================================================================================
 NO CHROMIUM, AND NONE COULD BE INSTALLED.
 Will not run: every test in tests/browser (JupyterLab 4 and Notebook 7, for real).
 Install Chromium, or set CHROMIUM to the path of one, and run this again.
==================================================================================
"""


def find_chromium() -> Path | None:
    """Find a Chromium that starts: CHROMIUM, then PATH, then Playwright's own."""
    if named := os.environ.get("CHROMIUM"):
        return Path(named) if _starts(named) else None
    for name in NAMES:
        if (found := shutil.which(name)) and _starts(found):
            return Path(found)
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return Path(own) if _starts(own) else None


def get_chromium() -> Path | None:
    """Find Chromium, or install one and find that."""
    for install in (None, _from_apt, _from_playwright):
        if install is not None:
            install()
        if found := find_chromium():
            return found
    return None


def _from_apt() -> None:
    if not (apt := shutil.which("apt-get")):
        return
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if as_root and not _runs(["sudo", "-n", "true"]):
        return
    quiet = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-q", "-y"]
    _runs([*quiet, "update"])
    _runs([*quiet, "install", "--no-install-recommends", "chromium"])


def _from_playwright() -> None:
    _runs([sys.executable, "-m", "playwright", "install", "chromium"])


def _runs(command: list[str]) -> bool:
    """Run `command` in the open, asking nobody; say whether it went well."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def _starts(path: str) -> bool:
    """Tell a browser from what only bears its name, as Ubuntu's pointer to a snap does."""
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


if __name__ == "__main__":
    found = get_chromium()
    sys.stdout.write(f"Chromium: {found}\n" if found else MISSING)
