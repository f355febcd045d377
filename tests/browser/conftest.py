"""A Jupyter server and a browser for the session, a page for each test; skips loudly without."""

from collections.abc import Generator, Iterator
from contextlib import closing, suppress

import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from swiftask_jupyter import Sandbox
from tests.support.find_chromium import find_chromium
from tests.support.jupyter import JupyterServer, Notebook
from tests.support.panels import environment, fetch_axe

NO_CHROMIUM = "no Chromium that starts; set CHROMIUM, or run `make test`, which installs one"
FLAGS = (  # what Chromium needs as root and in a container, and to keep quiet
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)


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
    """A page of its own, on which this test opens its notebook."""
    with closing(Notebook(browser, jupyter)) as page:
        yield page


@pytest.fixture
def env(box: Sandbox) -> dict[str, str]:
    """A kernel that asks the sandbox, and writes to this test's ledger."""
    return environment(box)


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe; session-wide, so that npm sees the user's proxies."""
    source, why_not = fetch_axe(tmp_path_factory.mktemp("axe"))
    if not source:
        pytest.skip(why_not)
    return source


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run browser tests last, and not at all without a browser.

    Last, because Playwright keeps an event loop running in the main thread, in which no other
    test could call `asyncio.run`.
    """
    items.sort(key=_in_a_browser)
    chosen = [item for item in items if _in_a_browser(item)]
    if chosen and find_chromium() is None:
        for item in chosen:
            item.add_marker(pytest.mark.skip(reason=NO_CHROMIUM))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show, with a failure, what the server said and where the picture of the page is."""
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
    """Name the browser tests that did not run."""
    not_run: dict[str, list[str]] = {}
    for report in terminalreporter.getreports("skipped"):
        if "browser" in report.keywords and isinstance(report.longrepr, tuple):
            not_run.setdefault(report.longrepr[2], []).append(report.nodeid)
    if not_run:
        terminalreporter.section("BROWSER TESTS THAT DID NOT RUN", sep="!", red=True, bold=True)
    for why, names in not_run.items():
        terminalreporter.write_line("\n  ".join([why, *names]))


def _in_a_browser(item: pytest.Item) -> bool:
    return item.get_closest_marker("browser") is not None
