"""The ledger on disk."""

from __future__ import annotations

from swiftask_jupyter.store.accounts import Accounts
from swiftask_jupyter.store.budgets import Budgets
from swiftask_jupyter.store.database import Database
from swiftask_jupyter.store.history import History
from swiftask_jupyter.store.sessions import Sessions
from swiftask_jupyter.store.turns import Turns

__all__ = ["Accounts", "Budgets", "Database", "History", "Ledger", "Sessions", "Turns"]


class Ledger:
    """All tables of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.turns = Turns(database)
        self.history = History(database)
        self.sessions = Sessions(database)
        self.accounts = Accounts(database)
        self.budgets = Budgets(database)

    def close(self) -> None:
        """Close the database."""
        self.database.close()
