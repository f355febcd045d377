"""Finds the stored session that a notebook continues: its own, or one under another path.

The ledger maps a notebook's path and a session name to a session. Where it has none, the
notebook may have been renamed or copied: the records in its outputs name the session that they
belong to. Where it has one that shares no cell with the file, another notebook has taken the path.
"""

from __future__ import annotations

from pathlib import Path

from swiftask_jupyter.conversation.notebook_file import read_cells, session_ids
from swiftask_jupyter.conversation.rules import CLOCK_SKEW, SavedNotebook
from swiftask_jupyter.ledger.history import History
from swiftask_jupyter.ledger.sessions import Sessions


class SessionResolver:
    """Finds the session of a notebook and a session name.

    Args:
        sessions: the table of sessions.
        history: the turns.
        notebook: the notebook's path, or `None` outside of a notebook.
    """

    def __init__(self, sessions: Sessions, history: History, notebook: str | None) -> None:
        self._sessions = sessions
        self._history = history
        self._notebook = notebook

    def find(self, name: str) -> str:
        """Return the id of the session that the name means here; begin one if there is none.

        Raises:
            StoreError: the ledger can't be read or written.
        """
        notebook = self._notebook
        known = self._sessions.find(notebook, name)
        if notebook is None:
            return known or self._sessions.create(None, name)
        if known is not None and (
            not self._is_replaced(known, read_cells(notebook)) or known in session_ids(notebook)
        ):
            return known
        return self._from_records(notebook, name, known) or self._sessions.create(
            notebook, name, instead_of=known
        )

    def _is_replaced(self, session: str, saved: SavedNotebook | None) -> bool:
        """Return whether another file lies at the path now: it shares no cell with the session."""
        if saved is None:
            return False
        answered, _ = self._history.turns(self._history.segments(session))
        cells = {
            turn.cell for turn in answered if turn.cell and turn.at + CLOCK_SKEW < saved.saved
        }  # a cell that ran after the file was saved can't be in it
        return bool(cells) and cells.isdisjoint(saved.cells)

    def _from_records(self, notebook: str, name: str, replaced: str | None) -> str | None:
        """Return the session that the file's records name, or a copy of it, if there is one."""
        for session in session_ids(notebook):
            known = self._sessions.location(session)
            if known is None or known.name != name or known.notebook is None:
                continue
            if known.notebook == notebook:
                return None  # it belongs to the file that lay here before
            if Path(known.notebook).exists():
                return self._sessions.create(notebook, name, session, instead_of=replaced)
            self._sessions.assign(session, notebook, name)
            return session
        return None
