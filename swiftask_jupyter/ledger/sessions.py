"""The table of sessions, which finds the session (conversation) of a notebook by its name.

Each row assigns a session to a notebook and a name, from the row's time on. Rows are never changed:
if a notebook is renamed or a session replaced, a new row is added. The newest row is valid.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from swiftask_jupyter.ledger.schema import storable
from swiftask_jupyter.ledger.store import Store, StoreConnection
from swiftask_jupyter.support.structs import Struct


class SessionLocation(Struct, frozen=True):
    """The path of the notebook that a session belongs to, and the session's name in this notebook.

    `notebook` is `None` for a session outside of any notebook.
    """

    notebook: str | None
    name: str


class Sessions:
    """The ledger's table of sessions; a session is a conversation with an id.

    In all methods, the notebook `None` stands for the sessions outside of any notebook.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, notebook: str | None, name: str) -> str | None:
        """Return the id of the session with this name in a notebook; `None` if there is none.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            return _newest(table, notebook, name)

    def location(self, session: str) -> SessionLocation | None:
        """Return the newest notebook and name of a session; `None` if its id is not in the table.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            row = table.execute(
                "SELECT notebook, name FROM sessions WHERE session = ? ORDER BY at DESC LIMIT 1",
                (storable(session),),
            ).fetchone()
        return SessionLocation(*row) if row else None

    def names(self, notebook: str | None) -> list[str]:
        """Return the names of the sessions in a notebook, the most recently assigned name last.

        Raises:
            StoreError: the ledger can't be read.
        """
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
        """Create a session, empty or as a copy of another one, and return its id.

        If another kernel has just created a session with this name in the notebook, return its id
        instead.

        Args:
            notebook: the path of the notebook; `None` outside of any notebook.
            name: the name of the session.
            parent: the id of the session to copy with all turns up to now; `None` to create an
                empty session.
            instead_of: the id of the session that had this name in the notebook until now, and that
                the new one replaces; `None` if there was none.

        Raises:
            StoreError: the ledger can't be written.
        """
        session = f"{storable(name)}-{secrets.token_hex(4)}"
        with self._store.write() as rows:
            meanwhile = _newest(rows, notebook, name)
            if meanwhile is not None and meanwhile != instead_of:
                return meanwhile
            _insert(rows, session, notebook, name, parent)
        return session

    def assign(self, session: str, notebook: str | None, name: str) -> None:
        """Assign an existing session to a notebook and a name, for example after a rename.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            _insert(rows, session, notebook, name, None)

    def rename_notebook(self, old: str | None, new: str | None) -> None:
        """Assign all sessions of a notebook to its new path.

        Do nothing if `old` is `None`, or if a file still exists at the old path.

        Raises:
            StoreError: the ledger can't be read or written.
        """
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
    return str(row[0]) if row and row[0] is not None else None  # row[0] is `None` offline


def _insert(
    rows: StoreConnection, session: str, notebook: str | None, name: str, parent: str | None
) -> None:
    rows.execute(
        "INSERT INTO sessions (at, session, notebook, name, parent) VALUES (?, ?, ?, ?, ?)",
        (time.time(), *(storable(each) for each in (session, notebook, name, parent))),
    )
