"""The class `NotebookContext`, and functions that delay Ctrl-C while an answer arrives.

Ctrl-C must not stop the code at an arbitrary line. Therefore the signal is only recorded. The code
checks the record at safe places, where it can finish the display and close the connection.
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


class PendingInterrupts(list[int]):
    """A list of the signal numbers that arrived in a `hold_interrupts` block."""


@contextmanager
def hold_interrupts(wake: Callable[[], None] | None = None) -> Iterator[PendingInterrupts]:
    """Record Ctrl-C (SIGINT) in a list; do not raise `KeyboardInterrupt` in the `with` block.

    The context manager yields the list. The block must check the list, and must stop if the list
    contains a signal. Outside of the main thread, signals are not recorded, and the list stays
    empty.

    Args:
        wake: a function that ends the block's wait for the next event. The signal handler calls
            this function. If `wake` is `None`, a second SIGINT raises `KeyboardInterrupt`.
    """
    held = PendingInterrupts()

    def note(number: int, _: object) -> None:
        held.append(number)
        if wake is not None:
            wake()
        elif len(held) > 1:
            raise KeyboardInterrupt

    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGINT) is None:
        yield held  # only the main thread can set handlers; one set in C can't be restored
        return
    former = signal.signal(signal.SIGINT, note)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, former)


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Delay Ctrl-C (SIGINT) until the end of the `with` block.

    A second SIGINT in the block raises `KeyboardInterrupt` at once.
    """
    with hold_interrupts() as held:
        yield
    if held:
        signal.raise_signal(signal.SIGINT)


ADDRESS_SETTINGS = ("base_url", "connection")
CONNECTION_SETTINGS = (*ADDRESS_SETTINGS, "agent", "dialect")


class MagicSettings(Protocol):
    """An object with the settings that `%config SwiftaskMagics` shows and changes.

    The value of an unset setting is an empty string, 0 or `False`.
    """

    agent: str
    base_url: str
    connection: str
    dialect: str
    cache: str
    history_limit: int
    share_history: bool
    keep_texts: bool
    nested: bool


class NotebookContext:
    """The client and the settings of one IPython shell.

    Cells, commands and Tab completion of the shell share one context.

    Args:
        shell: the IPython shell.
        settings: the `SwiftaskMagics` object; its traits are the settings.

    Attributes:
        sandbox: the local test server of `%swiftask sandbox`; `None` while no server runs.
    """

    def __init__(self, shell: InteractiveShell, settings: MagicSettings) -> None:
        self.shell = shell
        self.settings = settings
        self.sandbox: Sandbox | None = None
        self._client: Swiftask | None = None

    @property
    def names(self) -> dict[str, Any]:
        """The user's variables: a dict that maps each variable name to its value.

        Changing the dict changes the user's variables.
        """
        names: dict[str, Any] = self.shell.user_ns
        return names

    @property
    def client(self) -> Swiftask:
        """The `Swiftask` client of the shell, created on first access.

        Each access applies the current settings to the client.
        """
        return self.connect()

    def connect(self, *, warm: bool = True) -> Swiftask:
        """Apply the current settings to the shell's client, and return the client.

        The first call creates the client.

        Args:
            warm: whether a new client loads modules and certificates in the background; the first
                prompt is then sent sooner.
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
        client.connections.keep_texts = settings.keep_texts
        client.runtime.cache = settings.cache or os.environ.get("SWIFTASK_CACHE") or "off"
        client.runtime.history_limit = settings.history_limit
        client.runtime.share_history = settings.share_history

    def drop_override(self, setting: str) -> None:
        """Remove the value that a `%swiftask` command gave to a setting.

        This method is called when `%config` changes the setting. The value from `%config` then
        applies. If `setting` is `base_url` or `connection`, all values from commands are removed. A
        remaining token could be sent to the wrong service.
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
        """Clear the `%config` values of settings that a command is about to override.

        `%config` ignores a value that a setting already has. After this call, `%config` can set the
        cleared value again, and the value replaces the command's value.
        """
        for name in names:
            setattr(self.settings, name, "")

    def close(self) -> None:
        """Close the client and stop the sandbox, the local test server."""
        if self._client is not None:
            self._client.close()
        if self.sandbox is not None:
            self.sandbox.stop()
