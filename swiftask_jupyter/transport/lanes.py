"""The way through httpx: proxies, bodies sent bit by bit, and addresses out of the ordinary.

A client belongs to the loop it was first used on.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.protocols import Head, Request
from swiftask_jupyter.settings.addresses import is_loopback
from swiftask_jupyter.transport.addresses import Address
from swiftask_jupyter.transport.failures import READ_SECONDS
from swiftask_jupyter.transport.foreign import (
    foreign_errors,
    import_httpx,
    keep_out_of_logs,
    time_limits,
)
from swiftask_jupyter.transport.gates import Gate
from swiftask_jupyter.transport.http1 import AGENT
from swiftask_jupyter.transport.pieces import LARGE, in_pieces
from swiftask_jupyter.transport.proxies import named
from swiftask_jupyter.transport.responses import Response

if TYPE_CHECKING:
    import httpx

MOST = 32
KEPT = 8  # connections that a lane keeps open

_Kind = tuple[bool, bool, tuple[tuple[str, str], ...]]  # secure, direct, what names a proxy


class _Lane:
    """A client of its own, and how many requests it carries."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.busy = 0

    def __enter__(self) -> httpx.AsyncClient:
        self.busy += 1
        return self.client

    def __exit__(self, *_: object) -> None:
        self.busy -= 1


class Lanes:
    """httpx's clients.

    httpx looks through all of a client's connections at each request: a thousand at once cost a
    thousand times a thousand. So each request under way has a client to itself, up to a few
    dozen; beyond that, the least busy is taken.

    Args:
        tls: makes the context that says whom to trust; one for all.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._lanes: dict[_Kind, list[_Lane]] = {}

    @asynccontextmanager
    async def exchange(
        self,
        request: Request,
        address: Address,
        patience: float,
        gate: Gate,
        note: Callable[[str], None],
    ) -> AsyncGenerator[Response, None]:
        """Carry a request and yield its response; whoever leaves early closes the connection."""
        content = request.content
        body = content if len(content) < LARGE else in_pieces(request, note)
        headers = dict(request.headers)
        if content:  # httpx would ask for it packed, and it might wait till whole
            headers |= {"Accept-Encoding": "identity", "Content-Length": str(len(content))}
        lane = self.lane(address)
        keep_out_of_logs()
        with foreign_errors(address.shown, patience) as progress, lane as client:
            gate.leaving()
            async with client.stream(
                request.method,
                request.url,
                headers=headers,
                content=body,
                timeout=time_limits(patience),
            ) as response:
                head = Head(response.status_code, response.headers)
                gate.heard(head)
                progress.began = head.status < 300
                yield Response(head, functools.partial(anext, response.aiter_bytes(), b""))

    def lane(self, address: Address) -> _Lane:
        """Return the lane for a request to such an address.

        Raises:
            ConfigurationError: a setting of the proxy is unusable.
        """
        # Loopback is never asked through a proxy.
        kind = address.secure, is_loopback(address.host), named()
        lanes = self._lanes.setdefault(kind, [])
        quietest = min(lanes, key=lambda lane: lane.busy, default=None)
        if quietest is None or (quietest.busy and len(lanes) < MOST):
            no_address = import_httpx().InvalidURL
            try:
                quietest = _Lane(self._client(secure=kind[0], direct=kind[1]))
            # A proxy's URL, what it would need, a certificate file.
            except (no_address, ImportError, ValueError, OSError) as wrong:
                # httpx takes a part of a password for the port, and would repeat it.
                why = "a proxy's URL is none" if isinstance(wrong, no_address) else wrong
                raise ConfigurationError(
                    f"the HTTP client can't be made ({why})",
                    advice="check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE",
                ) from None
            lanes.append(quietest)
        return quietest

    def _client(self, *, secure: bool, direct: bool) -> httpx.AsyncClient:
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        library = import_httpx()
        client: httpx.AsyncClient = library.AsyncClient(
            # For plain http an empty context, which trusts nobody and costs nothing to make.
            verify=self._tls() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=time_limits(READ_SECONDS),
            limits=library.Limits(max_connections=None, max_keepalive_connections=KEPT),
            follow_redirects=False,  # a token does not travel to another address
            trust_env=not direct,
            # A cookie would tie one token's questions to another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"User-Agent": AGENT},
        )
        return client

    async def aclose(self) -> None:
        """Close every connection."""
        lanes, self._lanes = self._lanes, {}
        for lane in chain(*lanes.values()):
            await lane.client.aclose()
