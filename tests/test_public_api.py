"""What the package shows, and what looking at it costs."""

import subprocess
import sys

import pytest

import swiftask_jupyter

HEAVY = [
    "pandas",
    "ipywidgets",
    "anywidget",
    "latex2mathml",
    "httpx",
    "msgspec",
    "markdown_it",
    "sqlite3",
    "nest_asyncio",
    "matplotlib",
    "pyarrow",
    "psycopg",
]

# IPython itself loads sqlite3 for its history: what counts is what loading us adds.
LOAD = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "swiftask_jupyter")
print(*(set(sys.modules) - before))
"""


def modules_after(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "code", ["import swiftask_jupyter, sys; print(*sys.modules)", LOAD], ids=["import", "load_ext"]
)
def test_loading_costs_none_of_the_heavy_libraries(code):
    assert not modules_after(code) & set(HEAVY)


def test_the_public_names_are_exactly_these():
    assert sorted(swiftask_jupyter.__all__) == [
        "Answer",
        "ChatPanel",
        "Delta",
        "Finish",
        "Sandbox",
        "Swiftask",
        "Usage",
        "errors",
        "load_ipython_extension",
        "unload_ipython_extension",
        "usage_from_notebooks",
    ]


@pytest.mark.parametrize("name", swiftask_jupyter.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(swiftask_jupyter, name).__doc__


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = swiftask_jupyter.nonsense
