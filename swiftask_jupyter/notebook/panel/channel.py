"""What a panel tells its views: numbered messages, so that a view knows when it has missed one.

Messages do get lost on the way (a Jupyter server drops what comes too fast), and there may be any
number of views. So a view that sees a gap asks for everything, and each gets it alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Event, RLock
from typing import Any

Send = Callable[[dict[str, Any], list[bytes]], object]


class Channel:
    """The way to all views of one panel.

    Messages travel as one piece of JSON beside the envelope: a kernel would look through every
    item of the envelope's own content once more.

    Attributes:
        closed: set when there is nobody to tell any more.
        lock: held while the panel's state changes and the change is told, which are one act.
        revision: the number of the last message.
        ended: the key of the exchange that ended last.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.closed = Event()
        self.lock = RLock()
        self.revision = 0
        self.ended = ""

    def tell(self, kind: str, **fields: Any) -> None:
        """Tell every view of a change."""
        with self.lock:
            self.revision += 1
            self._write({"kind": kind, "rev": self.revision, **fields})

    def answer(self, call: dict[str, Any], kind: str = "answer", **fields: Any) -> None:
        """Answer what one view has asked."""
        with self.lock:
            if kind == "snapshot":
                fields["rev"] = self.revision
            self._write({"kind": kind, "to": call.get("view"), "id": call.get("id"), **fields})

    def part(self) -> Part:
        """Return the way of one conversation; muted at first."""
        return Part(self._send, self)

    def beat(self) -> None:
        """Tell every view the number of the last message: it may have been lost."""
        with self.lock:  # a number that was not told yet would seem to be lost
            self._write({"kind": "heartbeat", "rev": self.revision})

    def _write(self, message: dict[str, Any]) -> None:
        packed = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        self._send({}, [packed.encode("utf-8", "replace")])


class Part(Channel):
    """What one of a panel's conversations tells: nothing while the views show another.

    Attributes:
        muted: whether they do.
    """

    def __init__(self, send: Send, whole: Channel) -> None:
        super().__init__(send)
        self.closed, self.lock = whole.closed, whole.lock
        self.muted = True
        self._whole = whole

    def tell(self, kind: str, **fields: Any) -> None:
        """Tell every view of a change."""
        with self.lock:
            if not self.muted:
                self._whole.tell(kind, **fields)

    def beat(self) -> None:
        """Tell every view the number of the last message."""
        self._whole.beat()
