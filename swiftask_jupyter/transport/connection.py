"""One HTTP/1.1 connection, which carries one exchange after another.

Also here, because httpx's exchanges share them: the `RequestHook` that is called when a request is
sent, and the `Response` whose body is read, and decompressed, piece by piece.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable
from typing import Any

from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.transport.errors import describe, read_timed_out, truncated, unreachable
from swiftask_jupyter.transport.http1 import MalformedResponse, ResponseReader

MAX_UNREAD_BYTES = 1024 * 1024  # of a body; beyond that the service has to wait for the reader
# Many services close an idle connection after 5 s (the default of Node and uvicorn), and a
# request sent just before that is lost.
MAX_IDLE_SECONDS = 4.0
# If a reused connection closes this soon after a request, the service had closed it before the
# request arrived: llama.cpp's server does so after each stream, without a `Connection: close`.
# If it closes later, the service may have read the request.
STALE_CLOSE_SECONDS = 0.5

_IDENTITY = frozenset(("", "identity"))
_GZIP = frozenset(("gzip", "x-gzip"))
_INFLATE_BYTES = 1024 * 1024  # decompressed at once: gzip can hold a thousand times its size

# Returns all bytes of the body that have arrived, waiting for at least one; b"" at the end.
BodyReader = Callable[[], Awaitable[bytes]]


class NotSent(Exception):
    """Raised by a hook to hold a request back; nothing of it has been written."""


class RequestHook:
    """Called when a request is sent and when its response begins. This one does nothing.

    Subclasses use it to hold requests back after the service has asked to wait.
    """

    def before_send(self) -> None:
        """Called with the connection open, just before the first byte is written.

        Raises:
            NotSent: in a subclass, to keep the request from being sent.
        """

    def on_response(self, head: ResponseHead) -> None:
        """Called with the response's head as soon as it is parsed, before anything else."""


NO_HOOK = RequestHook()


class Response(Struct, frozen=True):
    """A response whose body has not been read yet.

    Attributes:
        head: the status and the headers.
        read: returns the next bytes of the body, all that have arrived; `b""` at its end.
    """

    head: ResponseHead
    read: BodyReader


def decompress(head: ResponseHead, read: BodyReader) -> BodyReader:
    """Return a reader of the body without its content encoding.

    Raises:
        StreamError: the `Content-Encoding` is neither gzip nor identity.
    """
    encoding = head.headers.get("content-encoding", "").strip().lower()
    if encoding in _IDENTITY:
        return read
    if encoding not in _GZIP:
        raise truncated("its Content-Encoding is not supported")
    return _GzipReader(read)


class _GzipReader:
    """Decompresses a gzip body, at most `_INFLATE_BYTES` a call."""

    def __init__(self, read: BodyReader) -> None:
        import zlib

        self._read = read
        self._zlib_error = zlib.error
        self._inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    async def __call__(self) -> bytes:
        """Return the next decompressed bytes; `b""` at the end."""
        while data := self._inflater.unconsumed_tail or await self._read():
            try:
                inflated = self._inflater.decompress(data, _INFLATE_BYTES)
            except self._zlib_error as error:
                raise truncated(str(error)) from None
            if inflated:
                return inflated
        if not self._inflater.eof:
            raise truncated("its gzip data is incomplete")
        return self._inflater.flush()


