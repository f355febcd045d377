"""A front end that shows what a cell's display publishes, and texts to stream into it."""

from swiftask_jupyter.answers.turn import Delta, Reply
from swiftask_jupyter.notebook.display import MESSAGE_OVERHEAD, CellDisplay

PROSE = "The quick brown fox jumps over the lazy dog, *again* and `again`. " * 5 + "\n\n"


CODE = "```python\n" + "def f(x):\n    return x + 1  # one more\n" * 3000


class FrontEnd:
    """Records what is on the screen, and when how many bytes were sent.

    Attributes:
        now: the time in seconds, as the test sets it.
        shown: the newest bundle of each display, by its id.
        sent: the time and the size of each message.
    """

    def __init__(self):
        self.now = 0.0
        self.shown = {}
        self.sent = []

    def clock(self):
        """Return the time."""
        return self.now

    def publish(self, data, *, transient, update):
        """Receive a message."""
        identity = transient["display_id"]
        assert update == (identity in self.shown), "a display is made once, then updated"
        self.shown[identity] = data
        size = sum(len(str(value).encode()) for value in data.values())
        self.sent.append((self.now, size + MESSAGE_OVERHEAD))

    @property
    def html(self):
        """Everything that is on the screen."""
        return "".join(data["text/html"] for data in self.shown.values())


def stream_text(text, *, rate, shown=True, piece=4, form="md"):
    """Stream a text into a cell's display.

    Args:
        text: the text of the answer.
        rate: pieces in a second.
        shown: whether the cell shows the text.
        piece: characters in a piece.
        form: the format of the answer.

    Returns:
        The front end, the reply, the number of messages while it streamed, the highest average of
        bytes in a second, and the longest time in seconds without a message.
    """
    end = FrontEnd()
    reply = Reply(agent="echo", number=3, format=form)
    display = CellDisplay(end.publish, reply, shown=shown, clock=end.clock)
    worst, behind = 0.0, 0.0
    for at in range(0, len(text), piece):
        delta = Delta(text[at : at + piece])
        reply.apply([delta])
        display.show([delta])
        if end.sent:  # the first message is not a rate yet
            worst = max(worst, sum(size for _, size in end.sent) / max(end.now, 1))
            behind = max(behind, end.now - end.sent[-1][0])
        end.now += 1 / rate
    streamed = len(end.sent)
    reply.status = "ok"
    display.finish()
    return end, reply, streamed, worst, behind
