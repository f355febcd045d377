"""A shell whose cells ask a sandbox, and a kernel that does the same."""

import pytest

from tests.support.cells import LOAD
from tests.support.kernels import Kernel


@pytest.fixture
def echoing(connected, monkeypatch):
    """A shell whose settings name a sandbox, and its agent `echo`."""
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "echo")
    return connected


@pytest.fixture
def ask(connected):
    """`ask(line, text)` runs a cell of the shell, and returns its value."""
    return lambda line, text: connected.run_cell_magic("swiftask", line, text)


@pytest.fixture
def command(connected):
    """`command(line)` runs a line of `%swiftask` in the shell, and returns its value."""
    return lambda line: connected.run_line_magic("swiftask", line)


@pytest.fixture
def environment(box):
    """The environment variables of a kernel that asks the sandbox."""
    return {"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}


@pytest.fixture
def kernel(environment):
    """A kernel that asks the sandbox, with the extension loaded."""
    with Kernel(environment) as kernel:
        kernel.run(LOAD)
        yield kernel
