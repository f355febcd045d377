"""Finds the stored session of a notebook, or creates a session. A session is a conversation.

The ledger maps the path of a notebook and a name to a session. For each session, the ledger also
stores the identity of the notebook's file. A notebook may come from anyone. So a notebook continues
a session only if the file has the stored identity. Any other file gets a new session, even at the
same path. The new session copies only turns that the file proves. A file proves a turn if it
contains a record with the turn's id and digest.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable
from pathlib import Path

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

# The kinds of marks that are copied together with a turn.
_COPIED_MARKS = ("picked", "liked", "comment")


class SessionResolver:
    """Finds the session that belongs to a name in one notebook.

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
        """Return the id of the session with this name in the notebook; create a missing session.

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
        """Assign a name in this notebook to an earlier session; return the id of the session.

        If another notebook still uses the earlier session, the name is assigned to a new session
        with copies of the turns.

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
        """Return whether a notebook other than the current notebook still uses a session."""
        notebook = location.notebook
        if notebook is None or notebook == self._file.path:
            return False
        present = file_identity(notebook)
        used_in = self._sessions.file(session)
        newest = self._sessions.find(notebook, location.name)
        return present is not None and used_in in (None, present) and newest == session

    def _is_same_file(self, session: str, path: str, identity: str | None) -> bool:
        """Return whether the file at `path` is the file in which a session was last used."""
        if identity is None:
            return True  # the notebook is not saved yet
        known = self._sessions.file(session)
        if known is None:  # written by an earlier version, or the notebook was not saved yet
            return not self._seems_replaced(session, path)
        return known == identity and self._is_certain(session, path, identity)

    def _is_certain(self, session: str, path: str, identity: str) -> bool:
        """Return whether the file at `path` really is the file of a session.

        The file has the identity that the ledger stores for the session. If the identity has no
        time of birth, another file can have an equal identity. In this case, the content of the
        file decides.
        """
        if is_unique(identity):
            return not self._is_overwritten(session, path)
        return not self._seems_replaced(session, path)

    def _is_overwritten(self, session: str, path: str) -> bool:
        """Return whether another notebook was written over the file of a session.

        None of the cells that asked in the session is in the file then. If no cell asked, no record
        in the file is of a turn in the ledger.
        """
        saved = read_cells(path)
        if saved is None:
            return False
        # No tool sets this time back, unlike the time of modification.
        changed = Path(path).stat().st_ctime
        if cells := self._cells_before(session, changed):
            return cells.isdisjoint(saved.cells)
        recorded = recorded_turns(path)
        return bool(recorded) and not self._history.matching(recorded)

    def _seems_replaced(self, session: str, path: str) -> bool:
        """Return whether the content of the file at `path` does not fit a session.

        There are two such cases. The file has records of turns, but no record is of a turn in the
        ledger. Or the session has turns from cells, but none of these cells is in the file.
        """
        saved = read_cells(path)
        if saved is None:
            return False
        recorded = recorded_turns(path)
        if recorded and not self._history.matching(recorded):
            return True
        cells = self._cells_before(session, saved.saved)
        return bool(cells) and cells.isdisjoint(saved.cells)

    def _cells_before(self, session: str, saved: float) -> set[str]:
        """Return the ids of the cells that asked in a session before the file was written.

        A cell that ran later may be missing in the file. `saved` is in seconds since the epoch.
        """
        answered, _ = self._history.turns(self._history.segments(session))
        return {turn.cell for turn in answered if turn.cell and turn.at + CLOCK_SKEW < saved}

    def _renamed(self, path: str, name: str, identity: str) -> str | None:
        """Return the session of a renamed file, or `None`; assign the session to the new path.

        Args:
            path: the new path of the file.
            name: the name of the session.
            identity: the identity of the file.
        """
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
        """Create a session with copies of the turns that the file proves; return the session's id.

        From then on, `name` stands for the new session instead of the session `replaced`.
        """
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
        """Return the sessions with this name that the file may continue, the likeliest first."""
        named = [
            each
            for each in dict.fromkeys(reversed(list(sessions)))
            if (location := self._sessions.location(each)) is not None and location.name == name
        ]
        return list(dict.fromkeys(([replaced] if replaced is not None else []) + named))

    def _copied(self, session: str, wanted: Container[str] | None) -> list[Mark]:
        """Return the marks that copy turns of `session` into another session.

        `wanted` contains the ids of the turns to copy; `None` stands for all turns.
        """
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
