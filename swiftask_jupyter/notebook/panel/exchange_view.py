"""The exchanges that a panel shows: one question and answer each, and the list of them in order.

The list has more than the conversation's history: also answers that still stream, and those that
failed or were stopped, which the history leaves out.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from swiftask_jupyter.answers.turn import Reply, Turn
from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.notebook import mimebundle
from swiftask_jupyter.notebook.mimebundle import footer
from swiftask_jupyter.notebook.panel.patches import GrowingTree, Operation
from swiftask_jupyter.support.sanitize import sanitize

STILL_COUNTS = "the answer it was to replace still counts"


class ExchangeView:
    """One question and its answer, as a panel shows them.

    Args:
        prompt: the question, as it was sent.
        reply: the answer as it grows.
        attached: the files that were sent with the question.

    Attributes:
        prompt: the question.
        reply: the answer.
        attached: the files; empty if another kernel has sent them.
        files: the names of the files.
        stale: whether a turn before it has changed since.
        liked: the user's rating; `None` if there is none.
        comment: the user's comment; empty if there is none.
        awaits_ledger: whether the ledger may not have it yet, because it could not be reached.
        superseded: whether this is a failed retry that is still shown, while the history keeps
            the earlier answer.
    """

    def __init__(self, prompt: str, reply: Reply, attached: Iterable[Any] = ()) -> None:
        self.prompt = prompt
        self.reply = reply
        self.attached = tuple(attached)
        self.files = [sanitize(str(file[0])) for file in self.attached]
        self.stale = False
        self.liked: bool | None = None
        self.comment = ""
        self.awaits_ledger = False
        self.superseded = False
        self._tree = GrowingTree()
        self._pieces_fed = 0
        self._parsed = True  # false if the tree of a finished answer is still to be made

    def __repr__(self) -> str:
        return f"<asked {self.prompt[:60]!r}: {self.reply.status}>"

    @classmethod
    def from_history(cls, turn: Turn, attached: Iterable[Any] = ()) -> ExchangeView:
        """Return a view of a turn in the history; its answer is parsed when it is first sent."""
        reply = Reply.of(turn)
        view = cls(turn.prompt, reply, attached)
        view.stale, view._parsed = turn.stale, False
        return view

    @property
    def key(self) -> str:
        """Its short id in the messages to the views."""
        return view_key(self.reply.id)

    @property
    def position(self) -> tuple[str | None, str | None]:
        """Its slot, and the run of the cell: a later run of a slot replaces an earlier run."""
        return self.reply.slot, self.reply.run

    @property
    def from_cell(self) -> bool:
        """Whether a cell asked it.

        A panel cannot ask it again: it does not know the cell's options, and the same run of the
        cell may have asked more questions in the same slot.
        """
        return self.reply.surface in {"cell", "python"}

    @property
    def running(self) -> bool:
        """Whether the answer still streams."""
        return self.reply.status == "running"

    @property
    def holds_slot(self) -> bool:
        """Whether its slot has an answer, an older one included, or may still get one."""
        return self.running or self.superseded or self.reply.status == "ok"

    def changes(self) -> list[Operation]:
        """Return the changes of the answer's tree since the last call."""
        return self._tree.changes() if self._feed() else []

    def finish(self) -> list[Operation]:
        """Return the last changes, including the list of files and sources below the answer."""
        self._feed()
        return self._tree.finish() + self._tree.append(self._attachment_nodes())

    def _feed(self) -> bool:
        """Feed new text of the answer to the tree; tell whether there was any."""
        pieces = self.reply.text_parts(self._pieces_fed)
        self._pieces_fed += len(pieces)
        self._tree.feed("".join(pieces))
        return bool(pieces)

    def _attachment_nodes(self) -> list[Any]:
        return mimebundle.extras_as_tree(mimebundle.extras_of(self.reply))

    def as_message(self) -> dict[str, Any]:
        """Return the whole exchange for a view that does not have it yet."""
        if not self._parsed:
            self._tree = GrowingTree.of(self.reply.text)
            self._tree.append(self._attachment_nodes())
            self._parsed = True
        return {
            "key": self.key,
            "prompt": sanitize(self.prompt),
            "from_cell": self.from_cell,
            "files": self.files,
            "tree": self._tree.encoded(),
            **self.meta(),
        }

    def meta(self) -> dict[str, Any]:
        """Return what may change while a view shows the exchange, except for the answer's tree."""
        reply = self.reply
        at = datetime.fromtimestamp(reply.at, UTC).astimezone() if reply.at else None
        return {
            "asked_at": f"{at:%Y-%m-%d %H:%M}" if at else "",
            "agent": sanitize(reply.agent),
            "status": reply.status,
            "activity": sanitize(reply.progress),
            "footer": self._footer(),
            "error": reply.error and sanitize(reply.error),
            "stale": self.stale,
            "liked": self.liked,
            "comment": self.comment,
        }

    def _footer(self) -> str:
        """Return the footer; it omits the agent's name, because the panel shows that above."""
        if self.running or not self.reply.number:
            return ""
        text = sanitize(footer(self.reply).partition(" · ")[2])
        return f"{text} · {STILL_COUNTS}" if self.superseded else text

    def unsent_copy(self) -> ExchangeView:
        """Return a copy for another panel, to whose views nothing of it was sent yet."""
        return ExchangeView(self.prompt, self.reply, self.attached)


