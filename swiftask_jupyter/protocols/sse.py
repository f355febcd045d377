"""Lines out of a stream of bytes, and the payload of a `data:` line.

Server-sent events are read line by line rather than by blank-line frames: the `/chat/{slug}`
platform documents events without a blank line between them, and no dialect splits a JSON value
over two `data:` lines.
"""

from __future__ import annotations

from swiftask_jupyter.errors import StreamError
from swiftask_jupyter.settings.secrets import Secret

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONGEST_LINE = 16 * 1024 * 1024


class Lines:
    """Splits bytes into lines, however they are cut; ends of line may be LF, CRLF or CR."""

    __slots__ = ("_begun", "_held", "_rest")

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._held = 0
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that these bytes complete, without their ends.

        Raises:
            StreamError: a line is longer than `LONGEST_LINE` bytes.
        """
        if b"\r" in data:
            data = data.replace(b"\r", b"\n")  # a CRLF gives one blank line more: ignored
        *lines, rest = data.split(b"\n")
        if lines:
            if self._rest:
                self._rest.append(lines[0])
                lines[0] = b"".join(self._rest)
            if not self._begun:
                self._begun = True
                lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
            self._rest = [rest] if rest else []
            self._held = len(rest)
        elif rest:
            self._rest.append(rest)
            self._held += len(rest)
            if self._held > LONGEST_LINE:
                raise StreamError(f"a line of over {LONGEST_LINE >> 20} MB is not an answer")
        return lines

    def finish(self) -> list[bytes]:
        """Return the last line, which had no end."""
        rest = b"".join(self._rest)
        self._rest = []
        return [rest] if rest else []


def cut() -> StreamError:
    """Return the error for a stream that ended before it said so."""
    return StreamError("the stream was cut before its end", advice="what came is kept; ask again")


def nonsense(said: bytes, token: Secret) -> StreamError:
    """Return the error for a `data:` line that is no piece of an answer."""
    shown = token.mask(said.decode("utf-8", "replace"))[:80]
    return StreamError(
        f"the stream made no sense at {shown!r}", advice="what came before it is kept"
    )


def payload(line: bytes) -> bytes | None:
    """Return what a `data:` line carries, or `None` for a comment, another field or a blank.

    The one space that may follow the colon is left where it is: no JSON minds it.
    """
    return line[5:] if line[:5] == b"data:" else None
