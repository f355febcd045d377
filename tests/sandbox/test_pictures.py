"""The agents `image` and `image-markdown`."""

import struct
import zlib

import httpx

from swiftask_jupyter.sandbox.pictures import encode_png, image_file
from tests.support.sandbox_requests import ask_native


def test_the_image_agent_returns_a_file_that_is_a_valid_png(account):
    response = ask_native(account, "image", input="a red cat").json()
    (file,) = response["files"]
    served = httpx.get(file["url"], trust_env=False)

    assert response["text"] == ""
    assert served.headers["content-type"] == file["type"] == "image/png"
    assert len(served.content) == file["size"]
    assert served.content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", served.content[16:24])
    rows = zlib.decompress(served.content[served.content.index(b"IDAT") + 4 : -16])
    assert len(rows) == height * (1 + 3 * width)


def test_the_image_markdown_agent_links_the_image_in_its_text(account):
    response = ask_native(account, "image-markdown").json()
    url = response["text"].partition("](")[2].rstrip(")")

    assert response["files"] == []
    assert httpx.get(url, trust_env=False).content.startswith(b"\x89PNG")


def test_the_same_message_gives_the_same_image_and_another_gives_another():
    cat, dog = ([{"role": "user", "content": each}] for each in ("a cat", "a dog"))

    assert image_file(cat) == image_file(cat)
    assert image_file(cat)[0].content != image_file(dog)[0].content


def test_every_chunk_of_a_png_has_its_checksum():
    png = encode_png(1, 1, b"\0\xff\0\0")

    at, kinds = 8, []
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        content = png[at + 4 : at + 8 + size]
        kinds.append(content[:4])
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size]) == (zlib.crc32(content),)
        at += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
