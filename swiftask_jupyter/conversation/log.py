"""The turns of one conversation: read in their order, taken back, picked, exported."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from swiftask_jupyter.answers.turn import Turn, content_digest, new_id
from swiftask_jupyter.conversation.notebook_file import NotebookFile
from swiftask_jupyter.conversation.resolver import SessionResolver
from swiftask_jupyter.conversation.rules import SavedNotebook, fold
from swiftask_jupyter.errors import ConfigurationError, StoreUnreachable
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.history import Mark
from swiftask_jupyter.support.structs import replace

TICK = 1e-6  # seconds between two turns or marks that follow one another


class ConversationLog:
    """The turns of one conversation, in a notebook or outside.

    Attributes:
        name: what the user calls the conversation.
    """

    def __init__(self, ledger: Ledger, file: NotebookFile, name: str) -> None:
        self.name = name
        self._ledger = ledger
        self._file = file
        self._id: str | None = None
        self._placed_in: str | None = None  # the notebook's path in the ledger
        self._highest_copied: int | None = None
        self._id_while_unreachable = f"{name}-apart-{secrets.token_hex(4)}"

    @property
    def notebook(self) -> str | None:
        """The path of its notebook; `None` outside of one."""
        return self._file.path

    @property
    def id(self) -> str:
        """Its id in the ledger; found, or begun, on first use.

        While the ledger's server can't be reached, a provisional id, and it is looked for again
        at the next use.
        """
        return self._locate()

    def names(self) -> list[str]:
        """Return the names of all conversations of its notebook, the newest last.

        Raises:
            StoreError: the ledger can't be read.
        """
        self._locate()  # a renamed notebook is in the ledger under its new name from here on
        return self._ledger.sessions.names(self.notebook)

    def _locate(self) -> str:
        """Return the id; find or begin the session on first use, and follow a renamed notebook."""
        sessions, notebook = self._ledger.sessions, self.notebook
        try:
            if self._id is None:
                resolver = SessionResolver(sessions, self._ledger.history, notebook)
                self._id = resolver.find(self.name)
            elif notebook != self._placed_in:  # it was renamed
                sessions.rename_notebook(self._placed_in, notebook)
                sessions.assign(self._id, notebook, self.name)
            self._placed_in = notebook
        except StoreUnreachable:
            return self._id or self._id_while_unreachable
        return self._id

    @property
    def is_known(self) -> bool:
        """Whether the ledger has been found to hold it, or to begin it."""
        return self._id is not None

    def saved_notebook(self) -> SavedNotebook | None:
        """Return the cells of the saved notebook, which give the turns their order."""
        return self._file.cells()

    def read(self) -> tuple[list[Turn], list[Turn], list[Mark]]:
        """Return the answered turns, all turns sent, and the marks; oldest first, without texts.

        Raises:
            StoreError: the ledger can't be read.
        """
        segments = self._ledger.history.segments(self.id)
        return *self._ledger.history.turns(segments), self._ledger.history.marks(segments)

    def history(self) -> list[Turn]:
        """Return the turns that the conversation holds now, in order; stale ones are marked.

        Raises:
            StoreError: the ledger can't be read.
        """
        answered, _, marks = self.read()
        return self._ledger.history.with_texts(fold(answered, marks, self.saved_notebook()))

    def highest_copied(self) -> int:
        """Return the highest number of the turns that were copied from another session."""
        if self._highest_copied is None:
            try:
                segments = self._ledger.history.segments(self.id)[1:]
                _, sent = self._ledger.history.turns(segments)
            except StoreUnreachable:
                return 0
            self._highest_copied = max((turn.number for turn in sent), default=0)
        return self._highest_copied

    def undo(self) -> Turn:
        """Take the newest turn back; the turn that it had replaced counts again.

        Raises:
            ConfigurationError: there is no turn to undo.
            StoreError: the ledger can't be read or written.
        """
        held = self.history()
        if not held:
            raise ConfigurationError("nothing to undo", advice="see %swiftask history")
        newest = max(held, key=lambda turn: (turn.at, turn.id))
        self._ledger.history.mark("undone", self.id, newest.id)
        return newest

    def forget(self, number: int) -> Turn:
        """Take the turn of this number, and those it replaced, out of the conversation.

        Raises:
            ConfigurationError: the conversation holds no such turn.
            StoreError: the ledger can't be read or written.
        """
        gone = _numbered(number, self.history())
        self._ledger.history.mark("forgotten", self.id, gone.id)
        return gone

    def reset(self) -> int:
        """Start the conversation anew; return how many turns it held. The ledger keeps them.

        Raises:
            StoreError: the ledger can't be read or written.
        """
        count = len(self.history())
        _, sent, marks = self.read()
        self._ledger.history.mark("reset", self.id, earliest=moment_after(sent, marks))
        return count

    def purge(self, number: int) -> int:
        """Erase the texts of a turn, of its slot's other turns and of cached repeats.

        Returns how many turns were erased. The notebook's file and the service keep what they
        have. The ledger's log keeps the texts while another process reads it; then
        `ledger.database.remarks` says so.

        Raises:
            ConfigurationError: the session has no such turn.
            StoreError: the ledger can't be read or written.
        """
        _, sent, _ = self.read()
        gone = _numbered(number, sent)
        same = [turn for turn in sent if gone.slot is not None and turn.slot == gone.slot]
        newest = max([gone, *same], key=lambda turn: turn.at)
        self._ledger.history.mark("forgotten", self.id, newest.id)
        return self._ledger.history.purge([turn.id for turn in [gone, *same]])

    def pick(self, which: str | int) -> Turn:
        """Add an answer outside of the conversation (of a comparison) to it.

        Args:
            which: an agent, for its newest such answer; or the turn's number.

        Raises:
            ConfigurationError: there is no such answer.
            StoreError: the ledger can't be read or written.
        """
        answered, sent, marks = self.read()
        taken = {mark.turn for mark in marks if mark.kind == "picked"}
        outside = [
            turn
            for turn in answered
            if turn.slot is None and which in (turn.agent, turn.number) and turn.id not in taken
        ]
        if not outside:
            none = f"no answer of {which}" if isinstance(which, str) else f"no turn {which}"
            raise ConfigurationError(f"{none} to pick", advice="ask several first: %%swiftask a b")
        [chosen] = self._ledger.history.with_texts(outside[-1:])
        slot, earliest = chosen.cell or chosen.id, moment_after(sent, marks)
        self._ledger.history.mark("picked", self.id, chosen.id, slot, earliest=earliest)
        return chosen

    def export(self, path: str | Path) -> Path:
        """Write the conversation to a `.md` or `.json` file, and return its path.

        Raises:
            ConfigurationError: the name has another ending, or the file can't be written.
            StoreError: the ledger can't be read.
        """
        from swiftask_jupyter.conversation.transcript import write

        return write(_expanded(path), self.history())

    def import_file(self, path: str | Path) -> int:
        """Add the turns of an exported file at the end; return how many they are.

        Raises:
            ConfigurationError: the file can't be read, or is no export.
            StoreError: the ledger can't be read or written.
        """
        from swiftask_jupyter.conversation.transcript import read

        found = read(_expanded(path))
        _, sent, marks = self.read()
        highest = max((turn.number for turn in sent), default=0)
        # One start for all: a coarse clock would give several turns the same moment.
        start = max(time.time(), moment_after(sent, marks))
        imported = [
            replace(turn, id=identity, slot=identity, number=highest + n, at=start + n * TICK,
                    session=self.id, notebook=self.notebook, status="ok", surface="import",
                    content_digest=content_digest(turn.prompt, turn.answer))
            for n, turn in enumerate(found, 1)
            if (identity := new_id())
        ]  # fmt: skip
        self._ledger.history.add_imported(imported)
        return len(imported)


def moment_after(turns: Iterable[Turn], marks: Iterable[Mark]) -> float:
    """Return a moment after all these turns and marks, even if the clock was set back since."""
    moments = *(turn.at for turn in turns), *(mark.at for mark in marks)
    return max(moments, default=0.0) + TICK


def _numbered(number: int, turns: Sequence[Turn]) -> Turn:
    found = next((turn for turn in turns if turn.number == number), None)
    if found is None:
        raise ConfigurationError(
            f"no turn {number} in this conversation", advice="see %swiftask history"
        )
    return found


def _expanded(path: str | Path) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - unlike Path's, it leaves ~nobody alone
