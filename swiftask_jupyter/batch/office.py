"""What all rows of a batch are sent with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from swiftask_jupyter.batch.plan import Question
from swiftask_jupyter.batch.window import Window
from swiftask_jupyter.replies import Reply, Standing
from swiftask_jupyter.store.turns import Place, Turns
from swiftask_jupyter.transport import Transport
from swiftask_jupyter.values import Struct, field


class Office(Struct, frozen=True):
    """What the prompts of a batch share.

    Attributes:
        transport: the network.
        turns: the ledger.
        place: the notebook, and the batch's own session.
        standing: the cell that asks.
        window: how many may be under way.
        tries: how often each is sent at most.
        settle: takes an ended reply; gives what must be asked because of it, if anything.
        budget: asked about each turn when it stands in the ledger and is about to be sent;
            what it raises (`Refused`) ends the batch. `None` where no budget holds.
        numbers: which turn of the batch each is.
    """

    transport: Transport
    turns: Turns
    place: Place
    standing: Standing
    window: Window
    tries: int
    settle: Callable[[Question, Reply], Question | None]
    budget: Callable[[Reply, Place], object] | None = None
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
