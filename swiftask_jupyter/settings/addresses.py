"""Base URLs: normalize what a user writes, and tell for which host a token is valid."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from swiftask_jupyter.errors import ConfigurationError


def is_loopback(host: str) -> bool:
    """Tell whether the host name or IP address is this machine's loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_base_url(url: str) -> str:
    """Return the root of a user's base URL, to which `/v1`, `/api` and so on are appended.

    A URL that already ends in one of those paths, as the API documents print it, is accepted:
    `https://api.swiftask.fr/v1/` gives `https://api.swiftask.fr`.

    Raises:
        ConfigurationError: the URL is not a plain http or https address. The message does not
            repeat it, because it may hold a password.
    """
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password or any(mark in url for mark in "?#"):
        raise ConfigurationError(
            "the base URL is not a plain http(s) address",
            advice="write it like https://graphql.swiftask.ai",
        )
    for suffix in ("/v1/chat/completions", "/v1/api", "/api", "/v1"):
        if parts.path.endswith(suffix):
            return url.removesuffix(suffix).rstrip("/")
    return url


def token_host(root: str) -> str:
    """Return the host for which a token is valid, as a key for stored tokens.

    The scheme and port are included unless the host is loopback or is reached by https on port 443:
    a token for `https://host` must not travel unencrypted to `http://host`.
    """
    parts = urlsplit(root)
    host = parts.hostname or ""
    if is_loopback(host) or (parts.scheme == "https" and parts.port in {None, 443}):
        return host
    return f"{parts.scheme}://{parts.netloc}"
