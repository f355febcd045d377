"""The exchanges that a panel shows, in their order."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from swiftask_jupyter.conversation import Exchange
from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.notebook.panel.shown import Shown


class Exchanges(list[Shown]):
    """What a conversation holds, and beside it what failed or is still coming; in order.

    Attributes:
        replaced: what later tries took the place of: it stands again when they are taken back.
    """

    def __init__(self, shown: Iterable[Shown] = ()) -> None:
        super().__init__(shown)
        self.replaced: list[Shown] = []

    def find(self, key: str, *, replaced: bool = False) -> Shown:
        """Return what is shown under a key, or, if that will do, what was until it was replaced.

        Raises:
            PromptError: there is no such thing any more.
        """
        for shown in [*self, *self.replaced] if replaced else self:
            if shown.key == key:
                return shown
        raise PromptError("that message is not in this conversation any more")

    def put(self, shown: Shown) -> tuple[str, list[str]]:
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
        merged = Exchanges(known.get(each.turn) or Shown.before(each) for each in held)
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
