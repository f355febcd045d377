"""The example notebook, run by papermill.

That the kernel's tests hold on other versions is for `make soak` to see, which runs them all in
an environment with ipykernel 6 and IPython 8, and on every Python that is on PATH.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from swiftask_jupyter.answers.turn import TURN_MIME_TYPE

pytestmark = pytest.mark.soak

EXAMPLE = Path(__file__).parent.parent / "example_notebooks" / "01_first_cell.ipynb"
NO_PAPERMILL = "papermill is not installed here; `make soak` has it beside ipykernel 6"


@pytest.mark.skipif(importlib.util.find_spec("papermill") is None, reason=NO_PAPERMILL)
def test_papermill_runs_the_example_notebook_to_its_end(tmp_path):
    done = tmp_path / "done.ipynb"
    command = [sys.executable, "-m", "papermill", str(EXAMPLE), str(done), "--no-progress-bar"]

    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr[-3000:]
    notebook = nbformat.read(done, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    turns = [
        output.data[TURN_MIME_TYPE]
        for output in outputs
        if TURN_MIME_TYPE in output.get("data", {})
    ]
    assert all(cell.execution_count for cell in cells)
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [turn["status"] for turn in turns] == ["ok"] * 3
    assert "<table" in outputs[-1].data["text/html"]
