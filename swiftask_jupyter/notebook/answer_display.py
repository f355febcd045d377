"""How an `Answer` shows itself when a cell ends with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.answers.answer import Answer

# By name: loading the extension need not load what an answer is.
ANSWER = "swiftask_jupyter.answers.answer", "Answer"


def register(shell: InteractiveShell) -> None:
    """Teach the shell to show answers."""
    if shell.display_formatter is not None:
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name(*ANSWER, lambda answer: _show(shell, answer))


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`."""
    if shell.display_formatter is not None:
        shell.display_formatter.ipython_display_formatter.pop(".".join(ANSWER), None)


def _show(shell: InteractiveShell, answer: Answer) -> None:
    """Show an answer, unless the cell that asked for it has shown it already."""
    from swiftask_jupyter.notebook.display import display_for

    if answer.reply.shown_in != shell.execution_count:
        display_for(shell, answer.reply, shown=True).finish()
