"""Find the Chromium that the browser tests drive, or install one.

Run as a script (`python tests/support/find_chromium.py`) to install Chromium if there is none: from
apt if apt is present and permitted, otherwise Playwright's build. The script never fails: without
Chromium the browser tests are skipped with a message.
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
    """Return a Chromium that starts: from CHROMIUM, then PATH, then Playwright's build."""
    if named := os.environ.get("CHROMIUM"):
        return Path(named) if _starts(named) else None
    for name in NAMES:
        if (found := shutil.which(name)) and _starts(found):
            return Path(found)
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return Path(own) if _starts(own) else None


def install_chromium() -> Path | None:
    """Return a Chromium that starts, after installing one if there is none."""
    for install in (None, _install_from_apt, _install_from_playwright):
        if install is not None:
            install()
        if found := find_chromium():
            return found
    return None


def _install_from_apt() -> None:
    if not (apt := shutil.which("apt-get")):
        return
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if as_root and not _run(["sudo", "-n", "true"]):
        return
    quiet = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-q", "-y"]
    _run([*quiet, "update"])
    _run([*quiet, "install", "--no-install-recommends", "chromium"])


def _install_from_playwright() -> None:
    _run([sys.executable, "-m", "playwright", "install", "chromium"])


def _run(command: list[str]) -> bool:
    """Run a command with its output shown and without input; tell whether it succeeded."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def _starts(path: str) -> bool:
    """Tell whether it is a browser, and not, say, Ubuntu's script that only points to a snap."""
    try:
        result = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0


if __name__ == "__main__":
    found = install_chromium()
    sys.stdout.write(f"Chromium: {found}\n" if found else MISSING)
