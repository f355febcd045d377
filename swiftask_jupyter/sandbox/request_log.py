"""Record the requests that the sandbox receives, so that tests can inspect them."""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")

MAX_REQUESTS = 4000
MAX_BYTES = 64 * 1024 * 1024
"""The maximum total size of the request bodies in the log."""


@dataclass(eq=False)
class RecordedRequest:
    """A record of one request to the sandbox, and of the progress of the response.

    `Sandbox.requests` lists the records. Times are values of `time.monotonic()` in seconds. Times
    can be compared within one process, but are not wall-clock times.

    Args:
        method (str): the HTTP method, such as "POST".
        path (str): the URL path without the query.
        query (str): the percent-encoded query string. The query is hidden in `repr`, because the
            query may contain a client token.
        headers (dict[str, str]): the request headers, with names in lower case; hidden in `repr`.
        body (bytes): the request body; hidden in `repr`. The property `json` parses the body.
        arrived (float): when the sandbox had received the request.
        first_byte (float | None): when the first bytes of the response were sent; None if no bytes
            were sent.
        ended (float | None): when the response ended, complete or incomplete; None for a response
            in progress.
        status (int | None): the HTTP status of the response; None while `first_byte` is None.
        disconnected (bool): True if the client closed the connection before the response was
            complete.
        files (list[dict]): the files that the request names. Each dict is the file entry from the
            request with the additional key `uploaded`. The value is True if the sandbox has the
            file's content, and False if the sandbox lacks the content. The value is None if the
            file is on another server.

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
        """The request body, parsed as JSON.

        Raises:
            ValueError: the body is not valid JSON.
        """
        return json.loads(self.body)


class RequestLog:
    """A thread-safe log of the most recent requests, newest last."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: deque[RecordedRequest] = deque()
        self._bytes = 0
        self._open = 0

    def add(self, request: RecordedRequest) -> None:
        """Append a request. If the log is too large, drop the oldest requests.

        The log holds at most `MAX_REQUESTS` requests and about `MAX_BYTES` bytes of request bodies.
        """
        with self._changed:
            self._requests.append(request)
            self._bytes += len(request.body)
            while len(self._requests) > MAX_REQUESTS or (
                self._bytes > MAX_BYTES and len(self._requests) > 1
            ):
                self._bytes -= len(self._requests.popleft().body)
            self._changed.notify_all()

    def response_started(self) -> None:
        """Increase the number of responses in progress by one."""
        with self._changed:
            self._open += 1
            self._changed.notify_all()

    def response_ended(self) -> None:
        """Decrease the number of responses in progress by one."""
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def update(self, request: RecordedRequest, **changes: Any) -> None:
        """Set attributes of a logged request, and wake the threads that block in `wait_for`."""
        with self._changed:
            for name, value in changes.items():
                setattr(request, name, value)
            self._changed.notify_all()

    def snapshot(self) -> list[RecordedRequest]:
        """Return a new list of the recorded requests, newest last."""
        with self._changed:
            return list(self._requests)

    @property
    def open_count(self) -> int:
        """The number of responses in progress."""
        with self._changed:
            return self._open

    def wait_for(self, predicate: Callable[[], Result], timeout: float | None) -> Result:
        """Block until `predicate` returns a true value, and return this value.

        The predicate is called at once, and again after each change of the log. If `timeout`
        seconds have passed, return the predicate's last value. A timeout of None means no limit.
        """
        with self._changed:
            return self._changed.wait_for(predicate, timeout)
