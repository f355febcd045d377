"""The ledger: the database in which this package records every turn (a prompt and its answer)."""

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
    """A ledger, the database of all turns, with one attribute for each group of its tables.

    Attributes:
        store: the database itself, in SQLite or PostgreSQL.
        turns: writes turns.
        history: reads the turns of conversations, and records later changes such as an undo.
        sessions: finds the session (conversation) of a notebook by its name.
        budgets: reads and writes budgets, and checks whether they allow a turn.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.turns = Turns(store)
        self.history = History(store)
        self.sessions = Sessions(store)
        self.budgets = Budgets(store)

    @cached_property
    def usage_queries(self) -> UsageQueries:
        """The queries for usage and costs; their module is imported on first use."""
        from swiftask_jupyter.ledger.usage import UsageQueries

        return UsageQueries(self.store)

    def close(self) -> None:
        """Close all connections to the database; the next use opens new ones."""
        self.store.close()
