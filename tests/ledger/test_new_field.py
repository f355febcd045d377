"""A new usage field is added in three files, and then is everywhere that a turn is read.

A copy of the package gets a made-up field, `thinking_tokens`, as docs/architecture.md says.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import swiftask_jupyter
from swiftask_jupyter.answers.turn import Usage

ROOT = Path(swiftask_jupyter.__file__).parent
DEFINITION, MIGRATION, DIALECTS = "answers/turn.py", "ledger/migrations.py", "protocols/base.py"

# Why each other file names a usage field. A new field is added to none of them, unless it is to
# be used there too.
USES = {
    "batch/progress.py": "what a batch may cost",
    "batch/results.py": "two columns of a batch's result",
    "cli.py": "what the demonstration shows",
    "client.py": "what docstrings say of columns and budgets",
    "errors.py": "what a used-up quota is",
    "protocols/errors.py": "advice on a used-up quota",
    "protocols/limits.py": "the words by which services tell of a used-up quota",
    "protocols/openai_shapes.py": "where the service reports it",
    "conversation/running_turn.py": "a cached answer costs 0",
    "ledger/budgets.py": "what counts against a budget",
    "ledger/history.py": "what an agent's calls usually cost",
    "ledger/schema.py": "the documented API reports an error as a total of 1",
    "ledger/turns.py": "what an agent's last calls cost",
    "ledger/usage.py": "what is summed",
    "notebook/commands/usage.py": "help on budgets",
    "notebook/compare.py": "columns of a comparison",
    "notebook/mimebundle.py": "the footer",
    "notebook/panel/totals.py": "the panel's line of totals",
    "protocols/native.py": "where the service reports it",
    "protocols/openai.py": "what the service calls it too",
    "turns/budget.py": "a unit of budgets",
    "turns/request_preview.py": "what a dry run says of the last calls",
    "usage/__init__.py": "what the docstring says of the package",
    "usage/accessor.py": "what makes a frame a usage frame",
    "usage/frames.py": "which sums are no whole numbers",
    "usage/otel.py": "OpenTelemetry's names",
    "usage/plots.py": "what is drawn",
    "usage/totals.py": "what is summed",
}
FIELD = """\
    thinking_tokens: Annotated[
        int | None, ColumnSpec("for thinking, as the service reports them", "tokens")
    ] = None
"""
COLUMN = '("ALTER TABLE turns ADD COLUMN thinking_tokens INTEGER",),\n'

# Runs with the copy. Notebook and ledger are those of an earlier version first.
READ = """
import json, sys
from swiftask_jupyter import Sandbox, Swiftask, usage_from_notebooks
from swiftask_jupyter.ledger.notebook_record import record_of

folder, name = sys.argv[1], "thinking_tokens"
with Sandbox() as box, Swiftask(
    base_url=box.url, token=box.token, dialect="openai", agent="echo", store=folder + "/turns.db"
) as swiftask:
    old = swiftask.usage()
    swiftask.session("new").ask("hello")
    [turn] = swiftask.session("new").history()
    output = {"output_type": "display_data", "metadata": {},
              "data": {"application/vnd.swiftask.turn+json": record_of(turn)}}
    cell = {"cell_type": "code", "source": "", "metadata": {}, "outputs": [output],
            "execution_count": None, "id": "a"}
    with open(folder + "/new.ipynb", "w") as file:
        json.dump({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, file)
    frame = swiftask.usage()
    saved = usage_from_notebooks(folder + "/new.ipynb")
    print(json.dumps({
        "turns": len(old),
        "missing before": int(old[name].isna().sum()),
        "in the history": turn.usage.thinking_tokens,
        "in the frame": int(frame[name].iloc[-1]),
        "as a": str(frame[name].dtype),
        "explained": list(frame.swiftask.columns().loc[name]),
        "in the notebook": record_of(turn)["usage"][name],
        "read from the notebook": int(saved[name].iloc[0]),
    }))
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of the package with one more field."""
    copy = tmp_path / "swiftask_jupyter"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    _change(copy / DEFINITION, r"^    source: Annotated", FIELD)
    _change(copy / DIALECTS, r"(?<=return Usage\(\n)", "        thinking_tokens=7,\n")
    migrations = copy / MIGRATION
    lines = migrations.read_text().splitlines(keepends=True)
    [end] = [
        node.value.end_lineno
        for node in ast.parse("".join(lines)).body
        if isinstance(node, ast.AnnAssign) and node.target.id == "MIGRATIONS"
    ]
    migrations.write_text("".join([*lines[: end - 1], COLUMN, *lines[end - 1 :]]))
    return copy


def _change(path, pattern, addition):
    text, count = re.subn(
        pattern, lambda at: addition + at[0], path.read_text(), flags=re.MULTILINE
    )
    assert count == 1, f"{path.name} has changed"
    path.write_text(text)


def test_a_new_usage_field_takes_three_files_and_is_read_everywhere(copy, tmp_path):
    fixture = Path(__file__).parent / "fixtures" / "before_rooms" / "ledger.db"
    shutil.copy(fixture, tmp_path / "turns.db")

    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)], cwd=copy.parent, capture_output=True,
        text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert read.pop("turns") == read.pop("missing before") > 30
    assert read == {
        "in the history": 7,
        "in the frame": 7,
        "as a": "Int64",
        "explained": ["Int64", "tokens", "for thinking, as the service reports them"],
        "in the notebook": 7,
        "read from the notebook": 7,
    }


def names_in(path):
    """The identifiers and words of short texts in a file; prose of docstrings is left out."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        for name in ("attr", "arg", "id"):
            names.add(getattr(node, name, None))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 300:
            names |= {*re.findall(r"\w+", node.value)}
    return names


def test_every_file_that_names_a_usage_field_has_a_reason():
    fields = {*get_type_hints(Usage)} - {"source"}
    naming = {
        path
        for file in ROOT.rglob("*.py")
        if not (path := str(file.relative_to(ROOT))).startswith("sandbox/")
        and names_in(file) & fields
    }

    assert fields == {"input_tokens", "output_tokens", "total_tokens", "reported_total", "credits"}
    assert naming - {DEFINITION, MIGRATION, DIALECTS} - {*USES} == set()
