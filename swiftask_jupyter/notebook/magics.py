"""The magics `%%swiftask` and `%swiftask`, and their registration in the shell.

Besides the magics, loading registers an input transformer, which hands the body of a cell over
unchanged, and a formatter, by which a cell that ends with an `Answer` shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Enum, Int, TraitError, Unicode, observe, validate

from swiftask_jupyter.errors import Interrupted
from swiftask_jupyter.notebook.context import CONNECTION_SETTINGS, NotebookContext, hold_interrupts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.answers.answer import Answer
    from swiftask_jupyter.client import Swiftask


MAGIC = "%%swiftask"


def keep_body(lines: list[str]) -> list[str]:
    """Return a `%%swiftask` cell as the call that IPython would make of it, its body unchanged.

    Any other cell is returned as it is.
    """
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    head = lines[first].strip() if lines else ""
    if head.split(None, 1)[:1] != [MAGIC] or head.endswith("?"):
        return lines
    body = "".join(lines[first + 1 :]) or "\n"  # IPython does not call a magic with an empty body
    line = head.removeprefix(MAGIC).strip()
    return [f"get_ipython().run_cell_magic('swiftask', {line!r}, {body!r})\n"]


# IPython runs the transforms that lack this mark on a cell that is still being typed, to see if
# it is complete. It knows when a cell magic is complete, and would not know it of the call.
keep_body.has_side_effects = True  # type: ignore[attr-defined]  # IPython's own mark


def add_transform(shell: InteractiveShell) -> None:
    """Add the transform in front of IPython's own."""
    cleanup_transforms(shell).insert(0, keep_body)


def remove_transform(shell: InteractiveShell) -> None:
    """Undo `add_transform`."""
    transforms = cleanup_transforms(shell)
    transforms[:] = [each for each in transforms if each is not keep_body]


def cleanup_transforms(shell: InteractiveShell) -> list[Any]:
    """Return the shell's list of the transforms that a cell goes through first."""
    transforms: list[Any] = shell.input_transformers_cleanup
    return transforms


# The class by name, so that loading the extension does not import it.
ANSWER_TYPE = "swiftask_jupyter.answers.answer", "Answer"


def add_formatter(shell: InteractiveShell) -> None:
    """Register the display of answers with the shell."""
    if shell.display_formatter is not None:
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name(*ANSWER_TYPE, lambda answer: _show(shell, answer))


def remove_formatter(shell: InteractiveShell) -> None:
    """Undo `add_formatter`."""
    if shell.display_formatter is not None:
        shell.display_formatter.ipython_display_formatter.pop(".".join(ANSWER_TYPE), None)


def _show(shell: InteractiveShell, answer: Answer) -> None:
    """Show an answer, unless this very execution has shown it while it arrived."""
    from swiftask_jupyter.notebook.display import display_for

    if answer.reply.shown_in != shell.execution_count:
        display_for(shell, answer.reply, shown=True).finish()


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
    from swiftask_jupyter.notebook import completion

    magics = SwiftaskMagics(shell)
    shell.register_magics(magics)
    add_transform(shell)
    add_formatter(shell)
    completion.register(shell, magics.context)


def unload(shell: InteractiveShell) -> None:
    """Undo `load`, and close the client and the sandbox."""
    from swiftask_jupyter.notebook import completion

    magics: Any = shell.magics_manager.registry.pop(SwiftaskMagics.__name__, None)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("swiftask", None)
    remove_transform(shell)
    remove_formatter(shell)
    completion.unregister(shell)
    if magics is not None:
        if magics in shell.configurables:
            shell.configurables.remove(magics)
        magics.context.close()
