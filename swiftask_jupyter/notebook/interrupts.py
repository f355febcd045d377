"""Ctrl-C while an answer comes: heard at once, acted on where nothing can be torn.

A strike in the middle of an import may leave the module locked for ever, and whoever imports it
next, the I/O thread for one, waits. So strikes are held back from a cell's first import on.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Held(list[int]):
    """The interrupts that were held back."""


@contextmanager
def holding_interrupts(wake: Callable[[], None] | None = None) -> Iterator[Held]:
    """Hold interrupts back until the block is done; the block looks at the list it is given.

    Without `wake`, nothing is waited for: a second strike is let through, should the block not
    come to its end.

    An exception that strikes anywhere would leave a display drawn twice or never, or, by a
    second strike, a connection open. So a strike is written down, and `wake` ends the wait for
    what comes next; it must do no more than a signal's handler may.
    """
    held = Held()

    def strike(number: int, _: object) -> None:
        held.append(number)
        if wake is not None:
            wake()
        elif len(held) > 1:
            raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is None:
        yield held  # signals are the main thread's, and a handler of C's can't be put back
        return
    former = signal.signal(signal.SIGINT, strike)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, former)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let an interrupt strike when the block is done, and not within it."""
    with holding_interrupts() as held:
        yield
    if held:
        signal.raise_signal(signal.SIGINT)
