"""Usage in JupyterLab: the table, the plot, and the usage read from the saved file."""

from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import expect

from swiftask_jupyter import Swiftask, usage_from_notebooks
from tests.support.jupyter import Notebook
from tests.support.panels import LOAD

pytestmark = pytest.mark.browser

BACKGROUND = "(image) => getComputedStyle(image.parentElement).backgroundColor"


def test_the_table_and_the_plot_are_shown_and_the_saved_file_has_the_same_usage(
    notebook: Notebook, env: dict[str, str], tmp_path: Path
):
    """In the dark theme, in which the plot must have no background of its own."""
    env["TMPDIR"] = str(tmp_path)  # here the kernel finds no sandbox: it counts as a live service
    cells = [
        LOAD,
        "%%swiftask lorem --dialect openai\nhello",
        "%%swiftask lorem --dialect native\nhello",
        "%%swiftask echo magic <<\nhello",
        "%swiftask usage --by agent",
        "%swiftask usage --plot",
        "%%swiftask nobody-of-that-name\nhello",
    ]
    notebook.open("usage.ipynb", cells, theme="dark", env=env)

    notebook.run_all()
    notebook.wait_idle()
    notebook.save()

    expect(notebook.output(4).locator("tbody tr")).to_have_count(2)
    plot = notebook.output(5).locator("img")
    expect(plot).to_have_count(1)
    assert plot.evaluate(BACKGROUND) == "rgba(0, 0, 0, 0)"
    with Swiftask() as client:
        live = client.usage()
    frame = usage_from_notebooks(notebook.path)
    assert live["notebook"].tolist() == [str(notebook.path)] * 4
    assert live["status"].tolist() == ["ok", "ok", "ok", "error"]
    pd.testing.assert_frame_equal(frame, live)
    assert notebook.page_errors == []