class Connection(asyncio.Protocol):
    """A socket that sends one request at a time and parses its response as the bytes arrive.

    For each exchange, call `send`, `read_head`, `read_body` until it returns no bytes, and
    `end_exchange`.

    Args:
        host: the host and port, as errors name them.

    Attributes:
        closed: a future that is done once the socket is closed.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self.closed = self._loop.create_future()
        self._transport: Any = None  # an asyncio.Transport, while the socket is open
        self._reader: ResponseReader | None = None  # of the current exchange
        self._hook = NO_HOOK
        self._error: SwiftaskError | None = None
        self._reused = False  # an earlier exchange has used the connection
        self._received = False  # a byte of the current response has arrived
        self._unread: list[bytes] = []
        self._unread_size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._read_timeout = 0.0
        self._last_activity = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    # Called by the exchange.

    def send(self, data: bytes, read_timeout: float, hook: RequestHook) -> None:
        """Write a request, if the hook lets it pass.

        Args:
            data: the request's bytes.
            read_timeout: seconds that the service may be silent.
            hook: called before the write, and with the response's head.

        Raises:
            ConnectionFailed: the service has closed the connection; nothing was sent.
            NotSent: the hook held the request back.
        """
        if self._transport is None:
            raise unreachable(self._host, "the connection closed at once", sent=False)
        hook.before_send()
        self._hook, self._reader, self._read_timeout = hook, ResponseReader(), read_timeout
        self._received = False
        self._transport.write(data)
        self._last_activity = self._loop.time()
        self._timer = self._loop.call_later(read_timeout, self._check_timeout)

    async def read_head(self) -> ResponseHead:
        """Return the response's status and headers.

        Raises:
            ConnectionFailed: the connection failed, or the timeout expired, before they came.
        """
        assert self._reader is not None
        while self._reader.head is None:
            await self._wait_for_data()
        return self._reader.head

    async def read_body(self) -> bytes:
        """Return the next bytes of the body, all that have arrived; `b""` at its end.

        Raises:
            StreamError: the body was cut short.
            ConnectionFailed: the timeout expired.
        """
        assert self._reader is not None
        while not self._unread:
            if self._reader.done:
                return b""
            await self._wait_for_data()
        data = self._unread[0] if len(self._unread) == 1 else b"".join(self._unread)
        self._unread.clear()
        if self._unread_size > MAX_UNREAD_BYTES and self._transport is not None:
            self._last_activity = self._loop.time()
            self._transport.resume_reading()
        self._unread_size = 0
        return data

    def end_exchange(self) -> bool:
        """End the exchange, wherever it is; return whether the connection can carry another."""
        reader, self._reader, self._hook = self._reader, None, NO_HOOK
        self._reused = True
        has_unread = bool(self._unread)  # then reading may be paused
        self._unread.clear()
        self._unread_size = 0
        if self._timer is not None:
            self._timer.cancel()
        self._last_activity = self._loop.time()
        if self._transport is None or self._transport.is_closing() or has_unread:
            return False
        if reader is None:  # the request was not sent
            return True
        return reader.keep_alive and not self._transport.get_write_buffer_size()

    def is_usable(self) -> bool:
        """Tell whether an idle connection is still open and may be used again.

        Readable bytes, or an end of file, mean that the service closed the connection or broke
        the protocol, even if the event loop has not noticed yet.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        if self._loop.time() - self._last_activity > MAX_IDLE_SECONDS:
            return False
        return not _is_readable(self._transport.get_extra_info("socket").fileno())

    def close(self) -> None:
        """Close the socket at once, without sending what is still buffered."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _wait_for_data(self) -> None:
        """Wait for the next bytes or the end of the connection; raise the error if there is one."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the open socket."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse bytes of the response; bytes that belong to no exchange close the connection."""
        reader = self._reader
        if reader is None or reader.done or self._error is not None:
            self.close()
            return
        self._last_activity, self._received = self._loop.time(), True
        had_head = reader.head is not None
        try:
            body = reader.feed(data)
        except MalformedResponse as error:
            self._fail(str(error))
            return
        if not had_head and reader.head is not None:
            self._hook.on_response(reader.head)
        if body:
            self._unread.append(body)
            self._unread_size += len(body)
            if self._unread_size > MAX_UNREAD_BYTES and self._transport is not None:
                self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the closed connection: the response is then either complete or truncated."""
        self._transport = None
        self.closed.set_result(None)
        if self._reader is None or self._error is not None:
            return
        if error is not None:
            if not self._reader.done:
                self._fail(describe(error))
            return
        try:
            self._reader.finish()
        except MalformedResponse as malformed:
            self._fail(str(malformed))
        self._wake()

    def _check_timeout(self) -> None:
        """Fail if the service has been silent for too long; else check again later."""
        if self._reader is None or self._reader.done:
            return
        now = self._loop.time()
        if self._unread:
            self._last_activity = now  # our reader is slow, not the service
        left = self._last_activity + self._read_timeout - now
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_timeout)
        else:
            self._error = read_timed_out(self._host, self._read_timeout)
            self._wake()

    def _fail(self, reason: str) -> None:
        """Store the error for a response that is malformed or was cut short."""
        head = self._reader.head if self._reader is not None else None
        if head is not None and head.status < 300:
            self._error = truncated(reason)
        else:
            at_once = self._loop.time() - self._last_activity < STALE_CLOSE_SECONDS
            stale = self._reused and at_once and not self._received
            self._error = unreachable(self._host, reason, sent=not stale)
        self._wake()


def _is_readable(descriptor: int) -> bool:
    """Tell whether a socket has bytes to read or has been closed by the other side."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