def view_key(turn: str) -> str:
    """Return the short key of a turn in the views: the end of its id, which is random."""
    return turn[-8:]


class ExchangeList(list[ExchangeView]):
    """The exchanges that a panel shows, in order.

    Attributes:
        replaced: exchanges that later tries replaced; undoing those tries brings them back.
    """

    def __init__(self, exchanges: Iterable[ExchangeView] = ()) -> None:
        super().__init__(exchanges)
        self.replaced: list[ExchangeView] = []

    def find(self, key: str, *, replaced: bool = False) -> ExchangeView:
        """Return the exchange with a key.

        Args:
            key: its key.
            replaced: whether to look among the replaced exchanges, too.

        Raises:
            PromptError: there is no such exchange any more.
        """
        for exchange in [*self, *self.replaced] if replaced else self:
            if exchange.key == key:
                return exchange
        raise PromptError("that message is not in this conversation any more")

    def add(self, new: ExchangeView) -> tuple[str, list[str]]:
        """Insert an exchange in the place of those that it replaces, or at the end.

        A failed question holds no slot in the conversation. If the panel asks it again, the new
        exchange goes behind the exchanges that were answered meanwhile, because they are sent to
        the agent as history.

        Returns:
            The key of the exchange before the new one (empty if it is the first), and the keys of
            the exchanges that it replaced.
        """
        slot, run = new.position
        same = [n for n, each in enumerate(self) if each.position[0] == slot]
        gone = [n for n in same if self[n].position[1] != run]
        end = same[-1] + 1 if same else len(self)
        # Each exchange is announced by its own thread, so a later one may have come first.
        later = (n for n in same if self[n].reply.at > new.reply.at)
        at = gone[0] if gone else next(later, end)
        keys = [self[n].key for n in gone]
        if gone and not new.from_cell and not self._was_answered(slot):
            at = max(
                [at, *(n + 1 for n, each in enumerate(self) if n not in gone and each.holds_slot)]
            )
        after = self[at - 1].key if at else ""
        self.replaced += [self[n] for n in gone]
        before = [each for each in self[:at] if each.key not in keys]
        self[:] = [*before, new, *(each for each in self[at:] if each.key not in keys)]
        return after, keys

    def _was_answered(self, slot: str | None) -> bool:
        """Tell whether a slot has ever had an answer."""
        return any(each.holds_slot for each in (*self, *self.replaced) if each.position[0] == slot)

    def merged(
        self, history: Sequence[Turn], ending: Container[str] = (), reset_at: float = 0.0
    ) -> ExchangeList:
        """Return a new list: the history, and what else is shown that the history does not have.

        An exchange that is not in the history stays behind the exchange that was before it.

        Args:
            history: the turns of the conversation.
            ending: the keys of exchanges that may have ended after the history was read.
            reset_at: when the conversation was last reset (Unix time in seconds); what failed
                before that is left out.
        """
        known = {each.reply.id: each for each in (*self.replaced, *self)}
        slots = {each.slot: each for each in history}
        merged = ExchangeList(
            known.get(each.id) or ExchangeView.from_history(each) for each in history
        )
        for each in merged:
            each.awaits_ledger = each.superseded = False
        for n, each in enumerate(self):
            each.superseded = False
            unrecorded = each.awaits_ledger or not each.reply.recorded or each.key in ending
            before_reset = 0 < each.reply.at <= reset_at and not each.running
            if each in merged or before_reset or (each.reply.status == "ok" and not unrecorded):
                continue
            turn = slots.get(each.position[0])
            if turn is not None and turn.run != each.position[1]:
                # A newer try that failed is shown instead of the answer that it did not replace.
                old = next((one for one in merged if one.reply.id == turn.id), None)
                if old is not None and each.reply.at >= turn.at:
                    merged[merged.index(old)], each.superseded = each, True
                continue
            before = next((one for one in reversed(self[:n]) if one in merged), None)
            merged.insert(merged.index(before) + 1 if before else 0, each)
        shown = {each.key for each in merged}
        filled = {each.position[0] for each in merged}
        merged.replaced = [
            each for each in (*self.replaced, *self)
            if each.key not in shown and each.position[0] in filled
        ]  # fmt: skip
        return merged
