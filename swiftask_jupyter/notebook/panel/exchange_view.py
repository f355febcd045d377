"""The exchanges that a chat panel shows, and the list of these exchanges.

An exchange is a question with its answer. The list also contains exchanges that are not in the
session's history: streaming, failed and stopped answers.
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

    The session's history is read from the ledger, the database of all turns.

    Args:
        prompt: the question, as it was sent.
        reply: the answer, which may still be streaming.
        attached: the files that were sent with the question.

    Attributes:
        prompt: the question.
        reply: the answer.
        attached: the files; empty for a question from outside of this panel.
        files: the names of the files.
        stale: whether earlier turns of the conversation have changed since the question was asked.
        liked: the user's rating; `None` without a rating.
        comment: the user's comment; empty without a comment.
        awaits_ledger: whether the history may lack this exchange, after an error of the ledger.
        superseded: whether this is a failed retry; the history still contains the earlier answer.
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
        """Create an exchange from a turn of the session's history.

        The answer is parsed when the exchange is first sent to a view, a display in the browser.
        """
        reply = Reply.of(turn)
        view = cls(turn.prompt, reply, attached)
        view.stale, view._parsed = turn.stale, False
        return view

    @property
    def key(self) -> str:
        """The short id of this exchange in the messages to the browser."""
        return view_key(self.reply.id)

    @property
    def position(self) -> tuple[str | None, str | None]:
        """The slot and the run of this exchange.

        The slot is the place in the conversation. The run is the id of one execution of a cell. A
        later run replaces the earlier runs in the same slot.
        """
        return self.reply.slot, self.reply.run

    @property
    def from_cell(self) -> bool:
        """Whether the question was asked in a cell or a script, and not in a panel.

        A panel cannot ask such a question again, because the panel does not know the cell's
        options.
        """
        return self.reply.surface in {"cell", "python"}

    @property
    def running(self) -> bool:
        """Whether the answer is still streaming."""
        return self.reply.status == "running"

    @property
    def holds_slot(self) -> bool:
        """Whether the slot of this exchange has an answer, or may still get an answer.

        The slot is the place in the conversation. The value is true for a streaming answer, a
        complete answer, and a failed retry of an answered question.
        """
        return self.running or self.superseded or self.reply.status == "ok"

    def changes(self) -> list[Operation]:
        """Return the operations that add the answer's new text to the views.

        New text is text that arrived after the previous call. The list is empty without new text.
        """
        return self._tree.changes() if self._feed() else []

    def finish(self) -> list[Operation]:
        """Return the last operations for the views, when the answer has ended.

        The operations also add a list of the answer's files and sources below the text.
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
        """Return the whole exchange as a dict of JSON values, to send it to a view."""
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
        """Return the fields of the exchange that may change, such as the status, as JSON values.

        The text of the answer is not included; see `changes`.
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
        """Return a copy of the exchange for another panel.

        No view has received any part of the copy. The copy shares the reply, which may still be
        streaming.
        """
        return ExchangeView(self.prompt, self.reply, self.attached)


def view_key(turn: str) -> str:
    """Return the short key for a turn's id: the last eight characters, which are random.

    Messages to the browser use this key.
    """
    return turn[-8:]


class ExchangeList(list[ExchangeView]):
    """The exchanges (questions with answers) that a chat panel shows, in order.

    Attributes:
        replaced: exchanges that a later attempt has replaced; an undo displays them again.
    """

    def __init__(self, exchanges: Iterable[ExchangeView] = ()) -> None:
        super().__init__(exchanges)
        self.replaced: list[ExchangeView] = []

    def find(self, key: str, *, replaced: bool = False) -> ExchangeView:
        """Return the exchange with a key.

        Args:
            key: the key of the exchange.
            replaced: whether to search also the exchanges in the attribute `replaced`.

        Raises:
            PromptError: no exchange has this key. The exchange may have been removed.
        """
        for exchange in [*self, *self.replaced] if replaced else self:
            if exchange.key == key:
                return exchange
        raise PromptError("that message is not in this conversation any more")

    def add(self, new: ExchangeView) -> tuple[str, list[str]]:
        """Insert an exchange into the list, and remove the exchanges of earlier runs.

        A slot is a place in the conversation. The exchanges of earlier runs in the slot of the new
        exchange are removed. Usually, the new exchange takes the position of the removed exchanges.
        If the panel retries a question that was never answered, the new exchange comes after the
        last answered question instead. If nothing is removed, the new exchange comes last in the
        slot. In a new slot, the new exchange comes last in the list.

        Returns:
            The key of the exchange before the new exchange, and the keys of the removed exchanges.
            The first key is empty if the new exchange is the first in the list.
        """
        slot, run = new.position
        same = [n for n, each in enumerate(self) if each.position[0] == slot]
        gone = [n for n in same if self[n].position[1] != run]
        end = same[-1] + 1 if same else len(self)
        # Each exchange is added by its own thread, so a later question may already be in the list.
        later = (n for n in same if self[n].reply.at > new.reply.at)
        at = gone[0] if gone else next(later, end)
        keys = [self[n].key for n in gone]
        # Answered exchanges are sent as history, so they must come before a retried failure.
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
        """Return whether a slot (place in the conversation) has, had or may still get an answer."""
        return any(each.holds_slot for each in (*self, *self.replaced) if each.position[0] == slot)

    def merged(
        self, history: Sequence[Turn], ending: Container[str] = (), reset_at: float = 0.0
    ) -> ExchangeList:
        """Return a new list: the turns of the history, and the exchanges that only the panel has.

        For example, only the panel has running and failed exchanges. In the new list, these
        exchanges keep their order. A failed retry replaces the earlier answer in the new list, but
        not in the history.

        Args:
            history: the turns of the conversation, in order.
            ending: the keys of exchanges that may have ended after the history was read.
            reset_at: the Unix time of the conversation's last reset, in seconds. Exchanges from
                before the reset are removed if the history does not contain them.
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
