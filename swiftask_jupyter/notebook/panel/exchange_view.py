"""One exchange as a panel shows it: what was asked, the answer as it grows, how it ended.

The exchanges that a panel shows, in their order.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from swiftask_jupyter.answers.reply import Delta, Raw, Reply, Standing
from swiftask_jupyter.conversation.rules import Exchange
from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.notebook import attachments_view as extras
from swiftask_jupyter.notebook.mimebundle import footer
from swiftask_jupyter.notebook.panel.patches import Growth, Operation
from swiftask_jupyter.support.sanitize import visible

STANDS = "the answer it was to replace still counts"


class ExchangeView:
    """One exchange in a panel.

    Attributes:
        prompt: what was asked, as it was sent.
        reply: the answer.
        files: the names of what went along.
        attached: the files themselves, as long as this kernel has them.
        stale: whether something else stands before it by now.
        liked: what the user thinks of it.
        comment: what the user said of it; empty if nothing.
        waits: whether it may have to reach the ledger yet, which was away.
        aside: whether the conversation goes on with what stood in its place before.
    """

    def __init__(self, prompt: str, reply: Reply, attached: Iterable[Any] = ()) -> None:
        self.prompt = prompt
        self.reply = reply
        self.attached = tuple(attached)
        self.files = [visible(str(file[0])) for file in self.attached]
        self.stale = False
        self.liked: bool | None = None
        self.comment = ""
        self.waits = False
        self.aside = False
        self._growth = Growth()
        self._fed = 0  # pieces of the reply
        self._read = True  # whether the growth has the whole of a finished answer

    def __repr__(self) -> str:
        return f"<asked {self.prompt[:60]!r}: {self.reply.status}>"

    @classmethod
    def before(cls, exchange: Exchange, attached: Iterable[Any] = ()) -> ExchangeView:
        """Return an exchange of the conversation's history; it is read when it is first shown."""
        whence = exchange.provenance
        reply = Reply(
            exchange.agent, turn=exchange.turn, number=exchange.number, session=whence.session,
            dialect=exchange.dialect, digest=whence.digest, at=exchange.at, status="ok",
            usage=exchange.usage, finish_reason=whence.finish_reason, seconds=exchange.seconds,
            first_token_seconds=whence.first_token_seconds, attempts=whence.attempts,
            conversation=exchange.conversation, cached=whence.cached,
            standing=Standing(exchange.slot, exchange.cell, exchange.run, exchange.surface),
        )  # fmt: skip
        reply.apply([Delta(exchange.answer), Raw(exchange.raw)])
        shown = cls(exchange.prompt, reply, attached)
        shown.stale, shown._read = exchange.stale, False
        return shown

    @property
    def key(self) -> str:
        """What names it in a view: short, as each message carries it."""
        return short(self.reply.turn)

    @property
    def place(self) -> tuple[str | None, str | None]:
        """The slot that it fills, and by which run: a later run replaces what an earlier said."""
        return self.reply.standing.slot, self.reply.standing.run

    @property
    def by_cell(self) -> bool:
        """Whether a cell asked: with options that a panel doesn't know, and maybe more than this.

        All that one run of a cell asks stands in one place.
        """
        return self.reply.standing.surface in {"cell", "python"}

    @property
    def running(self) -> bool:
        """Whether the answer is still to come."""
        return self.reply.status == "running"

    @property
    def counts(self) -> bool:
        """Whether its place is one in the conversation: of an answer, old or still to come."""
        return self.running or self.aside or self.reply.status == "ok"

    def grow(self) -> list[Operation]:
        """Return what the answer has gained since the last whence."""
        return self._growth.changes() if self._feed() else []

    def finish(self) -> list[Operation]:
        """Return the last changes, and what comes beside the text."""
        self._feed()
        return self._growth.finish() + self._growth.add(extras.nodes(extras.rows(self.reply)))

    def _feed(self) -> bool:
        """Take what is new of the answer; tell whether there was anything."""
        pieces = self.reply.pieces(self._fed)
        self._fed += len(pieces)
        self._growth.feed("".join(pieces))
        return bool(pieces)

    def whole(self) -> dict[str, Any]:
        """Return all of it, as the views have it by now."""
        if not self._read:
            self._growth = Growth.of(self.reply.text)
            self._growth.add(extras.nodes(extras.rows(self.reply)))
            self._read = True
        return {
            "key": self.key,
            "prompt": visible(self.prompt),
            "cell": self.by_cell,
            "files": self.files,
            "tree": self._growth.whole(),
            **self.end(),
        }

    def end(self) -> dict[str, Any]:
        """Return how it stands with the answer."""
        reply = self.reply
        at = datetime.fromtimestamp(reply.at, UTC).astimezone() if reply.at else None
        return {
            "at": f"{at:%Y-%m-%d %H:%M}" if at else "",
            "agent": visible(reply.agent),
            "status": reply.status,
            "doing": visible(reply.doing),
            "note": self._note(),
            "error": reply.error and visible(reply.error),
            "stale": self.stale,
            "liked": self.liked,
            "comment": self.comment,
        }

    def _note(self) -> str:
        """Return the footer without the agent's name, which stands above the answer."""
        if self.running or not self.reply.number:
            return ""
        note = visible(footer(self.reply).partition(" · ")[2])
        return f"{note} · {STANDS}" if self.aside else note

    def anew(self) -> ExchangeView:
        """Return the same exchange, of which the views of another panel know nothing yet."""
        return ExchangeView(self.prompt, self.reply, self.attached)


