"""`HTTP1Connection`: one HTTP/1.1 connection, which sends one request after another.

The module also defines two classes that `httpx_pool` uses too: `RequestHook` contains the callbacks
for a request, and `Response` provides the body of a response in pieces.
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
from swiftask_jupyter.transport.http1 import MalformedResponse, ResponseParser

# If more bytes of a body than this have not been read by the caller, no more are received.
MAX_UNREAD_BYTES = 1024 * 1024
# Many services close an idle connection after 5 s (the default of Node and uvicorn), and a
# request that is sent just before the close is lost.
MAX_IDLE_SECONDS = 4.0
# If a reused connection is closed within this time after a request was sent, the service is
# assumed to have closed it before the request arrived: llama.cpp's server does so after each
# stream, without a header `Connection: close`. After this time, the service may have read the
# request.
STALE_CLOSE_SECONDS = 0.5

_INFLATED = frozenset(("gzip", "x-gzip", "deflate"))
_UNSUPPORTED = frozenset(("br", "zstd", "compress", "x-compress", "dcb", "dcz"))
# How many bytes are decompressed at once; decompressed data can be a thousand times larger.
_INFLATE_BYTES = 1024 * 1024

# Waits until bytes of the body have arrived, and returns them; b"" at the end of the body.
BodyReader = Callable[[], Awaitable[bytes]]


class RequestHeld(Exception):
    """Raised by `RequestHook.before_send` to prevent a request; no byte of the request was sent."""


class RequestHook:
    """Two callbacks for requests: one before a request is sent, one when a response begins.

    The methods of this class do nothing. A subclass in `batch.limiter` pauses the requests of a
    batch when the service asks for a pause.
    """

    def before_send(self) -> None:
        """Do nothing. A subclass can raise `RequestHeld` here to prevent the request.

        Called before the first byte of a request is written.

        Raises:
            RequestHeld: the request must not be sent; only subclasses raise it.
        """

    def on_response(self, head: ResponseHead) -> None:
        """Do nothing. Called with the head of each response before the body is read."""


NO_HOOK = RequestHook()


class Response(Struct, frozen=True):
    """A response whose head has arrived, and whose body is still to be read.

    Attributes:
        head: the status and the headers.
        read: an async function that waits for bytes of the body and returns them. It returns
            `b""` at the end of the body.
    """

    head: ResponseHead
    read: BodyReader


def decompress(head: ResponseHead, read: BodyReader) -> BodyReader:
    """Return a function that reads a response's body and decompresses a gzip or deflate body.

    A name that is no compression, such as `none` or `utf-8`, is ignored. The function raises
    `StreamError` if the body is compressed in another way.

    Args:
        head: the response's head; `Content-Encoding` says whether the body is compressed.
        read: reads the next bytes of the body, without decompressing them.
    """
    encodings = head.headers.get("content-encoding", "").lower().split(",")
    inflated = [each for each in map(str.strip, encodings) if each in _INFLATED]
    if len(inflated) > 1 or not _UNSUPPORTED.isdisjoint(map(str.strip, encodings)):

        async def refuse() -> bytes:
            raise truncated("its Content-Encoding is not supported")

        return refuse
    return _InflatingReader(read) if inflated else read


class _InflatingReader:
    """Reads a body that is compressed with gzip or deflate.

    The body may consist of several gzip members, such as one for each event of a stream. A body
    that is not compressed, although its head says so, is returned unchanged.
    """

    def __init__(self, read: BodyReader) -> None:
        import zlib

        self._read = read
        self._zlib = zlib
        self._inflater: Any = None  # of the current member; `None` between two members
        self._plain: bool | None = None  # whether the body is not compressed, once known
        self._pending = b""

    async def __call__(self) -> bytes:
        """Return the next decompressed bytes; `b""` at the end of the body.

        Raises:
            StreamError: the compressed data is invalid or incomplete.
        """
        while data := self._pending or await self._read():
            self._pending = b""
            if self._plain is None:
                if len(data) < 2 and (more := await self._read()):
                    data += more
                self._plain = not _is_compressed(data)
            if self._plain:
                return data
            if inflated := self._inflate(data):
                return inflated
        if self._inflater is not None:
            raise truncated("its compressed data is incomplete")
        return b""

    def _inflate(self, data: bytes) -> bytes:
        """Return the next decompressed bytes; the rest of `data` becomes `_pending`."""
        if self._inflater is None:
            self._inflater = self._zlib.decompressobj(wbits=32 + self._zlib.MAX_WBITS)
        try:
            inflated: bytes = self._inflater.decompress(data, _INFLATE_BYTES)
        except self._zlib.error as error:
            raise truncated(str(error)) from None
        self._pending = self._inflater.unconsumed_tail
        if self._inflater.eof:
            # Zeros after a member are padding.
            self._pending = self._inflater.unused_data.lstrip(b"\0")
            self._inflater = None
        return inflated


def _is_compressed(data: bytes) -> bool:
    """Return whether bytes begin as gzip (RFC 1952) or as zlib (RFC 1950) does."""
    return data[:2] == b"\x1f\x8b" or (data[:1] == b"\x78" and int.from_bytes(data[:2]) % 31 == 0)


class HTTP1Connection(asyncio.Protocol):
    """An open HTTP/1.1 connection, which sends one request at a time and parses the response.

    An exchange is one request with its response. For each exchange, call `send`, then `read_head`,
    then `read_body` until it returns `b""`, and finally `end_exchange`. After an error, call
    `end_exchange` too.

    Args:
        host: the host and port to show in error messages.

    Attributes:
        closed: a future that is done when the socket is closed.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self.closed = self._loop.create_future()
        self._transport: Any = None  # an asyncio.Transport, while the socket is open
        self._reader: ResponseParser | None = None  # of the current exchange
        self._hook = NO_HOOK
        self._error: SwiftaskError | None = None
        self._reused = False  # an earlier request was sent on this connection
        self._received = False  # a byte of the current response has arrived
        self._unread: list[bytes] = []
        self._unread_size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._read_timeout = 0.0
        self._last_activity = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    # Called by `ConnectionPool`.

    def send(self, data: bytes, read_timeout: float, hook: RequestHook) -> None:
        """Send a request, without waiting for the response.

        Args:
            data: the bytes of the request.
            read_timeout: the maximum number of seconds without data from the service.
            hook: called before the request is sent, and with the head of the response.

        Raises:
            ConnectionFailed: the service has closed the connection; nothing was sent.
            RequestHeld: the hook prevented the request; nothing was sent.
        """
        if self._transport is None:
            raise unreachable(self._host, "the connection closed at once", sent=False)
        hook.before_send()
        self._hook, self._reader, self._read_timeout = hook, ResponseParser(), read_timeout
        self._received = False
        self._transport.write(data)
        self._last_activity = self._loop.time()
        self._timer = self._loop.call_later(read_timeout, self._check_timeout)

    async def read_head(self) -> ResponseHead:
        """Wait for the status and the headers of the response, and return them.

        Raises:
            ConnectionFailed: no complete head arrived. The connection was closed, the timeout
                expired, or the bytes were invalid.
        """
        assert self._reader is not None
        while self._reader.head is None:
            await self._wait_for_data()
        return self._reader.head

    async def read_body(self) -> bytes:
        """Wait until bytes of the body have arrived, and return them; `b""` at the end of the body.

        Raises:
            StreamError: the body is invalid or was cut short.
            ConnectionFailed: the timeout expired. If the response has an error status, this
                exception is also raised in place of `StreamError`.
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
        """Finish the current exchange, and return whether the connection can be used again.

        The connection can be used again if the request was not sent, or if the whole response was
        read and the service keeps the connection open. Otherwise, the caller must close the
        connection. The method can be called at any time, also after an error.
        """
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
        """Return whether an idle connection can be used for another request.

        The result is false if the connection was idle for more than `MAX_IDLE_SECONDS`, if the
        service has closed the connection, or if the service has sent bytes without a request. The
        socket itself is checked, because the event loop reports a close with a delay.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        if self._loop.time() - self._last_activity > MAX_IDLE_SECONDS:
            return False
        return not _is_readable(self._transport.get_extra_info("socket").fileno())

    def close(self) -> None:
        """Close the socket immediately; bytes in the write buffer are discarded."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _wait_for_data(self) -> None:
        """Wait until bytes arrive or the connection is closed.

        Raises:
            SwiftaskError: the current exchange has already failed.
        """
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
        """Store the asyncio transport, by which bytes are written to the socket."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse bytes of the response; close the connection if the bytes are unexpected."""
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
        """Mark the connection as closed; store an error if the current response is incomplete."""
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
        """Store an error if the service has sent nothing for too long; otherwise restart the timer.

        Called by a timer while a response is expected.
        """
        if self._reader is None or self._reader.done:
            return
        now = self._loop.time()
        if self._unread:
            self._last_activity = now  # the caller of `read_body` is slow, not the service
        left = self._last_activity + self._read_timeout - now
        if left > 0:
            self._timer = self._loop.call_later(left, self._check_timeout)
        else:
            self._error = read_timed_out(self._host, self._read_timeout)
            self._wake()

    def _fail(self, reason: str) -> None:
        """Store an error for a malformed or incomplete response, and wake the waiting reader.

        Args:
            reason: what is wrong, for the error message.
        """
        head = self._reader.head if self._reader is not None else None
        if head is not None and head.status < 300:
            self._error = truncated(reason)
        else:
            at_once = self._loop.time() - self._last_activity < STALE_CLOSE_SECONDS
            stale = self._reused and at_once and not self._received
            self._error = unreachable(self._host, reason, sent=not stale)
        self._wake()


def _is_readable(descriptor: int) -> bool:
    """Return whether a socket has bytes to read or was closed by the other side."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
