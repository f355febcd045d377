"""HTTP as the dialects see it: requests, response heads, and the lines of an event stream.

Server-sent events are read line by line rather than by the blank lines between them: the
`/chat/{slug}` platform documents events without blank lines, and no dialect splits a JSON value
over two `data:` lines.
"""

from __future__ import annotations

from collections.abc import Mapping

from swiftask_jupyter.errors import StreamError
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.structs import Redacted, Struct

MAX_LINE_BYTES = 16 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Request(Redacted, frozen=True):
    """One HTTP request, ready to send.

    The URL, the headers and the content may hold a token, so the `repr` leaves them out.

    Attributes:
        method: the HTTP method, such as `POST`.
        url: the absolute URL.
        headers: the dialect's own headers. The transport adds the general ones, such as `Host`
            and `Content-Length`.
        content: the body's bytes; empty if there is no body.
        label: how a progress message names the body, such as a file name.
    """

    redacted_fields = frozenset(("url", "headers", "content"))

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes = b""
    label: str = ""


class ResponseHead(Struct, frozen=True):
    """The status and the headers of an HTTP response.

    Attributes:
        status: the HTTP status code.
        headers: the values by header name, names in lower case.
    """

    status: int
    headers: Mapping[str, str]

    @property
    def media_type(self) -> str:
        """The content type in lower case, without parameters; empty if none is given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class LineSplitter:
    """Splits a byte stream into lines that end in LF, CRLF or CR, wherever the reads are split."""

    __slots__ = ("_pending", "_pending_size", "_started")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that these bytes complete, without their line endings.

        A CRLF gives an extra empty line, which readers of server-sent events ignore.

        Raises:
            StreamError: a line is longer than `MAX_LINE_BYTES`.
        """
        if b"\r" in data:
            data = data.replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        if lines:
            if self._pending:
                self._pending.append(lines[0])
                lines[0] = b"".join(self._pending)
            if not self._started:
                self._started = True
                lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
            self._pending = [rest] if rest else []
            self._pending_size = len(rest)
        elif rest:
            self._pending.append(rest)
            self._pending_size += len(rest)
            if self._pending_size > MAX_LINE_BYTES:
                raise StreamError(f"a line of the answer is over {MAX_LINE_BYTES >> 20} MB")
        return lines

    def finish(self) -> list[bytes]:
        """Return the last line if it has no line ending; else an empty list."""
        rest = b"".join(self._pending)
        self._pending = []
        return [rest] if rest else []


def data_field(line: bytes) -> bytes | None:
    """Return the value of a `data:` line; `None` for a comment, another field or an empty line.

    The value keeps the one space that may follow the colon: JSON parsers skip it.
    """
    return line[5:] if line[:5] == b"data:" else None


def truncated_stream() -> StreamError:
    """Return the error for a stream that ended without announcing its end."""
    return StreamError("the stream was cut before its end", advice="what came is kept; ask again")


def unreadable_data(data: bytes, token: Secret) -> StreamError:
    """Return the error for a `data:` line that cannot be decoded; it quotes the line, masked."""
    quoted = token.mask(data.decode("utf-8", "replace"))[:80]
    return StreamError(
        f"the stream made no sense at {quoted!r}", advice="what came before it is kept"
    )
