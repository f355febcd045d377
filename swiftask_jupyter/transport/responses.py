"""What comes back, before any dialect reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from swiftask_jupyter.protocols import Head
from swiftask_jupyter.transport.failures import cut_short
from swiftask_jupyter.values import Struct

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
