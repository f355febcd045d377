"""What `%config SwiftaskMagics` may say, and how it stands to what is said in other ways.

`%%swiftask` asks an agent; `%swiftask COMMAND` is for all around it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import magic_arguments
from traitlets import Bool, Enum, Int, TraitError, Unicode, observe, validate

from swiftask_jupyter.errors import Interrupted
from swiftask_jupyter.notebook.arguments import takes_options
from swiftask_jupyter.notebook.interrupts import holding_interrupts, undisturbed

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.sandbox.server import Sandbox
    from swiftask_jupyter.settings.connection import ConnectionOverrides

PLACES = ("base_url", "connection")
CHOICES = (*PLACES, "agent", "dialect")  # what can be said of a connection


class MagicsConfig(Magics):
    """The settings of one shell. What was said last counts, by `%config` or by a command."""

    agent = Unicode("", help="the agent asked when a cell names none").tag(config=True)
    base_url = Unicode("", help="the service's address").tag(config=True)
    connection = Unicode("", help="a connection of pyproject.toml or config.toml").tag(config=True)
    dialect = Unicode("", help="auto, openai, native, widget, chat or agencii").tag(config=True)
    cache = Enum(
        ("", "off", "on", "strict"), "", help="off, on (an earlier answer is shown again) or strict"
    ).tag(config=True)
    history_limit = Int(
        0, min=0, help="the most tokens of history to send, roughly; 0 for all"
    ).tag(config=True)
    nested = Bool(
        default_value=False, help="let the kernel's own tasks go on while a cell waits"
    ).tag(config=True)

    _client: Swiftask | None = None

    @validate("dialect")
    def _known(self, proposal: Any) -> str:
        from swiftask_jupyter.turns.routing import choices

        name: str = proposal["value"]
        if name and name not in choices():
            raise TraitError(f"no dialect {name!r}; there is: {', '.join(choices())}")
        return name

    @observe(*CHOICES)
    def _said_last(self, change: Any) -> None:
        """Let what is said now count before what `%swiftask use` and `sandbox` said."""
        if self._client is None or not change["new"]:
            return
        if change["name"] in PLACES:  # no token of the former place goes along
            from swiftask_jupyter.settings.connection import ConnectionOverrides

            self._client.wanted = ConnectionOverrides()
        else:
            from swiftask_jupyter.support.structs import replace

            forgotten: dict[str, Any] = {change["name"]: None}
            self._client.wanted = replace(self._client.wanted, **forgotten)


@magics_class
class SwiftaskMagics(MagicsConfig):
    """The magics of one IPython shell, and the client they share."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.ipython = shell
        self.sandbox: Sandbox | None = None

    @property
    def client(self) -> Swiftask:
        """The client of this shell, made on first use; `%config` is read each time."""
        return self.connected()

    def connected(self, *, warm: bool = True) -> Swiftask:
        """Return the client; a new one gets ready for the first prompt, if one is to come."""
        from swiftask_jupyter.settings.connection import ConnectionOverrides

        wanted = ConnectionOverrides(self.base_url, None, self.agent, self.dialect, self.connection)
        client, made = self._client, self._client is None
        if client is None:
            with undisturbed():
                client = self._client = self._new_client()
        self._configure(client, wanted)
        if made and warm:
            client.warm()
        return client

    def _new_client(self) -> Swiftask:
        from swiftask_jupyter.client import Swiftask
        from swiftask_jupyter.notebook.identity import notebook_path, running_cell

        client = Swiftask(notebook=notebook_path(os.environ, self.ipython.user_ns))
        client.means.where = lambda: running_cell(self.ipython)
        return client

    def _configure(self, client: Swiftask, wanted: ConnectionOverrides) -> None:
        client.configured = wanted
        client.means.cache = self.cache or os.environ.get("SWIFTASK_CACHE") or "off"
        client.means.history_limit = self.history_limit

    @no_var_expand
    @magic_arguments()
    @takes_options
    @line_cell_magic
    def swiftask(self, line: str, cell: str | None = None) -> object:
        """Ask an agent: the cell below the line is the prompt. `%swiftask help` tells more.

        `NAME <<` at the end of the line puts the answer into a variable, `NAME =<<` shows it
        too. `{{name}}`, `{{name.attribute}}`, `{{name["key"]}}` and `{{number:.2f}}` in the
        prompt are filled in.
        """
        from swiftask_jupyter.notebook.commands.general import HELP_WORDS, run

        if cell is None or line.strip() in HELP_WORDS:
            return run(self, line)
        return self.ask(line, cell.removesuffix("\n"))

    def ask(self, line: str, text: str) -> object:
        """Ask what a cell holds; `line` is what stands behind the magic's name."""
        with holding_interrupts() as held:
            from swiftask_jupyter.notebook.ask import ready

            act = ready(self, line, text)
        if held:
            raise Interrupted("stopped; nothing was sent")
        return act()

    def close(self) -> None:
        """Close the client and the sandbox."""
        if self._client is not None:
            self._client.close()
        if self.sandbox is not None:
            self.sandbox.stop()


def load(shell: InteractiveShell) -> None:
    """Register the magics, their completion, and the way an `Answer` shows itself."""
    from swiftask_jupyter.notebook import answer_display as answers
    from swiftask_jupyter.notebook import completion
    from swiftask_jupyter.notebook import input_transform as verbatim

    magics = SwiftaskMagics(shell)
    shell.register_magics(magics)
    verbatim.register(shell)
    answers.register(shell)
    completion.register(shell, magics)


def unload(shell: InteractiveShell) -> None:
    """Undo `load`."""
    from swiftask_jupyter.notebook import answer_display as answers
    from swiftask_jupyter.notebook import completion
    from swiftask_jupyter.notebook import input_transform as verbatim

    registered: Any = shell.magics_manager.registry.pop(SwiftaskMagics.__name__, None)
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("swiftask", None)
    verbatim.unregister(shell)
    answers.unregister(shell)
    completion.unregister(shell)
    if registered is not None:
        if registered in shell.configurables:
            shell.configurables.remove(registered)
        registered.close()
