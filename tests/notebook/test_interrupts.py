"""Interrupts that arrive at a bad moment."""

import os
import signal
import subprocess
import sys

import pytest

from swiftask_jupyter.notebook.context import delay_interrupts, hold_interrupts
from tests.support.cells import posts

INTERRUPTED_IMPORT = """
import importlib.abc, signal, sys
from IPython.core.interactiveshell import InteractiveShell

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "swiftask_jupyter")
sys.meta_path.insert(0, Interrupt())
first, second = (shell.run_cell("%%swiftask echo ans <<\\nhello") for _ in range(2))
print(repr(first.error_in_exec), second.success, shell.user_ns["ans"])
shell.extension_manager.unload_extension("swiftask_jupyter")
"""


@pytest.mark.parametrize("module", ["ask", "identity", "display"])
def test_an_interrupt_in_the_middle_of_an_import_breaks_nothing(box, module):
    """Else the module would stay locked, and the I/O thread would wait for it for ever."""
    environ = {"SWIFTASK_BASE_URL": box.url, "SWIFTASK_API_KEY": box.token}
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT, f"swiftask_jupyter.notebook.{module}"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "Interrupted('stopped; nothing was sent') True hello" in done.stdout, done.stderr
    assert len(posts(box)) == 1


def test_a_held_interrupt_is_noted_and_wakes_the_block():
    woken = []

    with hold_interrupts(lambda: woken.append(True)) as held:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    assert held == [signal.SIGINT] * 2
    assert woken == [True, True]


def test_without_something_to_wake_the_second_interrupt_is_raised():
    with hold_interrupts() as held:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    assert len(held) == 2


def test_a_delayed_interrupt_is_raised_after_the_block():
    reached = []

    def block():
        with delay_interrupts():
            signal.raise_signal(signal.SIGINT)
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
