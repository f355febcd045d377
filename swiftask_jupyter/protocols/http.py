"""The data types for HTTP requests and response heads, and a parser of server-sent events.

The parser decodes each `data:` line of a stream separately and ignores blank lines. The standard
separates events by blank lines, but the service of the `chat` dialect sends none. The decoder of
the `openai` dialect joins a JSON value that a service splits into several `data:` lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from swiftask_jupyter.errors import StreamError
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.structs import RedactedStruct, Struct

MAX_LINE_BYTES = 16 * 1024 * 1024
_EMPTY = frozenset((b"null", b'""', b"[]", b"{}"))
_COMMENT = re.compile(rb"[\[<(\"]?(:|ping|pong|keep-?_?alive|heartbeat)", re.IGNORECASE)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Request(RedactedStruct, frozen=True):
    """One HTTP request, ready to send.

    The URL, the headers and the content may contain a token, so the `repr` does not show them.

    Attributes:
        method: the HTTP method, such as `POST`.
        url: the absolute URL.
        headers: the headers of this request. The transport adds general headers such as `Host`
            and `Content-Length`.
        content: the bytes of the body; empty if there is no body.
        label: the name of the body in a progress message, such as a file name; may be empty.
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
        headers: a mapping from header names in lower case to values.
    """

    status: int
    headers: Mapping[str, str]

    @property
    def media_type(self) -> str:
        """The `Content-Type` in lower case, without parameters; empty if the header is missing."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class LineSplitter:
    """Splits a stream of bytes into lines. A line ends in LF, CRLF or CR."""

    __slots__ = ("_pending", "_pending_size", "_started")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """Add the next bytes, and return the lines that are now complete, without line endings.

        An incomplete line is kept for the next call. CR and LF each count as a line ending, so CRLF
        adds an empty line to the result. Callers ignore empty lines.

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
        """Return a list with the last line if the line has no line ending; otherwise `[]`."""
        rest = b"".join(self._pending)
        self._pending = []
        return [rest] if rest else []


def data_field(line: bytes) -> bytes | None:
    """Return the value of a `data:` line of server-sent events; `None` for any other line.

    A space after the colon is not removed, because JSON parsers ignore it.
    """
    return line[5:] if line[:5] == b"data:" else None


def is_sign_of_life(value: bytes) -> bool:
    """Return whether the value of a `data:` line is no data, but meant to keep a stream open.

    Some services send comments, `ping` or `null` as data.
    """
    return value in _EMPTY or bool(_COMMENT.match(value))


def truncated_stream() -> StreamError:
    """Return the exception for a stream that ended without an end marker such as `[DONE]`."""
    return StreamError("the stream was cut before its end", advice="what came is kept; ask again")


def unreadable_data(data: bytes, token: Secret) -> StreamError:
    """Return the exception for a `data:` line that cannot be decoded.

    The message quotes the first 80 characters of `data`, with the token masked.
    """
    quoted = token.mask(data.decode("utf-8", "replace"))[:80]
    return StreamError(
        f"the stream made no sense at {quoted!r}", advice="what came before it is kept"
    )
