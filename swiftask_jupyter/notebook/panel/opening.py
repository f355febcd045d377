"""Where a panel can be shown, and what is said where it can't."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.notebook.identity import running_cell

if TYPE_CHECKING:
    from swiftask_jupyter.client import Swiftask

AGAIN = "ChatPanel(client) opens another"
CLOSED = "this chat panel is closed"
NO_NOTEBOOK = "a chat panel needs a notebook"
INSTEAD = "ask with %%swiftask"


def expect_client(client: Any) -> Swiftask:
    """Return the client, or refuse what is none before there is a widget.

    Raises:
        ConfigurationError: it is no client.
    """
    from swiftask_jupyter.client import Swiftask

    if not isinstance(client, Swiftask):
        given = "nothing" if client is None else type(client).__name__
        raise ConfigurationError(
            f"a chat panel takes a client, not {given}", advice="ChatPanel(Swiftask())"
        )
    return client


def obstacle(*, closed: bool) -> str:
    """Return in one line why a panel can't be shown here; empty if it can."""
    if closed:
        return f"{CLOSED}; {AGAIN}"
    shell = get_ipython()
    return "" if shell is None or hasattr(shell, "kernel") else f"{NO_NOTEBOOK}; {INSTEAD}"


def take_the_place(panel: Any, displayed: list[Any]) -> None:
    """Close the panels that an earlier run of this cell has shown: nobody sees them."""
    shell = get_ipython()
    panel.place = cell, run = (None, None) if shell is None else running_cell(shell)
    for old in tuple(displayed):
        if old is not panel and old.place[0] == cell and old.place[1] != run:
            old.close()
            panel.chats.take_over(old.chats)
    if cell is not None and panel not in displayed:
        displayed.append(panel)
