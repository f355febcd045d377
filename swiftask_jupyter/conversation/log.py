"""What a conversation remembers, and how something is taken back or put in."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from swiftask_jupyter.conversation import notebook_file as ipynb
from swiftask_jupyter.conversation.resolver import SessionResolver
from swiftask_jupyter.conversation.rules import Exchange, Mark, fold
from swiftask_jupyter.errors import ConfigurationError, StoreUnreachable
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.turns import Place, new_id, said
from swiftask_jupyter.support.structs import replace

TICK = 1e-6  # seconds between two things that come one after the other


class ConversationLog:
    """The turns of one conversation, of one notebook or of none.

    Attributes:
        ledger: where they are kept.
        name: what the user calls the conversation.
    """

    def __init__(self, ledger: Ledger, file: ipynb.NotebookFile, name: str) -> None:
        self.ledger = ledger
        self.name = name
        self._document = file
        self._id: str | None = None
        self._placed: str | None = None  # where the ledger has it
        self._least: int | None = None
        self._apart = f"{name}-apart-{secrets.token_hex(4)}"  # while the ledger is away

    @property
    def notebook(self) -> str | None:
        """The path of its notebook, where it has one."""
        return self._document.path

    @property
    def id(self) -> str:
        """The id under which the ledger keeps it; looked for, or begun, on first use."""
        ledger, notebook = self.ledger, self.notebook
        try:
            if self._id is None:
                self._id = SessionResolver(ledger.sessions, ledger.history, notebook).find(
                    self.name
                )
            elif notebook != self._placed:  # it was renamed
                ledger.sessions.follow(self._placed, notebook)
                ledger.sessions.place(self._id, notebook, self.name)
            self._placed = notebook
        except StoreUnreachable:
            return self._id or self._apart  # tried again next time
        return self._id

    @property
    def place(self) -> Place:
        """The notebook and the session, as the ledger has them."""
        return Place(self.notebook, self.id)

    def history(self) -> list[Exchange]:
        """Return what the conversation holds now, in its order; what is stale says so."""
        answered, _, marks = self._read()
        return self.ledger.history.with_texts(fold(answered, marks, self._document.now()))

    def undo(self) -> Exchange:
        """Take the newest turn back; what it had replaced stands again.

        Raises:
            ConfigurationError: there is none.
        """
        held = self.history()
        if not held:
            raise ConfigurationError("nothing to undo", advice="see %swiftask history")
        newest = max(held, key=lambda each: (each.at, each.turn))
        self.ledger.history.mark("undone", self.id, newest.turn)
        return newest

    def forget(self, number: int) -> Exchange:
        """Take the turn of this number, and what it had replaced, out of the conversation.

        Raises:
            ConfigurationError: the conversation holds no such turn.
        """
        gone = self._numbered(number, self.history())
        self.ledger.history.mark("forgotten", self.id, gone.turn)
        return gone

    def reset(self) -> int:
        """Let the conversation begin anew; return how many turns it held. The ledger keeps them."""
        count = len(self.history())
        _, sent, marks = self._read()
        self.ledger.history.mark("reset", self.id, earliest=moment_after(sent, marks))
        return count

    def purge(self, number: int) -> int:
        """Erase the texts of a turn, of its slot's others and of its repetitions from the ledger.

        Returns how many turns that were. A notebook's file and a service keep what they have, and
        the ledger's log does while another reads it: then `ledger.database.remarks` says so.

        Raises:
            ConfigurationError: the session has no such turn.
        """
        _, sent, _ = self._read()
        gone = self._numbered(number, sent)
        same = [each for each in sent if gone.slot is not None and each.slot == gone.slot]
        history = self.ledger.history
        history.mark("forgotten", self.id, max([gone, *same], key=lambda each: each.at).turn)
        return history.purge([each.turn for each in [gone, *same]])

    def pick(self, which: str | int) -> Exchange:
        """Put an answer that stands outside into the conversation.

        Args:
            which: the agent, for its newest such answer; or the turn's number.

        Raises:
            ConfigurationError: there is none.
        """
        answered, sent, marks = self._read()
        taken = {mark.turn for mark in marks if mark.kind == "picked"}
        outside = [
            each
            for each in answered
            if each.slot is None and which in (each.agent, each.number) and each.turn not in taken
        ]
        if not outside:
            none = f"no answer of {which}" if isinstance(which, str) else f"no turn {which}"
            raise ConfigurationError(f"{none} to pick", advice="ask several first: %%swiftask a b")
        [chosen] = self.ledger.history.with_texts(outside[-1:])
        slot = chosen.cell or chosen.turn
        earliest = moment_after(sent, marks)
        self.ledger.history.mark("picked", self.id, chosen.turn, slot, earliest=earliest)
        return chosen

    @staticmethod
    def _numbered(number: int, turns: Sequence[Exchange]) -> Exchange:
        found = next((each for each in turns if each.number == number), None)
        if found is None:
            raise ConfigurationError(
                f"no turn {number} in this conversation", advice="see %swiftask history"
            )
        return found

    def export(self, path: str | Path) -> Path:
        """Write the conversation to a `.md` or `.json` file, and return its path.

        Raises:
            ConfigurationError: the file's name or place won't do.
        """
        from swiftask_jupyter.conversation import transcript as transcripts

        return transcripts.write(_file(path), self.history())

    def read(self, path: str | Path) -> int:
        """Add the turns of an exported file at the end; return how many there are.

        Raises:
            ConfigurationError: it can't be read, or is no export.
        """
        from swiftask_jupyter.conversation import transcript as transcripts

        found = transcripts.read(_file(path))
        _, sent, marks = self._read()
        highest = max((each.number for each in sent), default=0)
        start = max(
            time.time(), moment_after(sent, marks)
        )  # a coarse clock would tell one moment for all
        taken_in = [
            replace(each, turn=identity, slot=identity, run=identity, number=highest + n,
                    at=start + n * TICK, said=said(each.prompt, each.answer))
            for n, each in enumerate(found, 1)
            if (identity := new_id())
        ]  # fmt: skip
        self.ledger.history.take_in(self.id, self.notebook, taken_in)
        return len(taken_in)

    def _taken_over(self) -> int:
        """Return the highest number of the turns that were taken over from another session."""
        if self._least is None:
            try:
                lines = self.ledger.sessions.lines(self.id)[1:]
                _, sent = self.ledger.history.turns(lines)
            except StoreUnreachable:
                return 0
            self._least = max((each.number for each in sent), default=0)
        return self._least

    def _read(self) -> tuple[list[Exchange], list[Exchange], list[Mark]]:
        ledger = self.ledger
        lines = ledger.sessions.lines(self.id)
        return *ledger.history.turns(lines), ledger.history.marks(lines)


def moment_after(exchanges: Iterable[Exchange], marks: Iterable[Mark]) -> float:
    """Return the moment after all that was said and done; a clock may have been set back since."""
    moments = *(each.at for each in exchanges), *(each.at for each in marks)
    return max(moments, default=0.0) + TICK


def _file(path: str | Path) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - unlike Path's, it leaves ~nobody alone
