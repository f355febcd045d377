"""A sandbox that a process of its own serves until it is told to end."""

import signal
import threading
from collections.abc import Callable
from types import FrameType

from .server import Sandbox


def serve_forever(
    port: int = 0, *, model: bool = False, on_ready: Callable[[Sandbox], None] | None = None
) -> None:
    """Serves until SIGINT or SIGTERM; `on_ready` is called once it listens."""
    asked = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Sandbox(port, model=model) as box:
            if on_ready is not None:
                on_ready(box)
            while not asked.wait(0.5):  # in steps: an endless wait can't be interrupted everywhere
                pass
    finally:
        for each, former in before.items():
            signal.signal(each, former)
