"""The agents `image` and `image-markdown`: a real small PNG, made with nothing but zlib."""

import struct
import zlib
from typing import Any

from .agents import File

SIDE = 48


def picture(messages: list[dict[str, Any]]) -> list[File]:
    """A picture beside an empty text; its colour follows from what was said."""
    return [File(_painted(messages), "image/png", "picture.png")]


def picture_in_text(messages: list[dict[str, Any]]) -> list[str | File]:
    """As some of the service's image agents do: a link in the text, and no files."""
    made = File(_painted(messages), "image/png", "picture.png", in_text=True)
    return ["Here is your image:\n\n", made]


def png(width: int, height: int, rows: bytes) -> bytes:
    """An image of 8-bit RGB rows, each after its filter byte, as a PNG file."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def _painted(messages: list[dict[str, Any]]) -> bytes:
    said = "".join(each["content"] for each in messages if each["role"] == "user")
    red, green, blue, _ = struct.pack(">I", zlib.crc32(said.encode(errors="replace")))
    rows = bytearray()
    for y in range(SIDE):
        rows.append(0)  # no filter
        for x in range(SIDE):
            rows += bytes(((red + 3 * x) % 256, (green + 3 * y) % 256, blue))
    return png(SIDE, SIDE, bytes(rows))
