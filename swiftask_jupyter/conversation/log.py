"""`ConversationLog`: reads, removes, adds, exports and imports the turns of a conversation."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from swiftask_jupyter.answers.turn import Turn, content_digest, new_id
from swiftask_jupyter.conversation.notebook_file import NotebookFile, file_identity, read_cells
from swiftask_jupyter.conversation.resolver import SessionResolver
from swiftask_jupyter.conversation.rules import NotebookSnapshot, fold
from swiftask_jupyter.errors import ConfigurationError, StoreUnreachable
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.history import COPIED, Mark
from swiftask_jupyter.ledger.sessions import SessionLocation
from swiftask_jupyter.support.structs import replace
from swiftask_jupyter.support.wording import quantity

TICK = 1e-6  # seconds between two turns or marks that follow one another


class ConversationLog:
    """The turns of one conversation in the ledger; a turn is a prompt and its answer.

    In the ledger, a conversation is called a session.

    Attributes:
        name: the name that the user gave the conversation.
    """

    def __init__(self, ledger: Ledger, file: NotebookFile, name: str) -> None:
        self.name = name
        self._ledger = ledger
        self._file = file
        self._id: str | None = None
        self._placed_in: str | None = None  # the last value of `NotebookFile.place`
        self._file_known = False  # whether the file's identity is in the ledger
        self._highest_copied: int | None = None
        self._id_while_unreachable = f"{name}-apart-{secrets.token_hex(4)}"

    @property
    def notebook(self) -> str | None:
        """The path of the conversation's notebook; `None` outside of a notebook."""
        return self._file.path

    @property
    def id(self) -> str:
        """The id of the conversation in the ledger.

        The first access finds or creates the conversation. While the ledger's server
        can't be reached, the value may be a provisional id.
        """
        return self._locate()

    def names(self) -> list[str]:
        """Return the names of all conversations of the same notebook, the newest last.

        If there is no notebook, or if Voila serves the notebook, return only the names of this
        client's conversations.

        Raises:
            StoreError: the ledger can't be read.
        """
        self._locate()  # a renamed notebook is in the ledger under its new name from here on
        if self._file.kernel is None:
            return self._ledger.sessions.names(self.notebook)
        shared = [self._file.shared_name] if self._file.shared_name else []
        return [*shared, *self._ledger.sessions.names(self._file.kernel)]

    def _locate(self) -> str:
        """Return the id of the conversation in the ledger.

        The first call finds or creates the conversation. A later call also stores the new path of a
        renamed notebook. If the ledger's server can't be reached, return the known id or a
        provisional id.
        """
        sessions, place = self._ledger.sessions, self._file.place(self.name)
        try:
            if self._id is None:
                self._id = self._resolver.find(self.name)
            elif place != self._placed_in:  # the notebook was renamed
                sessions.rename_notebook(self._placed_in, place)
                sessions.assign(self._id, place, self.name)
            self._placed_in = place
            if not self._file_known and place is not None and place == self.notebook:
                self._write_file_identity(place)
        except StoreUnreachable:
            return self._id or self._id_while_unreachable
        return self._id

    def _write_file_identity(self, path: str) -> None:
        """Store the identity of the notebook's file in the ledger, if the file exists.

        Another file may later take the place of the notebook's file. The identity of the other file
        is not stored, because the other file may come from anyone.
        """
        identity = file_identity(path)
        if identity is None or self._id is None:
            return
        if self._ledger.sessions.file(self._id) != identity:
            self._ledger.sessions.set_file(self._id, identity)
        self._file_known = True

    @property
    def _resolver(self) -> SessionResolver:
        return SessionResolver(self._ledger.sessions, self._ledger.history, self._file)

    @property
    def is_known(self) -> bool:
        """Whether the id is final; false while the id is provisional or not looked up yet."""
        return self._id is not None

    def saved_notebook(self) -> NotebookSnapshot | None:
        """Return the cell ids of the saved notebook, which determine the order of the turns.

        Return `None` if there is no notebook, or the file has no usable cell ids.
        """
        return self._file.cells()

    def read(self) -> tuple[list[Turn], list[Turn], list[Mark]]:
        """Return three lists from the ledger: answered turns, all sent turns, and marks.

        A mark records a later change of the conversation, such as an undo. In each list, the oldest
        entry comes first. The prompts and answers are missing; `History.with_texts` adds them.

        Raises:
            StoreError: the ledger can't be read.
        """
        segments = self._ledger.history.segments(self.id)
        answered, sent = self._ledger.history.turns(segments)
        answered = [turn for turn in answered if turn.has_texts]  # others say nothing any more
        return answered, sent, self._ledger.history.marks(segments)

    def history(self) -> list[Turn]:
        """Return the current turns of the conversation, in order, with their prompts and answers.

        The field `stale` of a turn is true if earlier turns have changed since the turn was sent.

        Raises:
            StoreError: the ledger can't be read.
        """
        answered, _, marks = self.read()
        return self._ledger.history.with_texts(fold(answered, marks, self.saved_notebook()))

    def highest_copied(self) -> int:
        """Return the highest number of the turns that were copied from another conversation.

        New turns get higher numbers. Return 0 if no turn was copied, or if the ledger's server
        can't be reached.
        """
        if self._highest_copied is None:
            try:
                own = self.id
                _, sent = self._ledger.history.turns(self._ledger.history.segments(own))
            except StoreUnreachable:
                return 0
            copied = (turn.number for turn in sent if turn.session != own)
            self._highest_copied = max(copied, default=0)
        return self._highest_copied

    def left_behind(self, sent: Iterable[Turn], marks: Iterable[Mark]) -> tuple[str, ...]:
        """Return remarks on turns that this conversation did not copy from an earlier one.

        A new conversation copies only the earlier turns whose records are in the notebook's file. A
        remark counts the turns that were not copied, and names the command that copies them. After
        the first answer of this conversation, the result is empty.

        Args:
            sent: all turns that were sent in this conversation, copied turns included.
            marks: the marks of this conversation.

        Raises:
            StoreError: the ledger can't be read.
        """
        origins = _origins(marks)
        if not origins or any(turn.session == self.id and turn.status == "ok" for turn in sent):
            return ()
        taken, remarks = {turn.id for turn in sent}, []
        for origin in origins:
            count = len([turn for turn in self._turns_of(origin) if turn.id not in taken])
            location = self._ledger.sessions.location(origin)
            if not count or location is None:
                continue
            if location.notebook in (None, self.notebook):
                where = "of the file that was here before"
            else:
                where = f"of {Path(location.notebook).name}"
            remarks.append(
                f"{quantity(count, 'earlier turn')} {where} left there, because this file does not"
                " hold them; %swiftask session adopt goes on with them"
            )
        return tuple(remarks)

    def adopt(self, which: str = "") -> SessionLocation:
        """Give this conversation's name to an earlier conversation, and continue the earlier one.

        Return the earlier conversation's former notebook and name. If another notebook still uses
        the earlier conversation, a copy of it is continued.

        Args:
            which: the name of a conversation of this notebook, or the id of any conversation.
                Default: the conversation that this conversation replaced or copied. If there is
                none, the default is the last earlier conversation with this name.

        Raises:
            ConfigurationError: no conversation is found, or several conversations may be meant.
            StoreError: the ledger can't be read or written.
        """
        sessions = self._ledger.sessions
        found = [which] if which else self._adoptable()
        if len(found) > 1:
            raise ConfigurationError(
                "several conversations may be meant",
                advice=f"name one: %swiftask session adopt {' or '.join(found)}",
            )
        session = found[0] if found else None
        if which:
            session = sessions.find(self._file.place(which), which) or which
        location = sessions.location(session) if session else None
        if session is None or location is None or session == self.id:
            raise ConfigurationError(
                f"no other conversation {which!r} is known" if which else "no earlier one is known",
                advice="%swiftask usage --by notebook,session lists the ids of sessions",
            )
        self._id = self._resolver.adopt(session, self.name)
        self._highest_copied, self._file_known = None, False
        self._locate()  # writes the identity of the notebook's file
        return location

    def _adoptable(self) -> list[str]:
        """Return the ids of the earlier conversations that `adopt` continues by default."""
        own = self.id
        origins = _origins(self._ledger.history.marks(self._ledger.history.segments(own)))
        earlier = self._ledger.sessions.earlier(self._placed_in, self.name)
        return origins or [each for each in earlier if each != own][-1:]

    def _turns_of(self, session: str) -> list[Turn]:
        """Return the current turns of the conversation with the id `session`."""
        history, location = self._ledger.history, self._ledger.sessions.location(session)
        segments = history.segments(session)
        elsewhere = location is not None and location.notebook not in (None, self.notebook)
        saved = read_cells(str(location.notebook)) if location is not None and elsewhere else None
        return fold(history.turns(segments)[0], history.marks(segments), saved)

    def undo(self) -> Turn:
        """Remove the newest turn from the conversation and return it.

        If the turn had replaced the turn of an earlier run of its cell, the earlier turn is
        restored.

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
        """Remove the turn with this number from the conversation, and return the turn.

        The turns that this turn has replaced are removed too. The ledger keeps the texts of the
        removed turns; `purge` erases texts.

        Raises:
            ConfigurationError: the conversation holds no turn with this number.
            StoreError: the ledger can't be read or written.
        """
        gone = _numbered(number, self.history())
        self._ledger.history.mark("forgotten", self.id, gone.id)
        return gone

    def reset(self) -> int:
        """Remove all turns from the conversation, and return how many there were.

        The ledger keeps the turns.

        Raises:
            StoreError: the ledger can't be read or written.
        """
        count = len(self.history())
        _, sent, marks = self.read()
        self._ledger.history.mark("reset", self.id, earliest=moment_after(sent, marks))
        return count

    def purge(self, number: int) -> int:
        """Remove a turn, and erase its texts from the ledger; return how many turns were erased.

        The turns of other runs of the same cell are erased too, and so are cached copies of the
        answers. The notebook's file and the service keep the texts. While another process reads a
        SQLite ledger, the write-ahead log still contains the texts; `Store.pop_warnings` then
        returns a warning.

        Raises:
            ConfigurationError: the conversation has no turn with this number.
            StoreError: the ledger can't be read or written.
        """
        _, sent, _ = self.read()
        gone = _numbered(number, sent)
        same = [turn for turn in sent if gone.slot is not None and turn.slot == gone.slot]
        newest = max([gone, *same], key=lambda turn: turn.at)
        self._ledger.history.mark("forgotten", self.id, newest.id)
        return self._ledger.erasure.of_turns([turn.id for turn in [gone, *same]])

    def pick(self, which: str | int) -> Turn:
        """Add an answer from outside the conversation, such as from a comparison; return the turn.

        Args:
            which: the number of a turn, or the slug of an agent. A slug selects the agent's newest
                answer outside of the conversation.

        Raises:
            ConfigurationError: there is no such answer outside of the conversation.
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
        """Write the conversation to a `.md` or `.json` file, and return the path.

        Raises:
            ConfigurationError: the file name has another extension, or the file can't be written.
            StoreError: the ledger can't be read.
        """
        from swiftask_jupyter.conversation.transcript import write

        return write(_expanded(path), self.history())

    def import_file(self, path: str | Path) -> int:
        """Append the turns of an exported file to the conversation; return the number of new turns.

        Raises:
            ConfigurationError: the file can't be read, or is not an exported conversation.
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


def _origins(marks: Iterable[Mark]) -> list[str]:
    """Return the ids of the earlier conversations that a new conversation replaced or copied."""
    return [mark.value for mark in marks if mark.kind == COPIED and not mark.turn and mark.value]


def moment_after(turns: Iterable[Turn], marks: Iterable[Mark]) -> float:
    """Return a time just after all these turns and marks, in seconds since the epoch.

    A new turn gets at least this time. So the new turn is the last turn, even if the clock was
    set back. Without turns and marks, return a time just after 0.
    """
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
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises for an unknown user
