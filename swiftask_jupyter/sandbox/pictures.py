"""Implement the agents `image` and `image-markdown`, which reply with a small PNG image.

The PNG is encoded with `zlib`, so no imaging library is needed.
"""

import struct
import zlib
from typing import Any

from .agents import File

SIDE = 48
"""Width and height of the image in pixels."""


def image_file(messages: list[dict[str, Any]]) -> list[File]:
    """Return a PNG image as a file, without any text.

    The colour of the image depends on the text of the user's messages.
    """
    return [File(_image(messages), "image/png", "picture.png")]


def image_in_text(messages: list[dict[str, Any]]) -> list[str | File]:
    """Return a text followed by a PNG image that the sandbox links in the text as Markdown.

    Some image agents of the real service also link the image and list no files.
    """
    file = File(_image(messages), "image/png", "picture.png", in_text=True)
    return ["Here is your image:\n\n", file]


def encode_png(width: int, height: int, rows: bytes) -> bytes:
    """Encode 8-bit RGB pixels as a PNG file.

    Args:
        width: the width in pixels.
        height: the height in pixels.
        rows: the pixel rows from top to bottom; each row is a filter byte (0 for no filter),
            followed by three bytes per pixel.
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
