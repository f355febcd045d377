"""What the sandbox was asked: one record for each request, kept for whoever wants to look."""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Found = TypeVar("Found")

KEPT = 4000
KEPT_BYTES = 64 * 1024 * 1024


@dataclass(eq=False)
class RecordedRequest:
    """One request as it arrived, and how its answer went; times are `time.monotonic()`."""

    method: str
    path: str
    query: str = field(repr=False)  # it may hold a client token
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    arrived: float
    first_byte: float | None = None
    ended: float | None = None
    status: int | None = None
    disconnected: bool = False
    """The client went away before the answer was complete."""
    files: list[dict[str, Any]] = field(default_factory=list)
    """The files it named, each with `uploaded`: whether its bytes are here, None if elsewhere."""

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Requests:
    """The last few thousand requests, newest last; every method may be called on any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._seen: deque[RecordedRequest] = deque()
        self._bytes = 0
        self._open = 0

    def arrived(self, seen: RecordedRequest) -> None:
        """Keeps a request that is about to be answered, and lets the oldest go."""
        with self._changed:
            self._seen.append(seen)
            self._bytes += len(seen.body)
            while len(self._seen) > KEPT or (self._bytes > KEPT_BYTES and len(self._seen) > 1):
                self._bytes -= len(self._seen.popleft().body)
            self._changed.notify_all()

    def opened(self) -> None:
        """Counts one more answer under way."""
        with self._changed:
            self._open += 1
            self._changed.notify_all()

    def closed(self) -> None:
        """Counts one answer less under way."""
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def note(self, seen: RecordedRequest, **changes: Any) -> None:
        """Writes what became of a request, and wakes those who wait for it."""
        with self._changed:
            for name, value in changes.items():
                setattr(seen, name, value)
            self._changed.notify_all()

    def snapshot(self) -> list[RecordedRequest]:
        """The records as they are now, newest last."""
        with self._changed:
            return list(self._seen)

    @property
    def open(self) -> int:
        """How many answers are under way."""
        with self._changed:
            return self._open

    def wait_for(self, predicate: Callable[[], Found], timeout: float | None) -> Found:
        """Waits until the predicate holds or the time is up; returns its last value."""
        with self._changed:
            return self._changed.wait_for(predicate, timeout)
