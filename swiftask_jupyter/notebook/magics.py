"""The magics `%%swiftask` and `%swiftask`, and functions that register the magics in a shell.

Loading the extension also registers:

- Tab completion;
- an input transformer, which keeps IPython from changing the prompt in a `%%swiftask` cell;
- a formatter, which displays an `Answer` that is the value of a cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)
from traitlets import Bool, Enum, Int, TraitError, Unicode, observe, validate

from swiftask_jupyter.errors import Interrupted
from swiftask_jupyter.notebook.context import CONNECTION_SETTINGS, NotebookContext, hold_interrupts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.answers.answer import Answer
    from swiftask_jupyter.client import Swiftask


MAGIC = "%%swiftask"


def keep_body(lines: list[str]) -> list[str]:
    """Replace the lines of a `%%swiftask` cell by a call of `run_cell_magic`.

    This input transformer runs before IPython's own transformers, which would change the prompt.
    For example, IPython's transformers remove `>>>` at the beginning of a line. The lines of any
    other cell are returned unchanged.

    Args:
        lines: the lines of the cell.
    """
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    head = lines[first].strip() if lines else ""
    if head.split(None, 1)[:1] != [MAGIC] or head.endswith("?"):
        return lines
    body = "".join(lines[first + 1 :]) or "\n"  # IPython does not call a magic with an empty body
    line = head.removeprefix(MAGIC).strip()
    return [f"get_ipython().run_cell_magic('swiftask', {line!r}, {body!r})\n"]


# While the user types, IPython checks whether the cell is complete. The check understands a cell
# magic, but not the call that `keep_body` returns. This attribute makes the check skip `keep_body`.
keep_body.has_side_effects = True  # type: ignore[attr-defined]  # IPython's own mark


def add_transform(shell: InteractiveShell) -> None:
    """Register `keep_body` as the first of the shell's input transformers."""
    cleanup_transforms(shell).insert(0, keep_body)


def remove_transform(shell: InteractiveShell) -> None:
    """Remove `keep_body` from the shell's input transformers."""
    transforms = cleanup_transforms(shell)
    transforms[:] = [each for each in transforms if each is not keep_body]


def cleanup_transforms(shell: InteractiveShell) -> list[Any]:
    """Return the shell's own list of input transformers that run first on each cell.

    Changing the list changes the shell.
    """
    transforms: list[Any] = shell.input_transformers_cleanup
    return transforms


# The module and the name of the class, so that loading the extension need not import the class.
ANSWER_TYPE = "swiftask_jupyter.answers.answer", "Answer"


def add_formatter(shell: InteractiveShell) -> None:
    """Register the function that displays an `Answer` as the value of a cell."""
    if shell.display_formatter is not None:
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name(*ANSWER_TYPE, lambda answer: _show(shell, answer))


def remove_formatter(shell: InteractiveShell) -> None:
    """Remove the display function that `add_formatter` registered in the shell."""
    if shell.display_formatter is not None:
        shell.display_formatter.ipython_display_formatter.pop(".".join(ANSWER_TYPE), None)


def _show(shell: InteractiveShell, answer: Answer) -> None:
    """Display an answer, unless the running cell has already displayed the answer."""
    from swiftask_jupyter.notebook.display import display_for

    if answer.reply.shown_in != shell.execution_count:
        display_for(shell, answer.reply, shown=True).finish()


HELP_WORDS = ("--help", "-h")


