"""The ledger: the database in which this package records every turn (a prompt and its answer)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from swiftask_jupyter.ledger.budgets import Budgets
from swiftask_jupyter.ledger.history import History
from swiftask_jupyter.ledger.sessions import Sessions
from swiftask_jupyter.ledger.sqlite import SQLiteStore
from swiftask_jupyter.ledger.store import Store
from swiftask_jupyter.ledger.turns import Turns

if TYPE_CHECKING:
    from swiftask_jupyter.ledger.erasure import Erasure
    from swiftask_jupyter.ledger.usage import UsageQueries

__all__ = ["Budgets", "History", "Ledger", "SQLiteStore", "Sessions", "Turns"]


class Ledger:
    """The database that stores turns, sessions, marks and budgets.

    Args:
        store: the database, SQLite or PostgreSQL.
        keeps_texts: returns whether prompts and answers may be stored. Called before each write.

    Attributes:
        store: the database, SQLite or PostgreSQL.
        keeps_texts: returns whether prompts and answers may be stored.
        turns: the object that writes turns.
        history: the object that reads conversations and writes marks.
        sessions: the object that finds the session for a notebook and a name.
        budgets: the object that reads and writes budgets.
    """

    def __init__(self, store: Store, keeps_texts: Callable[[], bool] = lambda: True) -> None:
        self.store = store
        self.keeps_texts = keeps_texts
        self.turns = Turns(store, keeps_texts)
        self.history = History(store, keeps_texts)
        self.sessions = Sessions(store)
        self.budgets = Budgets(store)

    @cached_property
    def usage_queries(self) -> UsageQueries:
        """The object that queries the database for usage and costs."""
        from swiftask_jupyter.ledger.usage import UsageQueries

        return UsageQueries(self.store)

    @cached_property
    def erasure(self) -> Erasure:
        """The object that erases texts; created on first use."""
        from swiftask_jupyter.ledger.erasure import Erasure

        return Erasure(self.store)

    def close(self) -> None:
        """Close all connections to the database; the next use opens new connections."""
        self.store.close()
