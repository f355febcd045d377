"""Cost of an answer streaming into the chat panel, an `HTML` widget and Panel's ChatInterface.

The first table is about the kernel. An answer in 4-character deltas is played at 200 tokens/s and
in one burst, with a simulated clock (200 KB take 250 s at that rate) and real messages, including
headers and signature. CPU is that of this process, in ms per KB of the answer.

The second table is about the browser: JupyterLab in headless Chromium, in a burst, at 2,000 and at
200 tokens/s. Bytes are those of the page's WebSockets, CPU is that of the page's main thread in ms
per KB, and "tasks" are its tasks of more than 50 ms. The values are medians of five runs with all
kinds in turn (a peer that takes minutes runs once). In a burst the kernel's CPU is measured too,
less its CPU while the same panel is idle. Panel runs on its own server, and is left out if it is
not installed. Everything takes some 25 minutes.

Targets: bytes per byte at most 10 at 200 tokens/s and 1.7 in a burst; kernel CPU at most 3 ms per
KB in a burst; at most 3 tasks of over 50 ms in 200 KB.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

from _measure import median, table
from _wire import Wire

from swiftask_jupyter.answers.turn import Delta, Reply
from swiftask_jupyter.notebook.markdown.document import to_html
from swiftask_jupyter.notebook.panel.channel import Channel
from swiftask_jupyter.notebook.panel.exchange_view import ExchangeView
from swiftask_jupyter.notebook.panel.reply_publisher import ReplyPublisher

PARAGRAPH = "The quick brown fox jumps over the lazy dog, *again* and `again`. " * 5 + "\n\n"
CODE = "```python\n" + "def total(prices):\n    return sum(prices) + 1  # more\n" * 4 + "```\n\n"
ROWS = "| a | b |\n|---|---|\n" + "| a cell | **another** one |\n" * 8 + "\n"
ITEMS = "- an item with *words* in it\n" * 8 + "\n"
MIXED = (f"## A heading\n\n{PARAGRAPH}{PARAGRAPH}{CODE}{PARAGRAPH}{ROWS}{ITEMS}") * 150
LIST = "- an item of a long list, with *some* words and `code` in it\n" * 2000
TABLE = "| a | b |\n|---|---|\n" + "| a cell with words | **another** one, with more |\n" * 2500
TICK = 0.1


class InPanel:
    """Our chat panel."""

    def __init__(self, wire: Wire) -> None:
        def custom(content: dict[str, Any], buffers: list[bytes]) -> None:
            wire.tell({"method": "custom", "content": content}, buffers)

        self._reply = Reply(agent="agent", id="0" * 32, number=1)
        exchange = ExchangeView("a question", self._reply)
        self._publisher = ReplyPublisher(
            exchange, Channel(custom), None, lambda _: None, clock=lambda: wire.now
        )

    def add(self, piece: str) -> None:
        """Add a delta to the answer."""
        self._reply.apply([Delta(piece)])
        self._publisher.publish_changes()

    def end(self) -> None:
        """Send the last changes."""
        self._reply.status = "ok"
        self._publisher.publish_end()


class InHtml:
    """An `HTML` widget whose value is the whole answer, set ten times a second."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._text, self._last = wire, "", -1.0

    def add(self, piece: str) -> None:
        """Add a delta to the answer."""
        self._text += piece
        if self._wire.now - self._last >= TICK:
            self._last = self._wire.now
            self.end()

    def end(self) -> None:
        """Send the whole answer."""
        self._wire.tell({"method": "update", "state": {"value": to_html(self._text)}})


def play(display: Callable[[Wire], Any], text: str, rate: float) -> dict[str, float]:
    """Stream a text at a rate (deltas per second) into a display.

    Returns the bytes sent per byte of text, and the CPU in ms per KB.
    """
    wire = Wire(msg_type="comm_msg", subshell_id="1" * 32)
    target, start = display(wire), time.process_time()
    for at in range(0, len(text), 4):
        target.add(text[at : at + 4])
        wire.now += 1 / rate
    target.end()
    seconds = time.process_time() - start
    return {"bytes": wire.size / len(text.encode()), "cpu": seconds * 1e6 / len(text)}


def from_the_kernel(rounds: int) -> None:
    """Measure the kernel and print the first table."""
    cases = [("mixed 50 KB", MIXED[:50_000]), ("mixed 200 KB", MIXED[:200_000]),
             ("list 100 KB", LIST[:100_000]), ("table 100 KB", TABLE[:100_000])]  # fmt: skip
    rows = []
    for name, text in cases:
        displays = {"panel": InPanel} | ({"HTML widget": InHtml} if len(text) < 60_000 else {})
        for kind, display in displays.items():
            again = rounds if display is InPanel else 1  # the others send a gigabyte each
            slow = [play(display, text, 200) for _ in range(again)]
            burst = [play(display, text, 1e6) for _ in range(again)]
            figures = [
                median([each[key] for each in runs]) for key in ("bytes", "cpu")
                for runs in (slow, burst)
            ]  # fmt: skip
            rows.append([f"{name}, {kind}", *(f"{figure:.1f}" for figure in figures)])
    head = ["", "bytes/byte 200 t/s", "in a burst", "CPU ms/KB 200 t/s", "in a burst"]
    table("What leaves the kernel", head, rows)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-browser", action="store_true")
    options = parser.parse_args()
    from_the_kernel(options.rounds)
    if options.no_browser or not importlib.util.find_spec("playwright"):
        print("\nthe second table needs a browser and is left out")
        return
    from panel_browser import in_the_browser

    others = {"list 100 KB": LIST[:100_000], "table 100 KB": TABLE[:100_000]}
    in_the_browser(options.rounds, MIXED, others)


if __name__ == "__main__":
    main()
