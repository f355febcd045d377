"""Where a request goes."""

from __future__ import annotations

from urllib.parse import urlsplit

from swiftask_jupyter.errors import ConnectionFailed
from swiftask_jupyter.values import Struct

PORTS = {"http": 80, "https": 443}


class Address(Struct, frozen=True):
    """A URL, taken apart.

    Attributes:
        secure: whether it is asked over TLS.
        host: its name or number, without brackets.
        port: its number, whether written or not.
        shown: host and port as they are written, without a name or password before them.
        target: path and query; they may hold a token.
        plain: whether it is all ordinary; httpx knows of all that is not.
    """

    secure: bool
    host: str
    port: int
    shown: str
    target: str
    plain: bool


def address_of(url: str) -> Address:
    """Return where a URL leads; some come from a service.

    Raises:
        ConnectionFailed: nowhere.
    """
    try:
        parts = urlsplit(url)
        port = parts.port  # looks whether it is one
    except ValueError as error:
        raise ConnectionFailed(f"{url[:80]!r} is no address ({error})", sent=False) from None
    host = parts.hostname or ""
    before, _, shown = parts.netloc.rpartition("@")
    return Address(
        parts.scheme != "http",
        host,
        port or PORTS.get(parts.scheme, 0),
        shown,
        (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        parts.scheme in PORTS and bool(host) and host.isascii() and not before and port != 0,
    )
