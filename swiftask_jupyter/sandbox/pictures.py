"""Implement the agents `image` and `image-markdown`, which reply with a small PNG image.

`zlib` compresses the PNG, so no imaging library is needed.
"""

import struct
import zlib
from typing import Any

from .agents import File

SIDE = 48
"""Width and height of the image in pixels."""


def image_file(messages: list[dict[str, Any]]) -> list[File]:
    """Return a list that contains one PNG file, for the agent `image`.

    The text of the user's messages determines the colour of the image.
    """
    return [File(_image(messages), "image/png", "picture.png")]


def image_in_text(messages: list[dict[str, Any]]) -> list[str | File]:
    """Return a sentence and a PNG file for the agent `image-markdown`.

    The sandbox inserts a Markdown image with the file's URL after the sentence. Some image agents
    of the real service reply in this form.
    """
    file = File(_image(messages), "image/png", "picture.png", in_text=True)
    return ["Here is your image:\n\n", file]


def encode_png(width: int, height: int, rows: bytes) -> bytes:
    """Encode 8-bit RGB pixels as a PNG file.

    Args:
        width: the width in pixels.
        height: the height in pixels.
        rows: the pixel rows from top to bottom. Each row is one filter byte, followed by three
            bytes per pixel. The filter byte 0 means no filter.
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
