"""One connection, on which one exchange after another takes place."""

from __future__ import annotations

import asyncio
import select
from typing import Any

from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.protocols.errors import Head
from swiftask_jupyter.transport.errors import cut_short, out_of_reach, silent, words_of
from swiftask_jupyter.transport.exchange import OPEN, RequestHook
from swiftask_jupyter.transport.http1 import Malformed, Reader

MOST_UNREAD = 1024 * 1024  # bytes; then the service waits for whoever reads
# Many services hang up after 5 s, as Node's and uvicorn's do by default: what is sent just before
# that is lost on the way.
IDLE_SECONDS = 4.0
# What hangs up on a kept connection as soon as it is asked had done so before it heard of it:
# llama.cpp's server does after each stream, without having said so. Later it may have heard.
AT_ONCE_SECONDS = 0.5


class Connection(asyncio.Protocol):
    """A socket whose bytes are read the moment they are here, by `Reader`.

    Args:
        host: what errors call the other side.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self.lost = self._loop.create_future()
        self._transport: Any = None  # an asyncio.Transport, while there is one
        self._reader: Reader | None = None
        self._gate = OPEN
        self._error: SwiftaskError | None = None
        self._carried = False  # an exchange before this one
        self._heard = False  # anything of an answer to this one
        self._unread: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._patience = 0.0
        self._moved = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    # What the exchange does.

    def ask(self, data: bytes, patience: float, gate: RequestHook) -> None:
        """Write a request, if the gate is open; what the last one left must be gone.

        Args:
            data: its bytes.
            patience: the seconds for which the other side may be silent.
            gate: may raise.

        Raises:
            ConnectionFailed: the other side has gone; nothing was sent.
        """
        if self._transport is None:
            raise out_of_reach(self._host, "it hung up at once", sent=False)
        gate.leaving()
        self._gate, self._reader, self._patience = gate, Reader(), patience
        self._heard = False
        self._transport.write(data)
        self._moved = self._loop.time()
        self._timer = self._loop.call_later(patience, self._look)

    async def head(self) -> Head:
        """Return the head of the answer.

        Raises:
            ConnectionFailed: none came.
        """
        assert self._reader is not None
        while self._reader.head is None:
            await self._news()
        return self._reader.head

    async def more(self) -> bytes:
        """Return the next bytes of the body, all that are here; none at its end.

        Raises:
            StreamError: it was cut short.
        """
        assert self._reader is not None
        while not self._unread:
            if self._reader.over:
                return b""
            await self._news()
        data = self._unread[0] if len(self._unread) == 1 else b"".join(self._unread)
        self._unread.clear()
        if self._size > MOST_UNREAD and self._transport is not None:
            self._moved = self._loop.time()
            self._transport.resume_reading()
        self._size = 0
        return data

    def ended(self) -> bool:
        """End the exchange; tell whether the connection may carry another."""
        reader, self._reader, self._gate = self._reader, None, OPEN
        self._carried = True
        unread = bool(self._unread)  # then it may have been told to wait
        self._unread.clear()
        self._size = 0
        if self._timer is not None:
            self._timer.cancel()
        self._moved = self._loop.time()
        if self._transport is None or self._transport.is_closing() or unread:
            return False
        if reader is None:
            return True
        return reader.lasting and not self._transport.get_write_buffer_size()

    def is_fresh(self) -> bool:
        """Tell whether a request can be written to it that the other side will read.

        Bytes where none are due, or their end, mean that it hung up; the loop may not know yet.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        if self._loop.time() - self._moved > IDLE_SECONDS:
            return False
        return not _is_readable(self._transport.get_extra_info("socket").fileno())

    def close(self) -> None:
        """Close the socket at once, whatever is under way."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _news(self) -> None:
        """Wait until something more has come, or raise what went wrong."""
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

    # What the loop does.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the open socket."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read what came, at once."""
        reader = self._reader
        if reader is None or reader.over or self._error is not None:  # nobody asked
            self.close()
            return
        self._moved, self._heard = self._loop.time(), True
        begun = reader.head is not None
        try:
            piece = reader.feed(data)
        except Malformed as error:
            self._fail(str(error))
            return
        if not begun and reader.head is not None:
            self._gate.heard(reader.head)
        if piece:
            self._unread.append(piece)
            self._size += len(piece)
            if self._size > MOST_UNREAD and self._transport is not None:
                self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Take the end of the connection: an answer's own, or one that cuts it."""
        self._transport = None
        self.lost.set_result(None)
        if self._reader is None or self._error is not None:
            return
        if error is not None:
            if not self._reader.over:
                self._fail(words_of(error))
            return
        try:
            self._reader.finish()
        except Malformed as cut:
            self._fail(str(cut))
        self._wake()

    def _look(self) -> None:
        """Look, every now and then, for how long nothing has come."""
        if self._reader is None or self._reader.over:
            return  # nothing is waited for any more
        now = self._loop.time()
        if self._unread:
            self._moved = now  # it is not the service that is waited for
        left = self._moved + self._patience - now
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._error = silent(self._host, self._patience)
            self._wake()

    def _fail(self, reason: str) -> None:
        reader = self._reader
        begun = reader is not None and reader.head is not None and reader.head.status < 300
        soon = self._loop.time() - self._moved < AT_ONCE_SECONDS
        sent = self._heard or not (self._carried and soon)
        self._error = cut_short(reason) if begun else out_of_reach(self._host, reason, sent=sent)
        self._wake()


def _is_readable(descriptor: int) -> bool:
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