def short(turn: str) -> str:
    """Return what names a turn in a view; the end of an id is random."""
    return turn[-8:]


class Exchanges(list[ExchangeView]):
    """What a conversation holds, and beside it what failed or is still coming; in order.

    Attributes:
        replaced: what later tries took the place of: it stands again when they are taken back.
    """

    def __init__(self, shown: Iterable[ExchangeView] = ()) -> None:
        super().__init__(shown)
        self.replaced: list[ExchangeView] = []

    def find(self, key: str, *, replaced: bool = False) -> ExchangeView:
        """Return what is shown under a key, or, if that will do, what was until it was replaced.

        Raises:
            PromptError: there is no such thing any more.
        """
        for shown in [*self, *self.replaced] if replaced else self:
            if shown.key == key:
                return shown
        raise PromptError("that message is not in this conversation any more")

    def put(self, shown: ExchangeView) -> tuple[str, list[str]]:
        """Put an exchange in its place: of those it replaces, or after all others.

        What only failed has no place in the conversation: a panel's next try, which is told all
        that was said meanwhile, comes after that.

        Returns the key that it stands behind, empty if it is the first, and the keys replaced.
        """
        slot, run = shown.place
        same = [n for n, each in enumerate(self) if each.place[0] == slot]
        gone = [n for n in same if self[n].place[1] != run]
        end = same[-1] + 1 if same else len(self)
        later = (n for n in same if self[n].reply.at > shown.reply.at)  # told by a quicker thread
        at = gone[0] if gone else next(later, end)
        keys = [self[n].key for n in gone]
        if gone and not shown.by_cell and not self._answered(slot):
            at = max([at, *(n + 1 for n, each in enumerate(self) if n not in gone and each.counts)])
        after = self[at - 1].key if at else ""
        self.replaced += [self[n] for n in gone]
        before = [each for each in self[:at] if each.key not in keys]
        self[:] = [*before, shown, *(each for each in self[at:] if each.key not in keys)]
        return after, keys

    def _answered(self, slot: str | None) -> bool:
        """Tell whether anything was ever answered in a slot."""
        return any(each.counts for each in (*self, *self.replaced) if each.place[0] == slot)

    def merged(
        self, held: Sequence[Exchange], coming: Container[str] = (), begun: float = 0.0
    ) -> Exchanges:
        """Return what the conversation holds now, and beside it what failed or is still coming.

        What the history doesn't hold stays behind what stood before it.

        Args:
            held: the history.
            coming: the keys of what may have ended since that was read.
            begun: when the conversation began anew; what failed before that is over.
        """
        known = {each.reply.turn: each for each in (*self.replaced, *self)}
        slots = {each.slot: each for each in held}
        merged = Exchanges(known.get(each.turn) or ExchangeView.before(each) for each in held)
        for each in merged:
            each.waits = each.aside = False
        for n, each in enumerate(self):
            each.aside = False
            kept = each.waits or not each.reply.recorded or each.key in coming
            over = 0 < each.reply.at <= begun and not each.running
            if each in merged or over or (each.reply.status == "ok" and not kept):
                continue
            there = slots.get(each.place[0])
            if there is not None and there.run != each.place[1]:
                # A newer try that failed stands for what it did not replace.
                old = next((one for one in merged if one.reply.turn == there.turn), None)
                if old is not None and each.reply.at >= there.at:
                    merged[merged.index(old)], each.aside = each, True
                continue
            before = next((one for one in reversed(self[:n]) if one in merged), None)
            merged.insert(merged.index(before) + 1 if before else 0, each)
        standing = {each.key for each in merged}
        filled = {each.place[0] for each in merged}
        merged.replaced = [
            each for each in (*self.replaced, *self)
            if each.key not in standing and each.place[0] in filled
        ]  # fmt: skip
        return merged
