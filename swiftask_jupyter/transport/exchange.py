"""When a request may leave: asked at the last moment, told of what came at the first.

A large body sent bit by bit, with how far it is.

What comes back, before any dialect reads it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from swiftask_jupyter.protocols.base import Request
from swiftask_jupyter.protocols.errors import Head
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.transport.errors import cut_short


class NotSent(Exception):
    """A hook held a request back; nothing of it was written."""


class RequestHook:
    """One that is always open; others may close when they hear that a service asks to wait."""

    def leaving(self) -> None:
        """Let the request go, or raise: nothing of it has been written yet.

        A connection is there, and nothing else happens in between.
        """

    def heard(self, head: Head) -> None:
        """Hear the head of the answer, before anything else is done with it."""


OPEN = RequestHook()


LARGE = 1024 * 1024  # bytes of a body from which on its progress is told
PIECE = 256 * 1024
BAR = 20  # characters


async def in_pieces(request: Request, note: Callable[[str], None]) -> AsyncIterator[bytes]:
    """Yield a large body bit by bit, and say how far it is."""
    content = request.content
    for at in range(0, len(content), PIECE):
        note(f"sending {request.label or 'a file'} {bar(at, len(content))}")
        yield content[at : at + PIECE]
    note("")


def bar(done: int, whole: int) -> str:
    """Return how far it is, as a bar and in words."""
    full = BAR * done // whole
    return f"{'█' * full}{'░' * (BAR - full)} {done >> 20} of {whole >> 20} MB"


More = Callable[[], Awaitable[bytes]]

PLAIN = frozenset(("", "identity"))
GZIP = frozenset(("gzip", "x-gzip"))
AT_ONCE = 1024 * 1024  # bytes; what is packed may hold a thousand times its size


class Response(Struct, frozen=True):
    """A response whose body is still to come.

    Attributes:
        head: its status and headers.
        more: gives the next bytes of the body, all that are here; none at its end.
    """

    head: Head
    more: More


def unpacked(head: Head, more: More) -> More:
    """Return what gives the body as it was before it was packed, where it was.

    Raises:
        StreamError: it is packed in a way that was not asked for.
    """
    coding = head.headers.get("content-encoding", "").strip().lower()
    if coding in PLAIN:
        return more
    if coding not in GZIP:
        raise cut_short("it is packed in a way that was not asked for")
    return _Gunzipped(more)


class _Gunzipped:
    """Unpacks what comes."""

    def __init__(self, more: More) -> None:
        import zlib

        self._more = more
        self._error = zlib.error
        self._unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    async def __call__(self) -> bytes:
        """Return the next bytes; none at the end."""
        while data := self._unpacking.unconsumed_tail or await self._more():
            try:
                piece = self._unpacking.decompress(data, AT_ONCE)
            except self._error as error:
                raise cut_short(str(error)) from None
            if piece:
                return piece
        if not self._unpacking.eof:
            raise cut_short("its packing does not end")
        return self._unpacking.flush()
