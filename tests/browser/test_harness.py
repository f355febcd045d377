"""Tests of `tests/support/jupyter.py`, which runs notebooks in a browser for other tests."""

import pytest
from nbformat.v4 import new_markdown_cell

from tests.support.jupyter import App, Notebook

pytestmark = pytest.mark.browser

APPS = pytest.mark.parametrize("app", ["lab", "notebook"])


@APPS
def test_cells_run_and_show_their_output_and_are_saved(notebook: Notebook, app: App):
    """No request goes to another host than the Jupyter server."""
    notebook.open(
        "deep/a note.ipynb",
        [new_markdown_cell("# Sums"), "2 + 2", "import os; print(os.environ['FRUIT'])"],
        app=app,
        env={"FRUIT": "quince"},
    )

    notebook.run_all()
    notebook.wait_idle()
    notebook.save()

    assert notebook.output_text(1) == "4"
    assert "quince" in notebook.output_html(2)
    assert [notebook.prompt(i) for i in (1, 2)] == ["[1]:", "[2]:"]
    assert notebook.saved().cells[2].outputs[0].text == "quince\n"
    assert notebook.requests
    assert notebook.foreign_requests() == []
    assert notebook.page_errors == []


@APPS
@pytest.mark.parametrize("by", ["button", "menu"])
def test_the_stop_button_and_the_kernel_menu_interrupt_a_cell(notebook: Notebook, app: App, by):
    """The sleep ends with a KeyboardInterrupt, and the kernel runs the next cell."""
    notebook.open("stop.ipynb", ["import time; print('on'); time.sleep(300)", "6 * 7"], app=app)
    notebook.run_cell(0)
    notebook.wait_text(0, "on")
    assert notebook.prompt(0) == "[*]:"

    notebook.interrupt(by=by)
    notebook.wait_idle()
    notebook.run_cell(1)

    notebook.wait_text(1, "42")
    assert "KeyboardInterrupt" in notebook.output_text(0)


@APPS
def test_the_dark_theme_is_dark_and_the_light_theme_is_light(notebook: Notebook, app: App):
    """By the background of the notebook."""
    shades = {}
    for theme in ("light", "dark"):
        notebook.open(f"{theme}.ipynb", ["'a cell'"], app=app, theme=theme)
        background = (
            "() => getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor"
        )
        red, green, blue = notebook.page.evaluate(f"({background})().match(/\\d+/g).map(Number)")
        shades[theme] = (red + green + blue) / 3

    assert shades["light"] > 200
    assert shades["dark"] < 60


def test_kernel_pid_is_the_process_id_of_the_kernel(notebook: Notebook):
    """Asking for it does not count as a cell: the next cell is still number 1."""
    notebook.open("pid.ipynb", ["import os; os.getpid()"])

    pid = notebook.kernel_pid()
    notebook.run_cell(0)
    notebook.wait_idle()

    assert notebook.output_text(0) == str(pid)
    assert notebook.prompt(0) == "[1]:"
