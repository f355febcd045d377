"""The ledger on disk."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from swiftask_jupyter.ledger.budgets import Budgets
from swiftask_jupyter.ledger.history import History
from swiftask_jupyter.ledger.sessions import Sessions
from swiftask_jupyter.ledger.sqlite import Database
from swiftask_jupyter.ledger.turns import Turns

if TYPE_CHECKING:
    from swiftask_jupyter.ledger.usage import Accounts

__all__ = ["Budgets", "Database", "History", "Ledger", "Sessions", "Turns"]


class Ledger:
    """All tables of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.turns = Turns(database)
        self.history = History(database)
        self.sessions = Sessions(database)
        self.budgets = Budgets(database)

    @cached_property
    def accounts(self) -> Accounts:
        """The ledger read for what was used."""
        from swiftask_jupyter.ledger.usage import Accounts

        return Accounts(self.database)

    def close(self) -> None:
        """Close the database."""
        self.database.close()
