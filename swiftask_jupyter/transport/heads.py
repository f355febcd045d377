"""The heads of HTTP/1.1: a status or a request, and headers."""

from __future__ import annotations

import re

from swiftask_jupyter.protocols import Head

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
