"""Hostile answers in a live cell of a real front end do nothing."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from swiftask_jupyter import Sandbox
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.hostility import PER_CELL, Listener, PageGuard, arm, question
from tests.support.jupyter import App, Notebook
from tests.support.panels import LOAD
from tests.support.payloads import FORMULAS, MORE, TAME, TYPEABLE_PAYLOADS

pytestmark = pytest.mark.browser

APPS = pytest.mark.parametrize("app", ["lab", "notebook"])
ALPHA = "\N{GREEK SMALL LETTER ALPHA}"


@APPS
def test_a_hostile_answer_does_nothing_while_it_streams_afterwards_and_when_clicked(
    notebook: Notebook, app: App, slow_echo_env: dict[str, str], listener: Listener
):
    """No script runs, nothing is fetched, no command of the front end is run."""
    payloads = [*TAME, *MORE, *FORMULAS, *TYPEABLE_PAYLOADS]
    texts = [arm(payload, i, listener) for i, payload in enumerate(payloads)]
    batches = ["\n\n".join(texts[i : i + PER_CELL]) for i in range(0, len(texts), PER_CELL)]
    notebook.open("hostile.ipynb", [LOAD, *map(question, batches)], app=app, env=slow_echo_env)
    guard = PageGuard(notebook)

    notebook.run_all()
    notebook.wait_idle()
    for i in range(1, len(batches) + 1):
        notebook.wait_text(i, " · turn ")

    assert len(guard.recorded("Texts")) > 3 * len(batches)  # recorded while the answers grew
    assert notebook.foreign_requests() == []
    assert listener.connections == 0
    assert guard.what_happened() == {}

    assert guard.click_everything() > 40

    assert guard.opened > 30
    assert listener.paths == []
    assert guard.what_happened() == {}


@APPS
def test_a_formula_that_is_not_allowed_is_never_typeset(
    notebook: Notebook, app: App, slow_echo_env: dict[str, str], listener: Listener, box: Sandbox
):
    r"""A long paragraph, which is shown in two parts while it grows, must not be typeset either.

    Otherwise one `\def` would change the formulas in the user's own cells.
    """
    box.clear_faults()
    box.fail(Fault(pause=0.01))
    text = " and words upon words, ".join(arm(formula, 0, listener) for formula in FORMULAS * 5)
    own_cell = "from IPython.display import Latex; Latex(r'$x + \\alpha$')"
    notebook.open("formulas.ipynb", [LOAD, question(text), own_cell], app=app, env=slow_echo_env)
    alpha = notebook.output(2).locator("mjx-container math mi").nth(1)
    notebook.run_cell(0)
    notebook.run_cell(2)
    expect(alpha).to_have_text(ALPHA)  # MathJax is loaded
    guard = PageGuard(notebook, cell=1)

    notebook.run_cell(1)
    notebook.wait_idle()
    notebook.wait_text(1, " · turn ")

    assert len(guard.recorded("Texts")) > 10
    assert "mjx-container" not in guard.recorded("Kinds")
    assert listener.connections == 0
    assert guard.what_happened() == {}
    notebook.run_cell(2)
    notebook.wait_idle()
    expect(alpha).to_have_text(ALPHA)


@APPS
@pytest.mark.parametrize("shown_as", ["HTML", "Markdown"])
def test_the_guard_records_the_payloads_that_are_shown_as_html_or_markdown(
    notebook: Notebook, app: App, shown_as: str, listener: Listener
):
    """A control: this shows that the tests above could fail."""
    texts = [arm(payload, i, listener) for i, payload in enumerate(TAME)]
    show = f"from IPython.display import {shown_as}, display\n"
    show += f"for text in {texts!r}:\n    display({shown_as}(text))"
    notebook.open("control.ipynb", [show], app=app)
    guard = PageGuard(notebook)

    notebook.run_all()
    notebook.wait_idle()
    expect(notebook.output(0).locator("button")).to_have_count(1)
    notebook.page.wait_for_function("() => window.testMarks.length > 1")

    assert guard.recorded("Marks") == [0, 1]
    assert {"script", "img", "@onerror", "button"} <= set(guard.recorded("Kinds"))
    assert {urlsplit(url).netloc for url in notebook.foreign_requests()} == {listener.host}
    guard.click_everything()
    assert {"/fetched", "/image"} <= set(listener.paths)
    assert "notebook:select-all" in guard.recorded("Commands")
