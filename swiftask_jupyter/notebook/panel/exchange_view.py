"""The exchanges that a panel shows, each a question with its answer, and the list of exchanges.

The list contains more than the session's history: also answers that are still streaming, and failed
or stopped answers.
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
    """One question with its answer, as a chat panel shows them.

    Args:
        prompt: the question, as it was sent.
        reply: the answer, which may still be streaming.
        attached: the files that were sent with the question.

    Attributes:
        prompt: the question.
        reply: the answer.
        attached: the files; empty if the question was asked outside of this panel.
        files: the names of the files.
        stale: whether the earlier turns of the conversation have changed since the question was
            asked.
        liked: the user's rating; `None` if there is none.
        comment: the user's comment; empty if there is none.
        awaits_ledger: whether the turn may be missing in the history, because the ledger (the
            database of all turns) could not be read.
        superseded: whether this is a failed retry. The panel shows the retry, while the history
            keeps the earlier answer.
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
        self._parsed = True  # false if a finished answer has not been parsed yet

    def __repr__(self) -> str:
        return f"<asked {self.prompt[:60]!r}: {self.reply.status}>"

    @classmethod
    def from_history(cls, turn: Turn, attached: Iterable[Any] = ()) -> ExchangeView:
        """Create an exchange from a turn of the history.

        The answer is parsed when the exchange is first sent to a view (a display in the browser).
        """
        reply = Reply.of(turn)
        view = cls(turn.prompt, reply, attached)
        view.stale, view._parsed = turn.stale, False
        return view

    @property
    def key(self) -> str:
        """The short id by which the messages to the browser refer to this exchange."""
        return view_key(self.reply.id)

    @property
    def position(self) -> tuple[str | None, str | None]:
        """The slot (place in the conversation) and the run (id of one execution of a cell).

        A later run in a slot replaces the earlier runs in that slot.
        """
        return self.reply.slot, self.reply.run

    @property
    def from_cell(self) -> bool:
        """Whether the question was asked in a cell and not in a panel.

        A panel cannot ask such a question again. It does not know the options that the cell used,
        and the cell may have asked several questions, which share one place in the conversation.
        """
        return self.reply.surface in {"cell", "python"}

    @property
    def running(self) -> bool:
        """Whether the answer is still streaming."""
        return self.reply.status == "running"

    @property
    def holds_slot(self) -> bool:
        """Whether the place of this exchange in the conversation has or may get an answer.

        This is true for a running or answered question, and for a failed retry of an answered
        question.
        """
        return self.running or self.superseded or self.reply.status == "ok"

    def changes(self) -> list[Operation]:
        """Return the operations that update the answer in the views since the last call.

        The list is empty if no text has arrived since then.
        """
        return self._tree.changes() if self._feed() else []

    def finish(self) -> list[Operation]:
        """Return the last operations for the views, when the answer has ended.

        They also add the list of the answer's files and sources below the text.
        """
        self._feed()
        return self._tree.finish() + self._tree.append(self._attachment_nodes())

    def _feed(self) -> bool:
        """Pass the new text of the answer to the parser; return whether there was new text."""
        pieces = self.reply.text_parts(self._pieces_fed)
        self._pieces_fed += len(pieces)
        self._tree.feed("".join(pieces))
        return bool(pieces)

    def _attachment_nodes(self) -> list[Any]:
        return mimebundle.extras_as_tree(mimebundle.extras_of(self.reply))

    def as_message(self) -> dict[str, Any]:
        """Return the whole exchange as JSON values, for a view that does not have it yet."""
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
        """Return the fields that may change while the exchange is displayed, such as its status.

        The answer's tree may also change, but is not included; see `changes`.
        """
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
            "withheld": reply.withheld,
            "liked": self.liked,
            "comment": self.comment,
        }

    def _footer(self) -> str:
        """Return the line below the answer, without the agent's name.

        The line is empty while the answer is streaming. The panel displays the agent's name above
        the answer.
        """
        if self.running or not self.reply.number:
            return ""
        text = sanitize(footer(self.reply).partition(" · ")[2])
        return f"{text} · {STILL_COUNTS}" if self.superseded else text

    def unsent_copy(self) -> ExchangeView:
        """Return a copy for another panel, whose views have not received any part of the exchange.

        The copy shares the reply, which may still be streaming.
        """
        return ExchangeView(self.prompt, self.reply, self.attached)


def view_key(turn: str) -> str:
    """Return the short key of a turn in messages to the browser: the random last part of its id."""
    return turn[-8:]


class ExchangeList(list[ExchangeView]):
    """The exchanges (questions with answers) that a chat panel shows, in order.

    Attributes:
        replaced: exchanges that a later attempt in the same place has replaced. If the user undoes
            the later attempt, the replaced exchange is displayed again.
    """

    def __init__(self, exchanges: Iterable[ExchangeView] = ()) -> None:
        super().__init__(exchanges)
        self.replaced: list[ExchangeView] = []

    def find(self, key: str, *, replaced: bool = False) -> ExchangeView:
        """Return the exchange that has a key.

        Args:
            key: the key of the exchange.
            replaced: whether to search the replaced exchanges, too.

        Raises:
            PromptError: no exchange has this key, for example because it was removed meanwhile.
        """
        for exchange in [*self, *self.replaced] if replaced else self:
            if exchange.key == key:
                return exchange
        raise PromptError("that message is not in this conversation any more")

    def add(self, new: ExchangeView) -> tuple[str, list[str]]:
        """Insert an exchange at the place of the exchanges that it replaces, or at the end.

        It replaces the exchanges of earlier runs in the same slot (place in the conversation). If
        the user asks a question again that was never answered, the new exchange comes after all
        exchanges that were answered meanwhile, because those are sent to the agent as history.

        Returns:
            The key of the exchange before the new one (empty if the new one is the first), and the
            keys of the exchanges that it replaced.
        """
        slot, run = new.position
        same = [n for n, each in enumerate(self) if each.position[0] == slot]
        gone = [n for n in same if self[n].position[1] != run]
        end = same[-1] + 1 if same else len(self)
        # Each exchange is added by its own thread, so a later question may already be in the list.
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
        """Return whether a slot (place in the conversation) has, had or may get an answer."""
        return any(each.holds_slot for each in (*self, *self.replaced) if each.position[0] == slot)

    def merged(
        self, history: Sequence[Turn], ending: Container[str] = (), reset_at: float = 0.0
    ) -> ExchangeList:
        """Return a new list: the turns of the history, and the exchanges that only the panel has.

        Only the panel has running, failed and stopped exchanges, and those that are not in the
        ledger yet. Each of them stays after the same exchange as in the current list. A failed
        retry is shown instead of the earlier answer, which it did not replace in the history.

        Args:
            history: the turns of the conversation, in order.
            ending: the keys of exchanges that may have ended after the history was read.
            reset_at: when the conversation was last reset (Unix time in seconds). Earlier exchanges
                that are not in the history are removed.
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
                # Show a newer attempt that failed, although the history keeps the earlier answer.
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
