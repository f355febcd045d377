"""Hold Ctrl-C back while an answer arrives, and act on it where nothing is left half done.

An interrupt in the middle of an import may leave the module locked for ever, and every thread
that imports it next, such as the I/O thread, waits. So interrupts are held back from a cell's
first import on.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class HeldInterrupts(list[int]):
    """The numbers of the signals that were held back; empty if there was no interrupt."""


@contextmanager
def hold_interrupts(wake: Callable[[], None] | None = None) -> Iterator[HeldInterrupts]:
    """Hold SIGINT back until the block ends; the block looks at the list that it is given.

    An exception raised at an arbitrary line could leave a display drawn twice or not at all, and
    a second one could leave a connection open. So a signal is only noted.

    Args:
        wake: ends the block's wait for the next event. It runs in the signal handler and must do
            no more than a handler may. Without it, the second interrupt raises
            `KeyboardInterrupt`, in case the block does not end.
    """
    held = HeldInterrupts()

    def note(number: int, _: object) -> None:
        held.append(number)
        if wake is not None:
            wake()
        elif len(held) > 1:
            raise KeyboardInterrupt

    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGINT) is None:
        yield held  # only the main thread sets handlers; a handler set in C can't be put back
        return
    former = signal.signal(signal.SIGINT, note)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, former)


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Run a block to its end; raise an interrupt that arrived meanwhile after it."""
    with hold_interrupts() as held:
        yield
    if held:
        signal.raise_signal(signal.SIGINT)
