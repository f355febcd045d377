"""The ledger: the database of turns, marks, sessions and budgets."""

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
    from swiftask_jupyter.ledger.usage import UsageQueries

__all__ = ["Budgets", "History", "Ledger", "SQLiteStore", "Sessions", "Turns"]


class Ledger:
    """The tables of one database.

    Attributes:
        store: the database, SQLite or PostgreSQL.
        turns: writes turns.
        history: reads turns and their marks.
        sessions: which session a notebook and a name stand for.
        budgets: the budgets.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.turns = Turns(store)
        self.history = History(store)
        self.sessions = Sessions(store)
        self.budgets = Budgets(store)

    @cached_property
    def usage_queries(self) -> UsageQueries:
        """Reads what calls cost; loaded on first use."""
        from swiftask_jupyter.ledger.usage import UsageQueries

        return UsageQueries(self.store)

    def close(self) -> None:
        """Close the database."""
        self.store.close()
