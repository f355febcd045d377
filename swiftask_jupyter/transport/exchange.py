"""One HTTP exchange, as our own HTTP/1.1 and httpx both present it.

The request: a hook that is called when it is sent, and the upload of a large body in chunks with
progress. The response: its head, and a function that reads its body, decompressed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.transport.errors import truncated

# Returns all bytes of the body that have arrived, waiting for at least one; b"" at the end.
BodyReader = Callable[[], Awaitable[bytes]]

LARGE_BODY_BYTES = 1024 * 1024  # a request body from this size on is uploaded with progress
UPLOAD_CHUNK_BYTES = 256 * 1024
BAR_WIDTH = 20  # characters

_IDENTITY = frozenset(("", "identity"))
_GZIP = frozenset(("gzip", "x-gzip"))
_INFLATE_BYTES = 1024 * 1024  # decompressed at once: gzip can hold a thousand times its size


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


async def upload(request: Request, on_progress: Callable[[str], None]) -> AsyncIterator[bytes]:
    """Yield a request's body in chunks, and report the progress before each.

    Args:
        request: the request; its `label` names the body in the progress text.
        on_progress: receives the progress as text for the user; an empty text at the end.
    """
    content = request.content
    for sent in range(0, len(content), UPLOAD_CHUNK_BYTES):
        on_progress(f"sending {request.label or 'a file'} {progress_bar(sent, len(content))}")
        yield content[sent : sent + UPLOAD_CHUNK_BYTES]
    on_progress("")


def progress_bar(sent: int, total: int) -> str:
    """Return a progress bar with the megabytes in words; `sent` and `total` are in bytes."""
    filled = BAR_WIDTH * sent // total
    bar = "█" * filled + "░" * (BAR_WIDTH - filled)
    return f"{bar} {sent >> 20} of {total >> 20} MB"
