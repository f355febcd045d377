"""Public collections of hostile texts do nothing in live cells of a real front end.

The collections are not part of this repository. One is fetched from npm's registry. To add your
own, set HOSTILE_PAYLOADS to the names of files with one payload per line, joined by `os.pathsep`.
"""

from contextlib import closing
from urllib.parse import urlsplit

import pytest
from nbformat.v4 import new_code_cell
from playwright.sync_api import Browser, expect

from swiftask_jupyter import Sandbox
from tests.support.hostility import (
    PageGuard,
    block_other_hosts,
    question,
    slow_echo_environment,
    split,
    wrap_scripts,
)
from tests.support.jupyter import App, JupyterServer, Notebook
from tests.support.panels import LOAD

pytestmark = [pytest.mark.browser, pytest.mark.soak, pytest.mark.timeout(3000)]

APPS = pytest.mark.parametrize("app", ["lab", "notebook"])
PER_CELL, PER_NOTEBOOK = 25, 500
# The first part of each path that a front end requests from its server while a notebook runs.
JUPYTER_PATHS = {"api", "lab", "static", "lsp", "files"}
HARM = """<script>alert(1); setTimeout('alert(1)', 0)</script>
<img src=x onerror=confirm(1)><details open ontoggle=prompt(1)></details>
<iframe srcdoc='<script>eval(1)</script>'></iframe>
<a href=javascript:x()>x</a><button onclick=print()>x</button>"""


@APPS
def test_no_text_of_the_public_collections_does_anything(
    browser: Browser, jupyter: JupyterServer, app: App, box: Sandbox, collection: list[str]
):
    """No script runs, nothing is fetched, and the page stays, also when everything is clicked."""
    env = slow_echo_environment(box)
    cells = ["\n\n".join(some) for some in split(collection, PER_CELL)]
    assert len(collection) >= 200
    opened = clicked = 0

    for number, some in enumerate(split(cells, PER_NOTEBOOK // PER_CELL)):
        with closing(Notebook(browser, jupyter)) as notebook:
            block_other_hosts(notebook)
            wrap_scripts(notebook)
            questions = [question(text) for text in some]
            notebook.open(f"collection{number}.ipynb", [LOAD, *questions], app=app, env=env)
            guard = PageGuard(notebook)

            notebook.run_all()
            notebook.wait_idle()
            for i in range(1, len(some) + 1):
                notebook.wait_text(i, " · turn ")

            assert len(guard.recorded("Texts")) > 2 * len(some)  # recorded while the answers grew
            assert notebook.foreign_requests() == []
            assert what_happened(guard) == {}

            clicked += guard.click_everything()

            opened += guard.opened
            assert what_happened(guard) == {}

    print(f"{app}: {len(collection)} payloads, {len(cells)} cells; ", end="")  # noqa: T201
    print(f"{clicked} elements to click, {opened} pages opened by links")  # noqa: T201
    sent = [seen.json["messages"][-1]["content"] for seen in box.requests if seen.method == "POST"]
    assert [(got, cell) for got, cell in zip(sent, cells, strict=True) if got != cell] == []


@APPS
def test_the_guard_records_a_script_that_runs(
    browser: Browser, jupyter: JupyterServer, app: App, box: Sandbox
):
    """A control: this shows that the test above could fail."""
    show = new_code_cell(f"from IPython.display import HTML\nHTML({HARM!r})")
    with closing(Notebook(browser, jupyter)) as notebook:
        wrap_scripts(notebook)
        notebook.open("control.ipynb", [show], app=app)
        guard = PageGuard(notebook)

        notebook.run_all()
        notebook.wait_idle()
        expect(notebook.output(0).locator("iframe")).to_have_count(1)
        notebook.page.wait_for_function("() => new Set(window.testMarks).size > 4")

        assert set(guard.recorded("Marks")) == {"alert", "setTimeout", "confirm", "prompt", "eval"}
        assert "javascript:" in guard.recorded("Schemes")
        guard.click_everything()
        notebook.page.wait_for_function("() => window.testMarks.includes('print')")


def what_happened(guard: PageGuard) -> dict[str, object]:
    """Return what must not happen and did, unusual requests to the Jupyter server included."""
    paths = [urlsplit(url).path for url in guard.requests if url.startswith("http")]
    strange = [path for path in paths if path.split("/")[1] not in JUPYTER_PATHS]
    return guard.what_happened() | ({"of Jupyter": strange} if strange else {})
