"""What the sessions and batches of one client share."""

from __future__ import annotations

from collections.abc import Callable

from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.turns.connections import Connections


class Runtime(Struct):
    """What the sessions and batches of one client share.

    Attributes:
        ledger: the database of all turns.
        connections: settings, secrets, routes and the network.
        running_cell: returns the id of the cell that runs now and of its execution; both are
            `None` outside of a cell, or where the front end does not say.
        cache: the cache mode: `off`, `on` or `strict`.
        history_limit: the most tokens of history to send, roughly counted; 0 for all.
    """

    ledger: Ledger
    connections: Connections
    running_cell: Callable[[], tuple[str | None, str | None]] = lambda: (None, None)
    cache: str = "off"
    history_limit: int = 0
