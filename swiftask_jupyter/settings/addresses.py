"""Addresses: what a user's URL means, and whom a token for it is for."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from swiftask_jupyter.errors import ConfigurationError


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def base_root(url: str) -> str:
    """Return the root that a user's base URL means.

    A path that ends in `/api` or `/v1`, as the documents print it, is understood.

    Raises:
        ConfigurationError: it is not an http or https address.
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


def service_of(root: str) -> str:
    """Return whom a token is for: the host; with how it is reached, where that is unusual."""
    parts = urlsplit(root)
    host = parts.hostname or ""
    if is_loopback(host) or (parts.scheme == "https" and parts.port in {None, 443}):
        return host
    return f"{parts.scheme}://{parts.netloc}"
