"""Finds the session that a notebook continues, even if the notebook was renamed or copied.

A session is a conversation in the ledger. The ledger maps each pair of notebook path and session
name to a session. If it has no session for a pair, the notebook may have been renamed or copied;
then the records in the notebook's outputs name the session. If the session that it has shares no
cell with the file, another notebook is now at that path.
"""

from __future__ import annotations

from pathlib import Path

from swiftask_jupyter.conversation.notebook_file import read_cells, session_ids
from swiftask_jupyter.conversation.rules import CLOCK_SKEW, SavedNotebook
from swiftask_jupyter.ledger.history import History
from swiftask_jupyter.ledger.sessions import Sessions


class SessionResolver:
    """Finds the sessions of one notebook by name.

    Args:
        sessions: the ledger's table of sessions.
        history: reads the turns of a session from the ledger.
        notebook: the notebook's path; `None` outside of a notebook.
    """

    def __init__(self, sessions: Sessions, history: History, notebook: str | None) -> None:
        self._sessions = sessions
        self._history = history
        self._notebook = notebook

    def find(self, name: str) -> str:
        """Return the id of the session with this name in the notebook; create it if none is found.

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
        """Return whether the file at the path is another notebook, without the session's cells.

        Cells that ran after the file was saved are not considered. Return false if the saved
        notebook is unknown or the session has no cells.
        """
        if saved is None:
            return False
        answered, _ = self._history.turns(self._history.segments(session))
        cells = {
            turn.cell for turn in answered if turn.cell and turn.at + CLOCK_SKEW < saved.saved
        }  # a cell that ran after the file was saved can't be in it
        return bool(cells) and cells.isdisjoint(saved.cells)

    def _from_records(self, notebook: str, name: str, replaced: str | None) -> str | None:
        """Return the session that the records in the notebook's file name; `None` if there is none.

        If the notebook was renamed, the session is assigned to the new path. If the notebook was
        copied and the original still exists, a copy of the session is created. `replaced` is the
        session that the name stood for at this path before.
        """
        for session in session_ids(notebook):
            known = self._sessions.location(session)
            if known is None or known.name != name or known.notebook is None:
                continue
            if known.notebook == notebook:
                return None  # it belongs to the file that was at this path before
            if Path(known.notebook).exists():
                return self._sessions.create(notebook, name, session, instead_of=replaced)
            self._sessions.assign(session, notebook, name)
            return session
        return None
