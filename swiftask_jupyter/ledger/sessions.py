"""The table of sessions: which session a name stands for in a notebook.

A row says that from its time on, a name stands for this session in this notebook. Rows are never
changed: a renamed notebook or a new session adds rows.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from swiftask_jupyter.ledger.schema import storable
from swiftask_jupyter.ledger.store import Store, StoreConnection
from swiftask_jupyter.support.structs import Struct


class SessionLocation(Struct, frozen=True):
    """The notebook and the name of a session."""

    notebook: str | None
    name: str


class Sessions:
    """The table of sessions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, notebook: str | None, name: str) -> str | None:
        """Return the id of the session of a notebook (`None`: outside of any) and a name."""
        with self._store.read() as table:
            return _newest(table, notebook, name)

    def location(self, session: str) -> SessionLocation | None:
        """Return the newest notebook and name of a session; `None` if the ledger has none."""
        with self._store.read() as table:
            row = table.execute(
                "SELECT notebook, name FROM sessions WHERE session = ? ORDER BY at DESC LIMIT 1",
                (storable(session),),
            ).fetchone()
        return SessionLocation(*row) if row else None

    def names(self, notebook: str | None) -> list[str]:
        """Return the names of a notebook's sessions, the newest last."""
        with self._store.read() as table:
            rows = table.execute(
                "SELECT name, max(at) FROM sessions WHERE notebook = ? OR"
                " notebook IS NULL AND ? IS NULL GROUP BY name ORDER BY 2",
                (storable(notebook), storable(notebook)),
            ).fetchall()
        return [row[0] for row in rows]

    def create(
        self,
        notebook: str | None,
        name: str,
        parent: str | None = None,
        instead_of: str | None = None,
    ) -> str:
        """Create a session, empty or as a copy of another; return its id.

        If another kernel has created one for the same notebook and name, return that one.

        Args:
            notebook: the notebook's path; `None` outside of a notebook.
            name: what the user calls the session.
            parent: the id of the session whose turns up to now are copied.
            instead_of: the id of the session that the name stood for, and no longer does.
        """
        session = f"{storable(name)}-{secrets.token_hex(4)}"
        with self._store.write() as rows:
            meanwhile = _newest(rows, notebook, name)
            if meanwhile is not None and meanwhile != instead_of:
                return meanwhile
            _insert(rows, session, notebook, name, parent)
        return session

    def assign(self, session: str, notebook: str | None, name: str) -> None:
        """Let a name stand for this session in a notebook from now on."""
        with self._store.write() as rows:
            _insert(rows, session, notebook, name, None)

    def rename_notebook(self, old: str | None, new: str | None) -> None:
        """Carry the sessions of a notebook over to its new path, if no file is at the old one."""
        if old is not None and not Path(old).exists():
            for name in self.names(old):
                if (session := self.find(old, name)) is not None:
                    self.assign(session, new, name)


def _newest(table: StoreConnection, notebook: str | None, name: str) -> str | None:
    row = table.execute(
        "SELECT session FROM sessions WHERE name = ? AND (notebook = ? OR"
        " notebook IS NULL AND ? IS NULL) ORDER BY at DESC LIMIT 1",
        (storable(name), storable(notebook), storable(notebook)),
    ).fetchone()
    return str(row[0]) if row and row[0] is not None else None  # the server may be away


def _insert(
    rows: StoreConnection, session: str, notebook: str | None, name: str, parent: str | None
) -> None:
    rows.execute(
        "INSERT INTO sessions (at, session, notebook, name, parent) VALUES (?, ?, ?, ?, ?)",
        (time.time(), *(storable(each) for each in (session, notebook, name, parent))),
    )
