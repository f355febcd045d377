"""`%%swiftask` asks an agent; `%swiftask COMMAND` is for all around it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import magic_arguments

from swiftask_jupyter.errors import Interrupted
from swiftask_jupyter.notebook.choices import Choices
from swiftask_jupyter.notebook.interrupts import holding_interrupts, undisturbed
from swiftask_jupyter.notebook.options import takes_options

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.sandbox import Sandbox
    from swiftask_jupyter.settings import Wanted


@magics_class
class SwiftaskMagics(Choices):
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
        from swiftask_jupyter.settings import Wanted

        wanted = Wanted(self.base_url, None, self.agent, self.dialect, self.connection)
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

    def _configure(self, client: Swiftask, wanted: Wanted) -> None:
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
        from swiftask_jupyter.notebook.commands import HELP_WORDS, run

        if cell is None or line.strip() in HELP_WORDS:
            return run(self, line)
        return self.ask(line, cell.removesuffix("\n"))

    def ask(self, line: str, text: str) -> object:
        """Ask what a cell holds; `line` is what stands behind the magic's name."""
        with holding_interrupts() as held:
            from swiftask_jupyter.notebook.asking import ready

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
    from swiftask_jupyter.notebook import answers, completion, verbatim

    magics = SwiftaskMagics(shell)
    shell.register_magics(magics)
    verbatim.register(shell)
    answers.register(shell)
    completion.register(shell, magics)


def unload(shell: InteractiveShell) -> None:
    """Undo `load`."""
    from swiftask_jupyter.notebook import answers, completion, verbatim

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