@magics_class
class SwiftaskMagics(Magics):
    """The magics `%%swiftask` and `%swiftask` of one IPython shell, and their settings.

    The traits of this class are the settings. `%config SwiftaskMagics` shows and changes the
    settings. Commands such as `%swiftask use` can also change some settings. The value that was set
    last applies.
    """

    agent = Unicode("", help="the agent to ask when a cell names none").tag(config=True)
    base_url = Unicode("", help="the service's address").tag(config=True)
    connection = Unicode("", help="a connection of pyproject.toml or config.toml").tag(config=True)
    dialect = Unicode("", help="auto, openai, native, widget, chat or agencii").tag(config=True)
    cache = Enum(
        ("", "off", "on", "strict"), "", help="off, on (an earlier answer is shown again) or strict"
    ).tag(config=True)
    history_limit = Int(
        0, min=0, help="the most tokens of history to send, roughly counted; 0 for all"
    ).tag(config=True)
    share_history = Bool(
        default_value=False,
        help="send earlier turns also to services where they were not said",
    ).tag(config=True)
    keep_texts = Bool(
        default_value=True, help="False: the ledger keeps counts, and no prompts and answers"
    ).tag(config=True)
    nested = Bool(
        default_value=False, help="let the kernel's own tasks run while a cell waits"
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.context = NotebookContext(shell, self)

    @property
    def client(self) -> Swiftask:
        """The `Swiftask` client of the shell, created on first access."""
        return self.context.client

    @no_var_expand
    @line_cell_magic
    def swiftask(self, line: str, cell: str | None = None) -> object:
        """Send the prompt of a `%%swiftask` cell to an agent, or run a `%swiftask` command."""
        if cell is None or line.strip() in HELP_WORDS:
            from swiftask_jupyter.notebook.commands.registry import run_command

            return run_command(self.context, line)
        if not cell.strip():
            from swiftask_jupyter.notebook.commands.registry import refuse_command

            refuse_command(line)
        with hold_interrupts() as held:  # an interrupted import could lock the module for ever
            from swiftask_jupyter.notebook.ask import ask_cell
        if held:
            raise Interrupted("stopped; nothing was sent")
        return ask_cell(self.context, line, cell.removesuffix("\n"))

    @no_var_expand
    @line_magic("%swiftask")  # type: ignore[arg-type]  # IPython's hints forbid a name
    def misplaced(self, line: str) -> None:
        """Raise an error for `%%swiftask` that is not on the first line of a cell.

        IPython reads such a line as a line magic with the name `%swiftask`.

        Args:
            line: the text after `%%swiftask`.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"%%swiftask {line}".rstrip() + " belongs at the top of its own cell")

    @validate("dialect")
    def _check_dialect(self, proposal: Any) -> str:
        from swiftask_jupyter.turns.routing import dialect_choices

        name: str = proposal["value"]
        if name and name not in dialect_choices():
            raise TraitError(f"no dialect {name!r}; there is: {', '.join(dialect_choices())}")
        return name

    @observe(*CONNECTION_SETTINGS)
    def _override_commands(self, change: Any) -> None:
        """Drop the value that a command, such as `%swiftask use`, gave to a setting.

        traitlets calls this method when `%config` changes a connection setting.
        """
        if change["new"]:
            self.context.drop_override(change["name"])


def _document_magic() -> str:
    """Return the help text that IPython shows for `%%swiftask?`."""
    from swiftask_jupyter.notebook.commands.registry import help_text

    return help_text()


# IPython calls the method `getdoc` of an object instead of reading the object's docstring. So the
# help text is built only when a user requests it.
vars(SwiftaskMagics)["swiftask"].getdoc = _document_magic


def load(shell: InteractiveShell) -> None:
    """Register the magics in a shell, with Tab completion and the display of answers.

    `%load_ext` calls this function.
    """
    from swiftask_jupyter.notebook import completion

    magics = SwiftaskMagics(shell)
    shell.register_magics(magics)
    add_transform(shell)
    add_formatter(shell)
    completion.register(shell, magics.context)


def unload(shell: InteractiveShell) -> None:
    """Remove the magics and their helpers from a shell, and close the client.

    `%unload_ext` calls this function. The function also stops the sandbox, the local test server.
    """
    from swiftask_jupyter.notebook import completion

    magics: Any = shell.magics_manager.registry.pop(SwiftaskMagics.__name__, None)
    for kind in ("line", "cell"):
        for name in ("swiftask", "%swiftask"):
            shell.magics_manager.magics[kind].pop(name, None)
    remove_transform(shell)
    remove_formatter(shell)
    completion.unregister(shell)
    if magics is not None:
        if magics in shell.configurables:
            shell.configurables.remove(magics)
        magics.context.close()
