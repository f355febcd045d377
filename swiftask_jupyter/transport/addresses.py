"""Where a request goes.

Whether a proxy may stand in between.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

from swiftask_jupyter.errors import ConnectionFailed
from swiftask_jupyter.support.structs import Struct

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


def named() -> tuple[tuple[str, str], ...]:
    """Return what the environment says of proxies now: a notebook may set them at any time."""
    return tuple(
        (name, value)
        for name, value in os.environ.items()
        if value and name.lower().endswith("_proxy")
    )


def may_be_proxied() -> bool:
    """Tell whether the environment, or the system, names any proxy.

    For which hosts it counts is httpx's to read, exceptions included: here a wrong yes costs a
    little time, and nothing else.
    """
    if any(name.lower() != "no_proxy" for name, _ in named()):
        return True
    if sys.platform in {"darwin", "win32"}:  # which have settings of their own
        from urllib.request import getproxies

        return bool(getproxies())
    return False
