"""The ledger on disk."""

from __future__ import annotations

from swiftask_jupyter.store.database import Database
from swiftask_jupyter.store.turns import Turns

__all__ = ["Database", "Turns"]
