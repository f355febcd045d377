"""Which session goes on in which notebook, and from which it was taken over.

A row says that from then on a name means this session in this notebook. Nothing is changed: a
renamed notebook and a new session are further rows.
"""

from __future__ import annotations

import math
import secrets
import time
from pathlib import Path

from swiftask_jupyter.ledger.history import SessionSegment
from swiftask_jupyter.ledger.schema import storable
from swiftask_jupyter.ledger.store import Store, StoreConnection
from swiftask_jupyter.support.structs import Struct


class Known(Struct, frozen=True):
    """Where a session was last placed."""

    notebook: str | None
    name: str


class Sessions:
    """The table of sessions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, notebook: str | None, name: str) -> str | None:
        """Return the session that a name means in a notebook (`None`: outside of any)."""
        with self._store.read() as table:
            return _newest(table, notebook, name)

    def known(self, session: str) -> Known | None:
        """Return where a session was placed last."""
        with self._store.read() as table:
            row = table.execute(
                "SELECT notebook, name FROM sessions WHERE session = ? ORDER BY at DESC LIMIT 1",
                (storable(session),),
            ).fetchone()
        return Known(*row) if row else None

    def names(self, notebook: str | None) -> list[str]:
        """Return the names of a notebook's sessions, the newest last."""
        with self._store.read() as table:
            rows = table.execute(
                "SELECT name, max(at) FROM sessions WHERE notebook = ? OR"
                " notebook IS NULL AND ? IS NULL GROUP BY name ORDER BY 2",
                (storable(notebook), storable(notebook)),
            ).fetchall()
        return [row[0] for row in rows]

    def begin(
        self,
        notebook: str | None,
        name: str,
        parent: str | None = None,
        instead_of: str | None = None,
    ) -> str:
        """Begin a session, empty or with all that another holds now; return its id.

        Where another kernel has begun one meanwhile, it is that one.

        Args:
            notebook: the notebook's path, or `None`.
            name: what the user calls it.
            parent: the session to take over from.
            instead_of: what the name has meant so far, where it is not to mean that any more.
        """
        session = f"{storable(name)}-{secrets.token_hex(4)}"
        with self._store.write() as rows:
            meanwhile = _newest(rows, notebook, name)
            if meanwhile is not None and meanwhile != instead_of:
                return meanwhile
            _place(rows, session, notebook, name, parent)
        return session

    def place(self, session: str, notebook: str | None, name: str) -> None:
        """Say that a name means this session in a notebook from now on."""
        with self._store.write() as rows:
            _place(rows, session, notebook, name, None)

    def follow(self, old: str | None, new: str | None) -> None:
        """Let names mean in a renamed notebook what they meant, if no other has its old name."""
        if old is not None and not Path(old).exists():
            for name in self.names(old):
                if (session := self.find(old, name)) is not None:
                    self.place(session, new, name)

    def segments(self, session: str) -> list[SessionSegment]:
        """Return the session and those it was taken over from, with the moment of each."""
        lines = [SessionSegment(storable(session), math.inf)]
        with self._store.read() as table:
            while True:
                row = table.execute(
                    "SELECT parent, at FROM sessions WHERE session = ? AND parent IS NOT NULL"
                    " ORDER BY at LIMIT 1",
                    (lines[-1].session,),
                ).fetchone()
                if row is None or row[0] in {line.session for line in lines}:
                    return lines
                lines.append(SessionSegment(row[0], min(row[1], lines[-1].until)))


def _newest(table: StoreConnection, notebook: str | None, name: str) -> str | None:
    row = table.execute(
        "SELECT session FROM sessions WHERE name = ? AND (notebook = ? OR"
        " notebook IS NULL AND ? IS NULL) ORDER BY at DESC LIMIT 1",
        (storable(name), storable(notebook), storable(notebook)),
    ).fetchone()
    return str(row[0]) if row and row[0] is not None else None  # the server may be away


def _place(
    rows: StoreConnection, session: str, notebook: str | None, name: str, parent: str | None
) -> None:
    rows.execute(
        "INSERT INTO sessions (at, session, notebook, name, parent) VALUES (?, ?, ?, ?, ?)",
        (time.time(), *(storable(each) for each in (session, notebook, name, parent))),
    )
