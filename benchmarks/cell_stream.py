"""Bytes on iopub of an answer that streams into a cell, beside other ways to show it.

An answer in 4-character deltas is played at 100 deltas/s and in one burst. Time is simulated (a
100 KB answer takes 250 s at that rate), bytes are real: each message is what a kernel's session
writes for it, headers and signature included. "KB/s" is the mean over the stream, "worst" the most
that any moment had been sent per second since the start, "10 s" the busiest ten seconds; "behind"
is how long the newest text waited at most; the final bundle counts in the last column.

Targets at 100 deltas/s: never more than 50 KB/s, at most 150 ms behind. In a burst: at most 4
bytes per byte of the answer.
"""

from collections.abc import Callable
from typing import Any

from _measure import table
from _wire import Wire

from swiftask_jupyter.answers.turn import Delta, Reply
from swiftask_jupyter.notebook.display import CellDisplay

PROSE = ("The quick brown fox jumps over the lazy dog, *again* and `again`. " * 5 + "\n\n") * 400
CODE = "```python\n" + "def total(prices):\n    return sum(prices) + 1  # one more\n" * 2500
SIZES = (4_000, 20_000, 100_000)


class Ours:
    """`%%swiftask`."""

    def __init__(self, wire: Wire) -> None:
        self._reply = Reply(agent="agent", number=1)
        self._display = CellDisplay(wire.publish, self._reply, shown=True, clock=lambda: wire.now)

    def add(self, piece: str) -> None:
        """Take a delta."""
        self._reply.apply([Delta(piece)])
        self._display.show([Delta(piece)])

    def end(self) -> None:
        """Show the final bundle."""
        self._reply.status = "ok"
        self._display.finish()


class Updates:
    """`display(Markdown(text), display_id=True)` and `update`, every so many seconds."""

    def __init__(self, wire: Wire, every: float) -> None:
        self._wire, self._every, self._text, self._last = wire, every, "", -1.0

    def add(self, piece: str) -> None:
        """Take a delta."""
        self._text += piece
        if self._wire.now - self._last >= self._every:
            self._last = self._wire.now
            self.end()

    def end(self) -> None:
        """Show all of it."""
        data = {"text/plain": "<IPython.core.display.Markdown object>", "text/markdown": self._text}
        self._wire.publish(data, transient={"display_id": "1" * 32}, update=True)


class Prints:
    """`print(piece, end="")`, which a kernel flushes five times a second."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._held, self._last = wire, "", 0.0

    def add(self, piece: str) -> None:
        """Take a delta."""
        self._held += piece
        if self._wire.now - self._last >= 0.2:
            self._last = self._wire.now
            self.end()

    def end(self) -> None:
        """Flush."""
        self._wire.send("stream", {"name": "stdout", "text": self._held})
        self._held = ""


WAYS: dict[str, Callable[[Wire], Any]] = {
    "%%swiftask": Ours,
    "update at 10 Hz": lambda wire: Updates(wire, 0.1),
    "update every delta": lambda wire: Updates(wire, 0.0),
    "print": Prints,
}


def play(way: Callable[[Wire], Any], text: str, rate: float) -> dict[str, float]:
    """Stream a text one way; return its figures."""
    wire = Wire()
    shown = way(wire)
    behind = 0.0
    for at in range(0, len(text), 4):
        shown.add(text[at : at + 4])
        behind = max(behind, wire.now - (wire.sent[-1][0] if wire.sent else 0.0))
        wire.now += 1 / rate
    streamed = list(wire.sent)
    total, worst = 0, 0.0
    for moment, size in streamed:
        total += size
        worst = max(worst, total / max(moment, 1.0))
    shown.end()
    return {
        "mean": total / max(wire.now, 1.0),
        "worst": worst,
        "busiest": busiest(streamed, 10.0),
        "behind": behind,
        "ratio": wire.size / len(text.encode()),
    }


def busiest(sent: list[tuple[float, int]], seconds: float) -> float:
    """The most bytes a second in any window of so many seconds."""
    most, inside, first = 0, 0, 0
    for moment, size in sent:
        inside += size
        while sent[first][0] <= moment - seconds:
            inside -= sent[first][1]
            first += 1
        most = max(most, inside)
    return most / seconds


def main() -> None:
    """Measure and print."""
    rows = []
    for kind, whole in (("prose", PROSE), ("one code block", CODE)):
        for size in SIZES:
            for name, way in WAYS.items():
                if name == "update every delta" and size > 20_000:
                    continue  # a gigabyte
                paced, burst = play(way, whole[:size], 100), play(way, whole[:size], 200_000)
                figures = [paced[key] / 1000 for key in ("mean", "worst", "busiest")]
                rows.append(
                    [
                        f"{size // 1000} KB {kind}, {name}",
                        *(f"{figure:.0f}" for figure in figures),
                        f"{paced['behind'] * 1000:.0f}",
                        f"{paced['ratio']:.0f}",
                        f"{burst['ratio']:.1f}",
                    ]
                )
    table(
        "An answer in a cell: 100 deltas/s, and in a burst",
        ["", "KB/s", "worst", "10 s", "behind ms", "bytes/byte", "burst bytes/byte"],
        rows,
    )


if __name__ == "__main__":
    main()
