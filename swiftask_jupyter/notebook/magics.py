"""`SwiftaskMagics`: the magics `%%swiftask` and `%swiftask`, and the settings of `%config`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Int, TraitError, Unicode, observe, validate

from swiftask_jupyter.errors import Interrupted
from swiftask_jupyter.notebook.context import CONNECTION_SETTINGS, NotebookContext
from swiftask_jupyter.notebook.interrupts import hold_interrupts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.client import Swiftask

HELP_WORDS = ("--help", "-h")


@magics_class
class SwiftaskMagics(Magics):
    """The magics of one IPython shell. Of a setting and a command, the later one counts."""

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
    nested = Bool(
        default_value=False, help="let the kernel's own tasks run while a cell waits"
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.context = NotebookContext(shell, self)

    @property
    def client(self) -> Swiftask:
        """The client of this shell, made on first use."""
        return self.context.client

    @no_var_expand
    @line_cell_magic
    def swiftask(self, line: str, cell: str | None = None) -> object:
        """Ask an agent: the text below the line is the prompt."""
        if cell is None or line.strip() in HELP_WORDS:
            from swiftask_jupyter.notebook.commands.registry import run_command

            return run_command(self.context, line)
        with hold_interrupts() as held:  # an interrupted import could lock the module for ever
            from swiftask_jupyter.notebook.ask import ask_cell
        if held:
            raise Interrupted("stopped; nothing was sent")
        return ask_cell(self.context, line, cell.removesuffix("\n"))

    @validate("dialect")
    def _check_dialect(self, proposal: Any) -> str:
        from swiftask_jupyter.turns.routing import dialect_choices

        name: str = proposal["value"]
        if name and name not in dialect_choices():
            raise TraitError(f"no dialect {name!r}; there is: {', '.join(dialect_choices())}")
        return name

    @observe(*CONNECTION_SETTINGS)
    def _override_commands(self, change: Any) -> None:
        """Let a new setting count before what `%swiftask use` or `sandbox` said earlier."""
        if change["new"]:
            self.context.drop_override(change["name"])


def _document_magic() -> str:
    """Return what `%%swiftask?` shows."""
    from swiftask_jupyter.notebook.commands.registry import help_text

    return help_text()


# IPython asks an object for its `getdoc` before it looks at the docstring; so the list of options
# is loaded when somebody reads it, and not with the extension.
vars(SwiftaskMagics)["swiftask"].getdoc = _document_magic


def load(shell: InteractiveShell) -> None:
    """Register the magics, their completion, and the display of answers."""
    from swiftask_jupyter.notebook import answer_display, completion, input_transform

    magics = SwiftaskMagics(shell)
    shell.register_magics(magics)
    input_transform.register(shell)
    answer_display.register(shell)
    completion.register(shell, magics.context)


def unload(shell: InteractiveShell) -> None:
    """Undo `load`, and close the client and the sandbox."""
    from swiftask_jupyter.notebook import answer_display, completion, input_transform

    magics: Any = shell.magics_manager.registry.pop(SwiftaskMagics.__name__, None)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("swiftask", None)
    input_transform.unregister(shell)
    answer_display.unregister(shell)
    completion.unregister(shell)
    if magics is not None:
        if magics in shell.configurables:
            shell.configurables.remove(magics)
        magics.context.close()
