"""Parse the URL of a request, and find out whether a proxy may be configured."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

from swiftask_jupyter.errors import ConnectionFailed
from swiftask_jupyter.support.structs import Struct

DEFAULT_PORTS = {"http": 80, "https": 443}


class Address(Struct, frozen=True):
    """The parts of a request's URL.

    Attributes:
        secure: whether the connection uses TLS.
        host: the host's name or IP address, without brackets.
        port: the port number; the scheme's default if the URL names none.
        netloc: host and port as the URL spells them, without user name and password. For errors
            and the `Host` header.
        target: path and query; may hold a token.
        simple: whether our own HTTP/1.1 can send a request there: the scheme is http(s), the host
            is ASCII, and there is no user name. Everything else is left to httpx.
    """

    secure: bool
    host: str
    port: int
    netloc: str
    target: str
    simple: bool


def parse_url(url: str) -> Address:
    """Split an absolute URL into its parts.

    Raises:
        ConnectionFailed: the URL is malformed, as one that a service returns may be.
    """
    try:
        parts = urlsplit(url)
        port = parts.port  # raises ValueError if it is no port number
    except ValueError as error:
        raise ConnectionFailed(f"{url[:80]!r} is no address ({error})", sent=False) from None
    host = parts.hostname or ""
    user_info, _, netloc = parts.netloc.rpartition("@")
    return Address(
        secure=parts.scheme != "http",
        host=host,
        port=port or DEFAULT_PORTS.get(parts.scheme, 0),
        netloc=netloc,
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        simple=parts.scheme in DEFAULT_PORTS
        and bool(host)
        and host.isascii()
        and not user_info
        and port != 0,
    )


def proxy_variables() -> tuple[tuple[str, str], ...]:
    """Return the names and values of the proxy variables in the environment.

    They are read for each request, because a notebook may set them at any time.
    """
    return tuple(
        (name, value)
        for name, value in os.environ.items()
        if value and name.lower().endswith("_proxy")
    )


def may_use_proxy() -> bool:
    """Tell whether the environment or the operating system names any proxy.

    Which hosts the proxy is for, exceptions included, is left to httpx: if the answer here is
    yes without need, the request only takes a little longer.
    """
    if any(name.lower() != "no_proxy" for name, _ in proxy_variables()):
        return True
    if sys.platform in {"darwin", "win32"}:  # these have system settings for proxies
        from urllib.request import getproxies

        return bool(getproxies())
    return False
