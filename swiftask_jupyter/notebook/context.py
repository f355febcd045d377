"""`NotebookContext`: the shell, settings and client that cells, commands and completion share.

The module also delays Ctrl-C while an answer arrives: the signal is only recorded, and the code
stops a moment later, at a place where it can finish the display and close the connection.
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
    """The numbers of the signals received in a `hold_interrupts` block; empty if there was none."""


@contextmanager
def hold_interrupts(wake: Callable[[], None] | None = None) -> Iterator[HeldInterrupts]:
    """Record SIGINT (Ctrl-C) in a list instead of raising `KeyboardInterrupt` in the block.

    The context manager yields the list; the block must check it and stop by itself. A
    `KeyboardInterrupt` at an arbitrary line could leave a display drawn twice, or a connection
    open. Outside of the main thread, signals are not recorded and the list stays empty.

    Args:
        wake: called by the signal handler to end the block's wait for the next event; it must be
            safe to call there. If it is `None`, a second SIGINT raises `KeyboardInterrupt`, in case
            the block never ends.
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
        yield held  # only the main thread can set handlers; one set in C can't be restored
        return
    former = signal.signal(signal.SIGINT, note)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, former)


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Delay a SIGINT (Ctrl-C) that arrives in the block until the block has ended.

    A second SIGINT raises `KeyboardInterrupt` at once.
    """
    with hold_interrupts() as held:
        yield
    if held:
        signal.raise_signal(signal.SIGINT)


ADDRESS_SETTINGS = ("base_url", "connection")
CONNECTION_SETTINGS = (*ADDRESS_SETTINGS, "agent", "dialect")


class Settings(Protocol):
    """An object with the settings that `%config SwiftaskMagics` shows and changes.

    An empty string or 0 means that the setting is not set.
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
    """The client and the settings that cells, commands and completion of one IPython shell share.

    Args:
        shell: the IPython shell.
        settings: the `SwiftaskMagics` object; its traits are the settings.

    Attributes:
        sandbox: the local test server that `%swiftask sandbox` started; `None` if it does not run.
    """

    def __init__(self, shell: InteractiveShell, settings: Settings) -> None:
        self.shell = shell
        self.settings = settings
        self.sandbox: Sandbox | None = None
        self._client: Swiftask | None = None

    @property
    def names(self) -> dict[str, Any]:
        """The user's variables by name, as in the shell's namespace; the dict may be changed."""
        names: dict[str, Any] = self.shell.user_ns
        return names

    @property
    def client(self) -> Swiftask:
        """The shell's client, created on first access.

        Each access applies the current settings to the client.
        """
        return self.connect()

    def connect(self, *, warm: bool = True) -> Swiftask:
        """Apply the current settings to the shell's client, and return the client.

        The first call creates the client.

        Args:
            warm: whether a newly created client prepares its first request in the background.
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
        """Remove the value that a command, such as `%swiftask use`, gave to a setting.

        This is called when `%config` sets the setting later, so that the newer value applies. If
        the setting is `base_url` or `connection`, the values of all settings from commands are
        removed, so that no token is sent to a service to which it does not belong.
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

        Otherwise, setting the same value by `%config` again would not be a change of the trait, and
        the value from the command would remain in effect.
        """
        for name in names:
            setattr(self.settings, name, "")

    def close(self) -> None:
        """Close the client, and stop the sandbox (the local test server), if they exist."""
        if self._client is not None:
            self._client.close()
        if self.sandbox is not None:
            self.sandbox.stop()
