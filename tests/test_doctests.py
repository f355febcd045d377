"""Every `>>>` example in the package's docstrings runs, and shows what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

import swiftask_jupyter

ROOT = Path(swiftask_jupyter.__file__).parent
NOTEBOOKS = Path(__file__).parent.parent / "example_notebooks"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Modules whose source holds an example, by their dotted names.
MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(ROOT.rglob("*.py"))
    if "    >>> " in path.read_text()
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder in which examples run: it holds the example notebooks, as the checkout does."""
    (tmp_path / NOTEBOOKS.name).symlink_to(NOTEBOOKS)
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore:.*example_notebooks")  # what a saved notebook holds of old
@pytest.mark.parametrize("name", MODULES)
def test_every_example_of_a_module_shows_what_it_says(name, folder):
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    written = []

    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        runner.run(test, out=written.append)

    assert runner.summarize(verbose=False).failed == 0, "".join(written)
    assert runner.tries > 0


def test_a_wrong_example_is_found():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)

    runner.run(wrong, out=lambda _: None)

    assert runner.summarize(verbose=False).failed == 1
