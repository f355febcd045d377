"""What leaves a kernel: real messages, headers and signature included, with a simulated clock."""

from collections.abc import Sequence
from typing import Any

from jupyter_client.session import Session

PARENT = {
    "msg_id": "12345678-1234567890abcdef12345678_12_3",
    "msg_type": "execute_request",
    "username": "user",
    "session": "1234567890abcdef12345678",
    "date": "2026-01-01T00:00:00.000000Z",
    "version": "5.3",
}
COMM = "1234567890abcdef1234567890abcdef"


class Wire:
    """A kernel's way out, with a clock of its own; `parent` is what asked, beside PARENT."""

    def __init__(self, **parent: str) -> None:
        self.now = 0.0
        self.sent: list[tuple[float, int]] = []  # when, and how many bytes
        self._parent = PARENT | parent
        self._session = Session(key=b"benchmark")

    @property
    def size(self) -> int:
        """All bytes so far."""
        return sum(size for _, size in self.sent)

    def send(self, kind: str, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Write one message and count it."""
        message = self._session.msg(kind, content, parent=self._parent)
        parts = [*self._session.serialize(message), *buffers]
        self.sent.append((self.now, sum(map(len, parts))))

    def publish(self, data: dict[str, Any], *, transient: dict[str, Any], update: bool) -> None:
        """Display or update, as IPython's publisher does."""
        kind = "update_display_data" if update else "display_data"
        self.send(kind, {"data": data, "metadata": {}, "transient": transient})

    def tell(self, content: dict[str, Any], buffers: Sequence[bytes] | None = None) -> None:
        """Send a widget's message."""
        self.send("comm_msg", {"data": content, "comm_id": COMM}, buffers or ())
