"""`NotebookContext`: the shell, settings and client that cells, commands and Tab work with.

Ctrl-C while an answer arrives is held: it is noticed at once, and acted on where nothing can be
left half done.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.client import Swiftask
    from swiftask_jupyter.sandbox.server import Sandbox


class HeldInterrupts(list[int]):
    """The numbers of the signals that were held back; empty if there was no interrupt."""


@contextmanager
def hold_interrupts(wake: Callable[[], None] | None = None) -> Iterator[HeldInterrupts]:
    """Hold SIGINT back until the block ends; the block looks at the list that it is given.

    An exception raised at an arbitrary line could leave a display drawn twice or not at all, and
    a second one could leave a connection open. So a signal is only noted.

    Args:
        wake: ends the block's wait for the next event. It runs in the signal handler and must do
            no more than a handler may. Without it, the second interrupt raises
            `KeyboardInterrupt`, in case the block does not end.
    """
    held = HeldInterrupts()

    def note(number: int, _: object) -> None:
        held.append(number)
        if wake is not None:
            wake()
        elif len(held) > 1:
            raise KeyboardInterrupt

    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGINT) is None:
        yield held  # only the main thread sets handlers; a handler set in C can't be put back
        return
    former = signal.signal(signal.SIGINT, note)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, former)


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Run a block to its end; raise an interrupt that arrived meanwhile after it."""
    with hold_interrupts() as held:
        yield
    if held:
        signal.raise_signal(signal.SIGINT)


ADDRESS_SETTINGS = ("base_url", "connection")
CONNECTION_SETTINGS = (*ADDRESS_SETTINGS, "agent", "dialect")


class Settings(Protocol):
    """The settings that `%config SwiftaskMagics` shows and changes; empty or 0: not set."""

    agent: str
    base_url: str
    connection: str
    dialect: str
    cache: str
    history_limit: int
    nested: bool


class NotebookContext:
    """One IPython shell, its settings, and the client that its cells and commands share.

    Args:
        shell: the IPython shell.
        settings: the magics object, whose traits are the settings.

    Attributes:
        sandbox: the server that `%swiftask sandbox` started, or `None`.
    """

    def __init__(self, shell: InteractiveShell, settings: Settings) -> None:
        self.shell = shell
        self.settings = settings
        self.sandbox: Sandbox | None = None
        self._client: Swiftask | None = None

    @property
    def names(self) -> dict[str, Any]:
        """The user's variables."""
        names: dict[str, Any] = self.shell.user_ns
        return names

    @property
    def client(self) -> Swiftask:
        """The client of this shell, made on first use; the settings are read each time."""
        return self.connect()

    def connect(self, *, warm: bool = True) -> Swiftask:
        """Return the client.

        Args:
            warm: whether a new client prepares for a prompt, in the background.
        """
        client, is_new = self._client, self._client is None
        if client is None:
            with delay_interrupts():
                client = self._client = self._new_client()
        self._configure(client)
        if is_new and warm:
            client.warm()
        return client

    def _new_client(self) -> Swiftask:
        from swiftask_jupyter.client import Swiftask
        from swiftask_jupyter.notebook.identity import notebook_path, running_cell

        client = Swiftask(notebook=notebook_path(os.environ, self.names))
        client.runtime.running_cell = lambda: running_cell(self.shell)
        return client

    def _configure(self, client: Swiftask) -> None:
        from swiftask_jupyter.settings.connection import ConnectionOverrides

        settings = self.settings
        client.connections.configured = ConnectionOverrides(
            settings.base_url, None, settings.agent, settings.dialect, settings.connection
        )
        client.runtime.cache = settings.cache or os.environ.get("SWIFTASK_CACHE") or "off"
        client.runtime.history_limit = settings.history_limit

    def drop_override(self, setting: str) -> None:
        """Forget the value that a command gave to a setting: `%config` has set it later.

        A new address drops every override, so that no token is sent to an address that it was
        not given for.
        """
        if self._client is None:
            return
        from swiftask_jupyter.settings.connection import ConnectionOverrides
        from swiftask_jupyter.support.structs import replace

        if setting in ADDRESS_SETTINGS:
            self._client.connections.overrides = ConnectionOverrides()
        else:
            dropped: dict[str, Any] = {setting: None}
            self._client.connections.overrides = replace(
                self._client.connections.overrides, **dropped
            )

    def reset_settings(self, *names: str) -> None:
        """Unset settings before a command overrides them.

        Otherwise a later `%config` with the same value would be no change, and have no effect.
        """
        for name in names:
            setattr(self.settings, name, "")

    def close(self) -> None:
        """Close the client and the sandbox."""
        if self._client is not None:
            self._client.close()
        if self.sandbox is not None:
            self.sandbox.stop()
