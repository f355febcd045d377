"""The code in the README runs, its tables are up to date, and it names every command."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from swiftask_jupyter.notebook.arguments import line_parser
from swiftask_jupyter.notebook.commands.registry import COMMANDS
from tests.support import readme

ROOT = Path(__file__).parent.parent
README = readme.README.read_text("utf-8")


def test_the_python_code_of_the_readme_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

    exec(compile(code, "README.md", "exec"), {})

    assert "Delta(text='hell')" in capsys.readouterr().out


def test_the_tables_of_options_are_as_generated():
    assert readme.updated(README) == README, "run python -m tests.support.readme"


def test_the_readme_names_every_flag_and_command():
    flags = line_parser().flags()

    assert [flag for flag in flags if not re.search(rf"`{flag}[ `]", README)] == []
    words = {word for code in re.findall(r"`([^`\n]+)`", README) for word in code.split()}
    assert sorted({*COMMANDS} - words - {""}) == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "example_notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_every_example_notebook_runs_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)

    NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
