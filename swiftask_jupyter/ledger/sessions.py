"""The table of sessions. A session is a conversation, found by its notebook and its name.

Each row gives a session a name in a notebook. If several rows have the same notebook and name, the
newest row counts. Rows are never changed: a renamed notebook or a new session adds rows. The column
`notebook` holds one of three values:

- the path of the notebook;
- the id of a kernel, for a session that only this kernel uses;
- NULL, for a session that scripts continue by its name.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from swiftask_jupyter.ledger.history import FILE, Mark, insert_mark
from swiftask_jupyter.ledger.schema import storable
from swiftask_jupyter.ledger.store import Store, StoreConnection
from swiftask_jupyter.support.structs import Struct


class SessionLocation(Struct, frozen=True):
    """The notebook of a session, and the name of the session in this notebook.

    `notebook` is the path of the notebook; `None` for a session outside of any notebook.
    """

    notebook: str | None
    name: str


class Sessions:
    """The ledger's table of sessions; a session is a conversation with an id.

    In all methods, `None` as the notebook stands for sessions outside of any notebook. The identity
    of a notebook file is a text that stays the same if the file is renamed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, notebook: str | None, name: str) -> str | None:
        """Return the id of the session with this name in a notebook; `None` if there is no session.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            return _newest(table, notebook, name)

    def location(self, session: str) -> SessionLocation | None:
        """Return the newest notebook and name of a session; `None` if the session is unknown.

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

    def earlier(self, notebook: str | None, name: str) -> list[str]:
        """Return the ids of all sessions that have had this name in a notebook, the newest last."""
        with self._store.read() as table:
            rows = table.execute(
                "SELECT session, max(at) FROM sessions WHERE name = ? AND (notebook = ? OR"
                " notebook IS NULL AND ? IS NULL) GROUP BY session ORDER BY 2",
                (storable(name), storable(notebook), storable(notebook)),
            ).fetchall()
        return [row[0] for row in rows]

    def file(self, session: str) -> str | None:
        """Return the identity of the notebook file that last used a session; `None` if unknown."""
        with self._store.read() as table:
            row = table.execute(
                f"SELECT value FROM marks WHERE session = ? AND kind = '{FILE}'"  # noqa: S608 - our own words
                f" AND {self._store.own_marks} ORDER BY at DESC, mark DESC LIMIT 1",
                (storable(session),),
            ).fetchone()
        return row[0] if row else None

    def set_file(self, session: str, identity: str) -> None:
        """Record the identity of the notebook file that uses a session."""
        with self._store.write() as rows:
            insert_mark(rows, session, Mark(time.time(), FILE, value=identity))

    def of_file(self, identity: str) -> list[str]:
        """Return the ids of sessions that a notebook file has used, the most recently used last."""
        with self._store.read() as table:
            rows = table.execute(
                "SELECT session, max(at) FROM marks WHERE value = ?"  # noqa: S608 - our own words
                f" AND kind = '{FILE}' AND {self._store.own_marks} GROUP BY session ORDER BY 2",
                (identity,),
            ).fetchall()
        return [row[0] for row in rows]

    def create(
        self,
        notebook: str | None,
        name: str,
        instead_of: str | None = None,
        marks: Iterable[Mark] = (),
    ) -> str:
        """Create a session, and return the id of the session.

        If another kernel has just created a session with this name in this notebook, create nothing
        and return the id of that session.

        Args:
            notebook: the notebook's path; `None` outside of a notebook.
            name: the name of the session.
            instead_of: the id of the session that has had the name until now; `None` if there is no
                such session.
            marks: marks to store for the new session. A mark of the kind `copied` adds a turn of
                another session.
        """
        session = f"{storable(name)}-{secrets.token_hex(4)}"
        with self._store.write() as rows:
            meanwhile = _newest(rows, notebook, name)
            if meanwhile is not None and meanwhile != instead_of:
                return meanwhile
            _insert(rows, session, notebook, name)
            for mark in marks:
                insert_mark(rows, session, mark)
        return session

    def assign(self, session: str, notebook: str | None, name: str) -> None:
        """Give an existing session a notebook and a name, for example after a rename.

        Raises:
            StoreError: the ledger can't be written.
        """
        with self._store.write() as rows:
            _insert(rows, session, notebook, name)

    def rename_notebook(self, old: str | None, new: str | None) -> None:
        """Assign all sessions of the notebook path `old` to the path `new`.

        Do nothing if `old` is `None`, or if a file still exists at the path `old`.

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


def _insert(rows: StoreConnection, session: str, notebook: str | None, name: str) -> None:
    rows.execute(
        "INSERT INTO sessions (at, session, notebook, name) VALUES (?, ?, ?, ?)",
        (time.time(), *(storable(each) for each in (session, notebook, name))),
    )
