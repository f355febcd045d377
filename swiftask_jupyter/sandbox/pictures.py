"""The agents `image` and `image-markdown`: a small PNG, encoded with nothing but zlib."""

import struct
import zlib
from typing import Any

from .agents import File

SIDE = 48
"""Width and height of the image in pixels."""


def image_file(messages: list[dict[str, Any]]) -> list[File]:
    """Return an image as a file with no text; its colour depends on the user's messages."""
    return [File(_image(messages), "image/png", "picture.png")]


def image_in_text(messages: list[dict[str, Any]]) -> list[str | File]:
    """Return a text that links the image; some image agents of the service list no files."""
    file = File(_image(messages), "image/png", "picture.png", in_text=True)
    return ["Here is your image:\n\n", file]


def encode_png(width: int, height: int, rows: bytes) -> bytes:
    """Return a PNG file of 8-bit RGB pixels.

    Args:
        width: pixels of a row.
        height: the number of rows.
        rows: for each row one filter byte (0: none), then three bytes per pixel.
    """
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def _image(messages: list[dict[str, Any]]) -> bytes:
    text = "".join(each["content"] for each in messages if each["role"] == "user")
    red, green, blue, _ = struct.pack(">I", zlib.crc32(text.encode(errors="replace")))
    rows = bytearray()
    for y in range(SIDE):
        rows.append(0)  # no filter
        for x in range(SIDE):
            rows += bytes(((red + 3 * x) % 256, (green + 3 * y) % 256, blue))
    return encode_png(SIDE, SIDE, bytes(rows))
