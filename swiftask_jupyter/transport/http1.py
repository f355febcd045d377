"""HTTP/1.1 without I/O: functions that parse URLs, encode requests and parse responses.

The bytes of a response may be parsed in pieces of any size. The parser is strict about lengths,
chunks and bytes after the end of a response. If the parser tolerated an error there, two responses
could be mixed up. The parser accepts harmless deviations, such as bare line feeds and folded
headers. See RFC 9112.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from swiftask_jupyter.errors import ConnectionFailed
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.support.structs import Struct

USER_AGENT = "swiftask-jupyter"
DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_HEAD_BYTES = 100 * 1024
MAX_SIZE_LINE_BYTES = 4 * 1024  # of the line with a chunk's size and extensions
MAX_INTERIM_RESPONSES = 16  # responses with status 100-199 before the final response

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
# `text.strip(_HEX)` is empty if all characters of the text are in `_HEX`. `_HEADER_NAME` is used
# in the same way.
_HEX = b"0123456789ABCDEFabcdef"
_HEADER_NAME = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TARGET_SAFE = "/?:@!$&'()*+,;=%-._~[]|"  # characters of a path and query that are not quoted

_Step = Callable[["ResponseParser", bytes, int, list[bytes]], int]


class URLParts(Struct, frozen=True):
    """The parts of a request's URL.

    Attributes:
        secure: whether the connection uses TLS.
        host: the host name or IP address, without brackets.
        port: the port number in the URL, or the default port of the scheme.
        netloc: the host and port as written in the URL, without user name and password. Used in
            error messages and in the `Host` header.
        target: the path and the query; may contain a token.
        simple: whether this package's own HTTP/1.1 client supports the URL: the scheme is http or
            https, the host is ASCII, the port is not 0, and there is no user name. httpx sends
            requests to other URLs.
    """

    secure: bool
    host: str
    port: int
    netloc: str
    target: str
    simple: bool


def parse_url(url: str) -> URLParts:
    """Split an absolute URL into its parts.

    Raises:
        ConnectionFailed: the URL is malformed, for example an upload URL from a service.
    """
    try:
        parts = urlsplit(url)
        port = parts.port  # raises ValueError if it is no port number
    except ValueError as error:
        raise ConnectionFailed(f"{url[:80]!r} is no address ({error})", sent=False) from None
    host = parts.hostname or ""
    user_info, _, netloc = parts.netloc.rpartition("@")
    return URLParts(
        secure=parts.scheme != "http",
        host=host,
        port=port or DEFAULT_PORTS.get(parts.scheme, 0),
        netloc=netloc,
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        simple=parts.scheme in DEFAULT_PORTS
        and bool(host)
        and host.isascii()
        and not user_info
        and port != 0,
    )


class MalformedResponse(Exception):
    """Raised if the received bytes are an invalid or incomplete HTTP/1.1 response."""


def encode_request(request: Request, address: URLParts) -> bytes:
    """Return the bytes of an HTTP/1.1 request.

    General headers such as `Host`, `User-Agent` and `Content-Length` are added.

    Raises:
        ValueError: the name or the value of a header contains characters that cannot be sent.
    """
    content = request.content
    headers = {
        "Host": address.netloc,
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        # Compression could delay a streamed answer. Responses to GET requests, such as the
        # catalogue of agents, are not streamed.
        "Accept-Encoding": "gzip" if request.method == "GET" else "identity",
        **request.headers,
    }
    if content or request.method != "GET":
        headers["Content-Length"] = str(len(content))
    lines = [f"{request.method} {quote(address.target, safe=_TARGET_SAFE)} HTTP/1.1"]
    for name, value in headers.items():
        if not is_valid_header(name, value):
            raise ValueError(f"the header {name[:40]!r} can't be sent")
        lines.append(f"{name}: {value}")
    return "\r\n".join((*lines, "\r\n")).encode("latin-1") + content


def is_valid_header(name: str, value: str) -> bool:
    """Return whether a name and a value can be sent as one header.

    A line break in the name or in the value would add another header to the request.
    """
    if not name or name.strip(_HEADER_NAME):
        return False
    return not ("\n" in value or "\r" in value or "\0" in value)


def parse_head(block: bytes) -> tuple[str, ResponseHead]:
    """Parse the head of a response; return the minor HTTP version (`"0"` or `"1"`) and the head.

    Args:
        block: the status line and the header lines, without the blank line that follows them.

    Raises:
        MalformedResponse: the status line or a header line is invalid.
    """
    first, *lines = block.decode("latin-1").split("\n")
    status = _STATUS_LINE.fullmatch(first.removesuffix("\r"))
    if status is None:
        raise MalformedResponse("its status line is invalid")
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        line = line.removesuffix("\r")  # noqa: PLW2901 - the same line, without its ending
        if line[:1] in {" ", "\t"} and name:
            headers[name] += " " + line.strip(" \t")  # a folded header, as older servers send it
            continue
        name, colon, value = line.partition(":")
        if not colon or not is_valid_header(name, value):
            raise MalformedResponse("a header line is invalid")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return status[1], ResponseHead(int(status[2]), headers)


def parse_content_length(value: str) -> int:
    """Return the number in a `Content-Length` header.

    A repeated number such as `5, 5` is accepted as 5.

    Raises:
        MalformedResponse: the value is not a number, or contains different numbers.
    """
    lengths = {each.strip() for each in value.split(",")}
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit() and len(length) < 16):
        raise MalformedResponse("its Content-Length is invalid")
    return int(length)


class ResponseParser:
    """A parser for one response; the bytes may be passed in pieces of any size.

    Attributes:
        head: the status and the headers; `None` while they are incomplete.
        done: whether the whole response has been parsed.
    """

    __slots__ = (
        "_buffer", "_interim", "_left", "_reusable", "_step", "_trailer_size", "done", "head",
    )  # fmt: skip

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self.done = False
        self._reusable = False
        self._buffer = b""  # the beginning of an incomplete line or head
        self._interim = 0
        self._left = 0  # how many bytes of the body, or of the current chunk, are missing
        self._trailer_size = 0
        self._step: _Step = ResponseParser._read_head

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can be used for another request; false until `done`."""
        return self.done and self._reusable

    def feed(self, data: bytes) -> bytes:
        """Parse the next bytes of the response; return the bytes that belong to the body.

        Raises:
            MalformedResponse: the response is invalid.
        """
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        body: list[bytes] = []
        at = 0
        while at < len(data):
            if self.done:
                self._reusable = False  # the service sent more bytes than one response
                break
            before, at = at, self._step(self, data, at, body)
            if at == before:
                self._buffer = data[at:]
                break
        return b"".join(body)

    def finish(self) -> None:
        """Handle a closed connection: set `done` if the response is now complete.

        A response without a length and without chunks ends when the connection is closed.

        Raises:
            MalformedResponse: the response is incomplete.
        """
        if self._step is ResponseParser._read_until_close:
            self.done = True
        if self.done:
            return
        if self.head is None:
            raise MalformedResponse("the connection closed before a response")
        raise MalformedResponse("the connection closed before the end of the response")

    # Each of the following methods parses a part of `data` from position `at`, appends bytes of the
    # body to `body`, and returns the position after the parsed part. It returns `at` if it needs
    # more bytes.

    def _read_head(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = _BLANK_LINE.search(data, at)
        if (end.start() if end else len(data)) - at > MAX_HEAD_BYTES:
            raise MalformedResponse(f"its head is over {MAX_HEAD_BYTES >> 10} KB")
        if end is None:
            if data[at : at + 7] != b"HTTP/1."[: len(data) - at]:
                raise MalformedResponse("it is not HTTP/1.1")
            return at
        version, head = parse_head(data[at : end.start()])
        if head.status >= 200:
            self.head = head
            self._choose_framing(version, head)
        elif head.status == 101:
            raise MalformedResponse("it switched protocols without being asked")
        elif (interim := self._interim + 1) > MAX_INTERIM_RESPONSES:
            raise MalformedResponse("it sent too many interim responses")
        else:
            self._interim = interim
        return end.end()

    def _choose_framing(self, version: str, head: ResponseHead) -> None:
        """Determine from the headers how the body ends, and whether the connection can be reused.

        Args:
            version: the minor HTTP version, `"0"` or `"1"`.
            head: the status and the headers.

        Raises:
            MalformedResponse: the length is invalid, or the transfer encoding is not supported.
        """
        options = {each.strip().lower() for each in head.headers.get("connection", "").split(",")}
        self._reusable = "close" not in options and (version == "1" or "keep-alive" in options)
        coding = head.headers.get("transfer-encoding")
        length = head.headers.get("content-length")
        if head.status in {204, 304}:
            self.done = True
        elif coding is not None:
            if coding.lower() != "chunked":
                raise MalformedResponse("its Transfer-Encoding is not supported")
            # A proxy may have ignored this header and used the length.
            self._reusable = self._reusable and length is None
            self._step = ResponseParser._read_chunk_size
        elif length is not None:
            self._left = parse_content_length(length)
            self.done = self._left == 0
            self._step = ResponseParser._read_sized
        else:
            self._reusable = False
            self._step = ResponseParser._read_until_close

    def _read_sized(self, data: bytes, at: int, body: list[bytes]) -> int:
        end = self._take(data, at, body)
        self.done = self._left == 0
        return end

    def _read_until_close(self, data: bytes, at: int, body: list[bytes]) -> int:
        body.append(data[at:])
        return len(data)

    def _read_chunk_size(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = _line_end(data, at, MAX_SIZE_LINE_BYTES)
        if end < 0:
            return at
        size = data[at:end].partition(b";")[0].rstrip(b" \t")
        if not 0 < len(size) < 16 or size.strip(_HEX):
            raise MalformedResponse("a chunk's size is invalid")
        self._left = int(size, 16)
        self._step = ResponseParser._read_chunk if self._left else ResponseParser._read_trailer
        return end + 2

    def _read_chunk(self, data: bytes, at: int, body: list[bytes]) -> int:
        end = self._take(data, at, body)
        if not self._left:
            self._step = ResponseParser._read_chunk_end
        return end

    def _read_chunk_end(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = data[at : at + 2]
        if end != b"\r\n"[: len(end)]:
            raise MalformedResponse("a chunk is longer than its size")
        if len(end) < 2:
            return at
        self._step = ResponseParser._read_chunk_size
        return at + 2

    def _read_trailer(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = _line_end(data, at, MAX_HEAD_BYTES - self._trailer_size)
        if end < 0:
            return at
        self._trailer_size += end - at
        self.done = end == at
        return end + 2

    def _take(self, data: bytes, at: int, body: list[bytes]) -> int:
        """Append the available bytes of the body or of the current chunk to `body`.

        Return the position after these bytes in `data`.
        """
        piece = data[at : at + self._left]
        self._left -= len(piece)
        body.append(piece)
        return at + len(piece)


def _line_end(data: bytes, at: int, max_bytes: int) -> int:
    """Return the position of the CRLF at the end of a line; -1 if the line is incomplete.

    Args:
        data: the bytes received so far.
        at: the position at which the line starts.
        max_bytes: the maximum length of the line.

    Raises:
        MalformedResponse: the line is longer than `max_bytes`.
    """
    end = data.find(b"\r\n", at, at + max_bytes + 2)
    if end < 0 and len(data) - at > max_bytes + 1:
        raise MalformedResponse("a line between chunks is too long")
    return end
