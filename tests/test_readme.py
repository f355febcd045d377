"""What the README shows runs, and it names every magic, option and command."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from swiftask_jupyter.notebook.arguments import line_parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_of_the_readme_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

    exec(compile(code, "README.md", "exec"), {})

    assert "Delta(text='hell')" in capsys.readouterr().out


def test_the_readme_names_every_option_and_command(shell):
    for flag in line_parser().flags():
        assert flag in README
    for command in ("%swiftask`", "%swiftask usage", "%swiftask help", "%swiftask sandbox"):
        assert command in README


@pytest.mark.parametrize(
    "path", sorted((ROOT / "example_notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_every_example_notebook_runs_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)

    NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
