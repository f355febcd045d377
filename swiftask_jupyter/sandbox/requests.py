"""The log of requests that the sandbox received, one record each, for tests to inspect."""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")

MAX_REQUESTS = 4000
MAX_BYTES = 64 * 1024 * 1024
"""Total size of the kept request bodies."""


@dataclass(eq=False)
class RecordedRequest:
    """One request that the sandbox received, and how its response went.

    Times are seconds of `time.monotonic()`: comparable within one process, not wall-clock times.
    `Sandbox.requests` lists the records.

    Args:
        method (str): the HTTP method, such as "POST".
        path (str): the path without the query.
        query (str): the query string, undecoded; hidden in `repr`, because it may hold a
            client token.
        headers (dict[str, str]): the request headers, names in lower case; hidden in `repr`.
        body (bytes): the request body; hidden in `repr`. See `json`.
        arrived (float): when the request was read.
        first_byte (float | None): when the first bytes of the response were written; None
            before that.
        ended (float | None): when the response ended, complete or not; None before that.
        status (int | None): the HTTP status of the response; None before `first_byte`.
        disconnected (bool): True if the client closed the connection before the response was
            complete.
        files (list[dict]): the files that the request named, each as it named them plus
            `uploaded`: True if the sandbox has the bytes, False if they never came, None if
            the file is on another server.

    Example:
        >>> from swiftask_jupyter import Sandbox, Swiftask
        >>> with (
        ...     Sandbox() as box,
        ...     Swiftask(base_url=box.url, token=box.token, dialect="openai") as client,
        ... ):
        ...     answer = client.ask("hello", "echo")
        ...     request = box.requests[-1]
        >>> request.method, request.path, request.status
        ('POST', '/v1/chat/completions', 200)
        >>> request.json["messages"]
        [{'role': 'user', 'content': 'hello'}]
    """

    method: str
    path: str
    query: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    arrived: float
    first_byte: float | None = None
    ended: float | None = None
    status: int | None = None
    disconnected: bool = False
    files: list[dict[str, Any]] = field(default_factory=list)

    @property
    def json(self) -> Any:
        """The body parsed as JSON; raises ValueError if it is not JSON."""
        return json.loads(self.body)


class RequestLog:
    """The most recent requests, newest last. Every method is thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: deque[RecordedRequest] = deque()
        self._bytes = 0
        self._open = 0

    def add(self, request: RecordedRequest) -> None:
        """Append a request, and drop the oldest ones beyond the limits of number and bytes."""
        with self._changed:
            self._requests.append(request)
            self._bytes += len(request.body)
            while len(self._requests) > MAX_REQUESTS or (
                self._bytes > MAX_BYTES and len(self._requests) > 1
            ):
                self._bytes -= len(self._requests.popleft().body)
            self._changed.notify_all()

    def response_started(self) -> None:
        """Count one more response in progress."""
        with self._changed:
            self._open += 1
            self._changed.notify_all()

    def response_ended(self) -> None:
        """Count one response in progress less."""
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def update(self, request: RecordedRequest, **changes: Any) -> None:
        """Set attributes of a record, and wake the threads that wait in `wait_for`."""
        with self._changed:
            for name, value in changes.items():
                setattr(request, name, value)
            self._changed.notify_all()

    def snapshot(self) -> list[RecordedRequest]:
        """Return a list of the current records, newest last."""
        with self._changed:
            return list(self._requests)

    @property
    def open_count(self) -> int:
        """The number of responses in progress."""
        with self._changed:
            return self._open

    def wait_for(self, predicate: Callable[[], Result], timeout: float | None) -> Result:
        """Wait until the predicate is true, at most `timeout` seconds; return its last value."""
        with self._changed:
            return self._changed.wait_for(predicate, timeout)
