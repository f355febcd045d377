"""The heads of HTTP/1.1: a status or a request, and headers.

HTTP/1.1 as bytes: a request written, a response read however it is cut. No I/O.

Strict where a lenient reader would take another's bytes for an answer (lengths, chunks, what
comes after the end), lenient where no harm can come of it (bare ends of line, folded headers).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from swiftask_jupyter.protocols.base import Request
from swiftask_jupyter.protocols.errors import Head
from swiftask_jupyter.transport.addresses import Address

_STATUS = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
# A text that is nothing but these has nothing left without them at its ends.
_NAME = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Malformed(Exception):
    """What came is no HTTP/1.1 response, or not all of one."""


def is_header(name: str, value: str) -> bool:
    """Tell whether a name and a value are one header, and not several or none."""
    return bool(name) and not (name.strip(_NAME) or "\n" in value or "\r" in value or "\0" in value)


def head_of(block: bytes) -> tuple[str, Head]:
    """Return the minor version and the head that the lines make.

    Raises:
        Malformed: they make none.
    """
    first, *lines = block.decode("latin-1").split("\n")
    status = _STATUS.fullmatch(first.removesuffix("\r"))
    if status is None:
        raise Malformed("its first line is no status")
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        line = line.removesuffix("\r")  # noqa: PLW2901 - the same line, without its end
        if line[:1] in {" ", "\t"} and name:
            headers[name] += " " + line.strip(" \t")  # folded, as was once allowed
            continue
        name, colon, value = line.partition(":")
        if not colon or not is_header(name, value):
            raise Malformed("a line of its head is no header")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return status[1], Head(int(status[2]), headers)


def length_of(said: str) -> int:
    """Return the one length that is said, once or several times.

    Raises:
        Malformed: there is none.
    """
    lengths = {each.strip() for each in said.split(",")}
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit() and len(length) < 16):
        raise Malformed("its length is none")
    return int(length)


LONGEST_HEAD = 100 * 1024
LONGEST_SIZE_LINE = 4 * 1024
MOST_INTERIM = 16  # responses such as 100 and 103 before the one that counts
AGENT = "swiftask-jupyter"

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_HEX = b"0123456789ABCDEFabcdef"  # a size that is nothing but these has nothing left without them
_TARGET = "/?:@!$&'()*+,;=%-._~[]|"  # what may stand in a path and its query as it is


def written(request: Request, address: Address) -> bytes:
    """Return the bytes of a request.

    Raises:
        ValueError: a header can't be sent as it is.
    """
    content = request.content
    fields = {
        "Host": address.shown,
        "User-Agent": AGENT,
        "Accept": "*/*",
        # Text that comes piece by piece gains nothing; a list of agents, fetched whole, does.
        "Accept-Encoding": "gzip" if request.method == "GET" else "identity",
        **request.headers,
    }
    if content or request.method != "GET":
        fields["Content-Length"] = str(len(content))
    lines = [f"{request.method} {quote(address.target, safe=_TARGET)} HTTP/1.1"]
    for name, value in fields.items():
        if not is_header(name, value):
            raise ValueError(f"the header {name[:40]!r} can't be sent")
        lines.append(f"{name}: {value}")
    return "\r\n".join((*lines, "\r\n")).encode("latin-1") + content


class Reader:
    """Reads one response.

    Attributes:
        head: its status and headers, once they have come.
        over: whether all of it has come.
        lasting: whether the connection may carry another; true only when this one is over.
    """

    __slots__ = ("_follows", "_held", "_interim", "_left", "_step", "_trailing", "head", "over")

    def __init__(self) -> None:
        self.head: Head | None = None
        self.over = False
        self._follows = False
        self._held = b""
        self._interim = 0
        self._left = 0  # bytes of the body, or of the chunk
        self._trailing = 0
        self._step: Callable[[Reader, bytes, int, list[bytes]], int] = Reader._read_head

    @property
    def lasting(self) -> bool:
        """Whether the connection may carry another response."""
        return self.over and self._follows

    def feed(self, data: bytes) -> bytes:
        """Return the part of the body that these bytes complete.

        Raises:
            Malformed: they are no part of a response.
        """
        if self._held:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data):
            if self.over:
                self._follows = False  # more than was asked for: whose it is, nobody knows
                break
            before, at = at, self._step(self, data, at, pieces)
            if at == before:
                self._held = data[at:]
                break
        return b"".join(pieces)

    def finish(self) -> None:
        """Take the end of the connection.

        Raises:
            Malformed: the response had not ended.
        """
        if self._step is Reader._read_to_the_end:
            self.over = True
        if self.over:
            return
        if self.head is None:
            raise Malformed("it hung up without an answer")
        raise Malformed("it hung up before the answer's end")

    # Each step reads from a place on, adds to the body what is its, and returns the place behind
    # that: the same one where it can't read on before more has come.

    def _read_head(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = _BLANK_LINE.search(data, at)
        if (end.start() if end else len(data)) - at > LONGEST_HEAD:
            raise Malformed(f"a head of over {LONGEST_HEAD >> 10} KB")
        if end is None:
            if data[at : at + 7] != b"HTTP/1."[: len(data) - at]:
                raise Malformed("what came is not HTTP/1.1")
            return at
        version, head = head_of(data[at : end.start()])
        if head.status >= 200:
            self.head = head
            self._frame(version, head)
        elif head.status == 101:
            raise Malformed("it changed the protocol, unasked")
        elif (interim := self._interim + 1) > MOST_INTERIM:
            raise Malformed("it announces answers without end")
        else:
            self._interim = interim
        return end.end()

    def _frame(self, version: str, head: Head) -> None:
        """Find out where the body ends, and whether the connection lasts longer."""
        named = {word.strip().lower() for word in head.headers.get("connection", "").split(",")}
        self._follows = "close" not in named and (version == "1" or "keep-alive" in named)
        coding = head.headers.get("transfer-encoding")
        length = head.headers.get("content-length")
        if head.status in {204, 304}:
            self.over = True
        elif coding is not None:
            if coding.lower() != "chunked":
                raise Malformed("its transfer coding is not known here")
            # With both, someone on the way may have gone by the length.
            self._follows = self._follows and length is None
            self._step = Reader._read_size
        elif length is not None:
            self._left = length_of(length)
            self.over = self._left == 0
            self._step = Reader._read_sized
        else:
            self._follows = False
            self._step = Reader._read_to_the_end

    def _read_sized(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        end = self._take(data, at, pieces)
        self.over = self._left == 0
        return end

    def _read_to_the_end(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        pieces.append(data[at:])
        return len(data)

    def _read_size(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = _end_of_line(data, at, LONGEST_SIZE_LINE)
        if end < 0:
            return at
        size = data[at:end].partition(b";")[0].rstrip(b" \t")
        if not 0 < len(size) < 16 or size.strip(_HEX):
            raise Malformed("a chunk's size is none")
        self._left = int(size, 16)
        self._step = Reader._read_chunk if self._left else Reader._read_trailer
        return end + 2

    def _read_chunk(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        end = self._take(data, at, pieces)
        if not self._left:
            self._step = Reader._read_end_of_chunk
        return end

    def _read_end_of_chunk(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = data[at : at + 2]
        if end != b"\r\n"[: len(end)]:
            raise Malformed("a chunk is longer than its size")
        if len(end) < 2:
            return at
        self._step = Reader._read_size
        return at + 2

    def _read_trailer(self, data: bytes, at: int, _: list[bytes]) -> int:
        end = _end_of_line(data, at, LONGEST_HEAD - self._trailing)
        if end < 0:
            return at
        self._trailing += end - at
        self.over = end == at
        return end + 2

    def _take(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Take as many bytes as are left of the body or the chunk."""
        piece = data[at : at + self._left]
        self._left -= len(piece)
        pieces.append(piece)
        return at + len(piece)


def _end_of_line(data: bytes, at: int, most: int) -> int:
    """Return where a line ends, below 0 where its end has not come."""
    end = data.find(b"\r\n", at, at + most + 2)
    if end < 0 and len(data) - at > most + 1:
        raise Malformed("a line between chunks is too long")
    return end
