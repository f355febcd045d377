"""Finds the stored session that a notebook continues, and begins one where there is none.

The ledger maps a notebook's path and a session name to a session, and knows the identity of the
file that the session was last used in. A notebook may come from anyone, so it continues a session
whole only if its file is that file. Any other file, of whatever path, cells and records, gets a
new session, which takes over the turns that records in the file prove and no others.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable

from swiftask_jupyter.conversation.notebook_file import (
    NotebookFile,
    file_identity,
    is_unique,
    read_cells,
    recorded_turns,
)
from swiftask_jupyter.conversation.rules import CLOCK_SKEW, not_taken_back
from swiftask_jupyter.ledger.history import COPIED, History, Mark
from swiftask_jupyter.ledger.sessions import SessionLocation, Sessions

# What a copied turn keeps of what was done to it.
_COPIED_MARKS = ("picked", "liked", "comment")


class SessionResolver:
    """Finds the sessions of one notebook by name.

    Args:
        sessions: the table of sessions.
        history: the turns.
        file: the notebook's file.
    """

    def __init__(self, sessions: Sessions, history: History, file: NotebookFile) -> None:
        self._sessions = sessions
        self._history = history
        self._file = file

    def find(self, name: str) -> str:
        """Return the id of the session with this name in the notebook; create it if none is found.

        Raises:
            StoreError: the ledger can't be read or written.
        """
        place, path = self._file.place(name), self._file.path
        known = self._sessions.find(place, name)
        if place is None or place != path:
            return known or self._sessions.create(place, name)
        identity = file_identity(path)
        if known is not None and self._is_same_file(known, path, identity):
            return known
        if identity is not None and (renamed := self._renamed(path, name, identity)):
            return renamed
        return self._begin(path, name, known)

    def adopt(self, session: str, name: str) -> str:
        """Let a name stand for an earlier session here from now on; return the session's id.

        If another notebook still uses the session, that one keeps it, and a new session takes
        over all its turns.

        Raises:
            StoreError: the ledger can't be read or written.
        """
        place, location = self._file.place(name), self._sessions.location(session)
        if location is not None and self._is_in_use(session, location):
            marks = [Mark(time.time(), COPIED, value=session), *self._copied(session, None)]
            known = self._sessions.find(place, name)
            return self._sessions.create(place, name, instead_of=known, marks=marks)
        self._sessions.assign(session, place, name)
        return session

    def _is_in_use(self, session: str, location: SessionLocation) -> bool:
        """Return whether another notebook than this one still uses a session."""
        notebook = location.notebook
        if notebook is None or notebook == self._file.path:
            return False
        present = file_identity(notebook)
        used_in = self._sessions.file(session)
        newest = self._sessions.find(notebook, location.name)
        return present is not None and used_in in (None, present) and newest == session

    def _is_same_file(self, session: str, path: str, identity: str | None) -> bool:
        """Return whether the file at a session's path is the one that it was last used in."""
        if identity is None:
            return True  # not saved yet
        known = self._sessions.file(session)
        if known is None:  # an earlier version of this package, or it was not saved yet
            return not self._seems_replaced(session, path)
        return known == identity and self._is_certain(session, path, identity)

    def _is_certain(self, session: str, path: str, identity: str) -> bool:
        """Return whether a file of a session's identity is not a later file of the same number."""
        return is_unique(identity) or not self._seems_replaced(session, path)

    def _seems_replaced(self, session: str, path: str) -> bool:
        """Return whether the file has no cell of the session, or only records of other turns."""
        saved = read_cells(path)
        if saved is None:
            return False
        recorded = recorded_turns(path)
        if recorded and not self._history.matching(recorded):
            return True
        answered, _ = self._history.turns(self._history.segments(session))
        cells = {
            turn.cell for turn in answered if turn.cell and turn.at + CLOCK_SKEW < saved.saved
        }  # a cell that ran after the file was saved can't be in it
        return bool(cells) and cells.isdisjoint(saved.cells)

    def _renamed(self, path: str, name: str, identity: str) -> str | None:
        """Return the session that was last used in this file under another path, if any."""
        for session in reversed(self._sessions.of_file(identity)):
            location = self._sessions.location(session)
            if location is None or location.name != name or location.notebook is None:
                continue
            moved = location.notebook == path or file_identity(location.notebook) != identity
            same = self._sessions.file(session) == identity
            if moved and same and self._is_certain(session, path, identity):
                if location.notebook != path:
                    self._sessions.rename_notebook(location.notebook, path)
                self._sessions.assign(session, path, name)
                return session
        return None

    def _begin(self, path: str, name: str, replaced: str | None) -> str:
        """Begin a session with the turns that records in the file prove."""
        matching = self._history.matching(recorded_turns(path))
        origins = [replaced] if replaced is not None else []
        copied: list[Mark] = []
        for session in self._origins(matching.values(), name, replaced):
            if copied := self._copied(session, matching):
                origins = list(dict.fromkeys((session, *origins)))
                break
        now = time.time()
        marks = [*(Mark(now, COPIED, value=each) for each in origins), *copied]
        return self._sessions.create(path, name, instead_of=replaced, marks=marks)

    def _origins(self, sessions: Iterable[str], name: str, replaced: str | None) -> list[str]:
        """Return the sessions of this name that the file may continue, the likeliest first."""
        named = [
            each
            for each in dict.fromkeys(reversed(list(sessions)))
            if (location := self._sessions.location(each)) is not None and location.name == name
        ]
        return list(dict.fromkeys(([replaced] if replaced is not None else []) + named))

    def _copied(self, session: str, wanted: Container[str] | None) -> list[Mark]:
        """Return the marks by which another session takes over turns, all if `wanted` is `None`."""
        segments = self._history.segments(session)
        answered, _ = self._history.turns(segments)
        marks = self._history.marks(segments)
        taken = {
            turn for turn in not_taken_back(answered, marks) if wanted is None or turn in wanted
        }
        now = time.time()
        return [
            *(Mark(now, COPIED, turn) for turn in sorted(taken)),
            *(mark for mark in marks if mark.turn in taken and mark.kind in _COPIED_MARKS),
        ]
