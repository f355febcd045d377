"""The ledger on disk."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from swiftask_jupyter.ledger.budgets import Budgets
from swiftask_jupyter.ledger.history import History
from swiftask_jupyter.ledger.sessions import Sessions
from swiftask_jupyter.ledger.sqlite import SQLiteStore
from swiftask_jupyter.ledger.store import Store
from swiftask_jupyter.ledger.turns import Turns

if TYPE_CHECKING:
    from swiftask_jupyter.ledger.usage import Accounts

__all__ = ["Budgets", "History", "Ledger", "SQLiteStore", "Sessions", "Turns"]


class Ledger:
    """All tables of one database."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.turns = Turns(store)
        self.history = History(store)
        self.sessions = Sessions(store)
        self.budgets = Budgets(store)

    @cached_property
    def accounts(self) -> Accounts:
        """The ledger read for what was used."""
        from swiftask_jupyter.ledger.usage import Accounts

        return Accounts(self.store)

    def close(self) -> None:
        """Close the database."""
        self.store.close()
