"""Show an `Answer` when a cell ends with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.answers.answer import Answer

# The class by name, so that loading the extension does not import it.
ANSWER_TYPE = "swiftask_jupyter.answers.answer", "Answer"


def register(shell: InteractiveShell) -> None:
    """Register the display of answers with the shell."""
    if shell.display_formatter is not None:
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name(*ANSWER_TYPE, lambda answer: _show(shell, answer))


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`."""
    if shell.display_formatter is not None:
        shell.display_formatter.ipython_display_formatter.pop(".".join(ANSWER_TYPE), None)


def _show(shell: InteractiveShell, answer: Answer) -> None:
    """Show an answer, unless this very execution has shown it while it arrived."""
    from swiftask_jupyter.notebook.display import display_for

    if answer.reply.shown_in != shell.execution_count:
        display_for(shell, answer.reply, shown=True).finish()
