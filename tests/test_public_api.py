"""The public names of the package, and what importing it and loading the extension cost."""

import subprocess
import sys

import pytest

import swiftask_jupyter

HEAVY = {
    "adbc_driver_manager",
    "anywidget",
    "httpx",
    "ipywidgets",
    "latex2mathml",
    "markdown_it",
    "matplotlib",
    "msgspec",
    "nest_asyncio",
    "pandas",
    "psycopg",
    "pyarrow",
    "sqlite3",
}
IMPORT = "import sys, swiftask_jupyter; print(*sys.modules)"
# IPython itself imports sqlite3 for its history: only what loading the extension adds counts.
LOAD = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "swiftask_jupyter")
print(*(set(sys.modules) - before))
"""


def modules_after(code):
    """Return the names that the code prints, in a Python process of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("code", [IMPORT, LOAD], ids=["import", "load_ext"])
def test_loading_costs_none_of_the_heavy_libraries(code):
    assert not {name.partition(".")[0] for name in modules_after(code)} & HEAVY


def test_loading_the_extension_imports_only_what_registers_it():
    ours = {name for name in modules_after(LOAD) if name.startswith("swiftask_jupyter.")}

    assert {name.removeprefix("swiftask_jupyter.") for name in ours} == {
        "errors",
        "notebook",
        "notebook.completion",
        "notebook.context",
        "notebook.magics",
    }


def test_the_public_names_are_exactly_these():
    assert sorted(swiftask_jupyter.__all__) == [
        "Answer",
        "Budget",
        "ChatPanel",
        "Comparison",
        "Delta",
        "Fault",
        "Finish",
        "RequestPreview",
        "Sandbox",
        "Session",
        "Stream",
        "Swiftask",
        "Turn",
        "Usage",
        "errors",
        "load_ipython_extension",
        "unload_ipython_extension",
        "usage_from_notebooks",
    ]


@pytest.mark.parametrize("name", swiftask_jupyter.__all__)
def test_every_public_name_exists_and_is_documented(name):
    assert getattr(swiftask_jupyter, name).__doc__


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = swiftask_jupyter.nonsense
