"""What a turn knows of the conversation that it is part of."""

from __future__ import annotations

from collections.abc import Sequence

from swiftask_jupyter.conversation.rules import Exchange, stale_after
from swiftask_jupyter.support.structs import Struct, replace


class Context(Struct, frozen=True):
    """What a turn knows of the conversation that it is part of.

    Attributes:
        earlier: what stands before it.
        later: what stands after it.
        sent: all that was ever sent in the session.
        left_out: how many of the earlier turns are not sent along.
        cache: `off`, `on` (an earlier answer to the same question is shown again) or `strict`
            (nothing else is).
        replay: whether a service that lost the thread is told the conversation so far.
        fresh: whether the turn is sent as if nothing stood before it.
        earliest: the moment before which the turn can't be, whatever the clock says.
        highest: the highest number of a turn in the session.
        remarks: what the user should know of it.
    """

    earlier: Sequence[Exchange] = ()
    later: Sequence[Exchange] = ()
    sent: Sequence[Exchange] = ()
    left_out: int = 0
    cache: str = "off"
    replay: bool = False
    fresh: bool = False
    earliest: float = 0.0
    highest: int = 0
    remarks: tuple[str, ...] = ()

    def compared(self, said: str) -> list[str]:
        """Return a remark on what stands below and was asked after something else than this.

        Args:
            said: the digest of what the turn asked and was answered.
        """
        later = [each for each in self.later if each.after is not None]
        if not later:
            return []
        count = len(stale_after(self.earlier, replace(later[0], said=said), self.later))
        answers = "answer predates" if count == 1 else "answers predate"
        return [f"{count} later {answers} this"] if count else []
