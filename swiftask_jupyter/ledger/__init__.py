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
    """The tables of one database.

    Args:
        store: the database, SQLite or PostgreSQL.
        keeps_texts: returns whether prompts and answers may be stored; asked at each write.

    Attributes:
        store: the database, SQLite or PostgreSQL.
        keeps_texts: returns whether prompts and answers may be stored.
        turns: writes turns.
        history: reads turns and their marks.
        sessions: which session a notebook and a name stand for.
        budgets: the budgets.
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
        """Erases texts; loaded on first use."""
        from swiftask_jupyter.ledger.erasure import Erasure

        return Erasure(self.store)

    def close(self) -> None:
        """Close all connections to the database; the next use opens new connections."""
        self.store.close()
