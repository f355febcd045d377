"""Which stored conversation a notebook goes on with: its own, a renamed one's, or a copy's.

A notebook's path and a name lead to a session. Where they lead nowhere, the notebook may have
been renamed or copied: its saved outputs name the session that they belong to. Where they lead
to a session of which the file shares no cell, another notebook has taken the path.
"""

from __future__ import annotations

from pathlib import Path

from swiftask_jupyter.conversation import notebook_file as ipynb
from swiftask_jupyter.conversation.rules import SKEW, Document
from swiftask_jupyter.ledger.history import History
from swiftask_jupyter.ledger.sessions import Sessions


class SessionResolver:
    """Finds the session of a notebook and a name.

    Args:
        sessions: the table of sessions.
        history: their turns.
        notebook: the notebook's path, or `None` outside of one.
    """

    def __init__(self, sessions: Sessions, history: History, notebook: str | None) -> None:
        self._sessions = sessions
        self._history = history
        self._notebook = notebook

    def find(self, name: str) -> str:
        """Return the session that the name means here; begins one where there is none."""
        notebook = self._notebook
        known = self._sessions.find(notebook, name)
        if notebook is None:
            return known or self._sessions.begin(None, name)
        if known is not None and (
            not self._replaced(known, ipynb.document(notebook)) or known in ipynb.sessions(notebook)
        ):
            return known
        return self._taken_over(notebook, name, known) or self._sessions.begin(
            notebook, name, instead_of=known
        )

    def _replaced(self, session: str, document: Document | None) -> bool:
        """Tell whether the file at the path is another one: it shares no cell with the session."""
        if document is None:
            return False
        answered, _ = self._history.turns(self._sessions.lines(session))
        cells = {
            each.cell for each in answered if each.cell and each.at + SKEW < document.saved
        }  # a cell that ran after the file was saved can't be in it
        return bool(cells) and cells.isdisjoint(document.cells)

    def _taken_over(self, notebook: str, name: str, replaced: str | None) -> str | None:
        """Return the session that the file's own outputs name, or a copy of it."""
        for session in ipynb.sessions(notebook):
            known = self._sessions.known(session)
            if known is None or known.name != name or known.notebook is None:
                continue
            if known.notebook == notebook:
                return None  # it was here, and was found to be another file's
            if Path(known.notebook).exists():
                return self._sessions.begin(notebook, name, session, instead_of=replaced)
            self._sessions.place(session, notebook, name)
            return session
        return None
