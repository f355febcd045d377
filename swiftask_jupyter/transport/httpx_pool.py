"""httpx's own: how it is imported, what it logs, and what its errors mean here.

The way through httpx: proxies, bodies sent bit by bit, and addresses out of the ordinary.

A client belongs to the loop it was first used on.
"""

from __future__ import annotations

import functools
import logging
import ssl
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import ConfigurationError, SwiftaskError
from swiftask_jupyter.protocols.base import Request
from swiftask_jupyter.protocols.errors import Head
from swiftask_jupyter.settings.addresses import is_loopback
from swiftask_jupyter.transport.addresses import Address, named
from swiftask_jupyter.transport.errors import (
    CONNECT_SECONDS,
    READ_SECONDS,
    cut_short,
    not_accepted,
    out_of_reach,
    silent,
    words_of,
)
from swiftask_jupyter.transport.exchange import LARGE, RequestHook, Response, in_pieces
from swiftask_jupyter.transport.http1 import AGENT

if TYPE_CHECKING:
    import httpx

_IMPORTING = threading.Lock()
_OURS: ContextVar[bool] = ContextVar("ours", default=False)
# httpx logs every URL; httpcore the headers of responses, where a redirect repeats the URL.
LOGGERS = (
    "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy",
    "httpcore.socks",
)  # fmt: skip


def import_httpx() -> Any:
    """Import httpx, but not its command line: where click is installed, that is a third of it.

    httpx does without it by itself where an import fails, and a `None` makes it fail. Several
    clients of one process may come here at once, each on a thread of its own.
    """
    if "httpx" not in sys.modules:
        with _IMPORTING:
            if "httpx" not in sys.modules:
                _import_without_command_line()
    import httpx  # waits where another thread is still at it

    return httpx


def _import_without_command_line() -> None:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # Python's way to say so
    try:
        import httpx  # noqa: F401 - for what it does
    finally:
        sys.modules.pop("httpx._main", None)


def keep_out_of_logs() -> None:
    """Have httpx log nothing of what the running task sends: some of its URLs are secrets.

    What others send through httpx is logged as ever.
    """
    _OURS.set(True)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_is_not_ours)


def _is_not_ours(_: logging.LogRecord) -> bool:
    return not _OURS.get()


def time_limits(patience: float) -> Any:
    """Return how long each step may take; a connection is there soon or not at all."""
    return import_httpx().Timeout(patience, connect=min(patience, CONNECT_SECONDS), pool=None)


class Progress:
    """Whether an answer has begun to come."""

    began = False


@contextmanager
def httpx_errors(host: str, patience: float) -> Iterator[Progress]:
    """Turn httpx's errors into ours, at the one place where they can arise."""
    import httpx

    foreign = (
        httpx.HTTPError,
        httpx.InvalidURL,
        httpx.StreamError,
        httpx.CookieConflict,
        UnicodeError,
    )
    progress = Progress()
    try:
        yield progress
    except foreign as error:
        raise _ours(error, host, patience, began=progress.began) from None
    except (
        ExceptionGroup
    ) as group:  # anyio's, of what connecting raises: a proxy's port may be none
        raise out_of_reach(host, words_of(group.exceptions[0]), sent=False) from None


def _ours(error: Exception, host: str, patience: float, *, began: bool) -> SwiftaskError:
    import httpx

    before_sending = (
        httpx.ConnectError,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
        UnicodeError,
    )
    if isinstance(error, httpx.ConnectTimeout):
        return not_accepted(host, patience)
    if isinstance(error, httpx.TimeoutException):
        return silent(host, patience)
    if began and isinstance(error, httpx.TransportError):
        return cut_short(words_of(error))
    return out_of_reach(host, words_of(error), sent=not isinstance(error, before_sending))


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


class HttpxPool:
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
        gate: RequestHook,
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
        with httpx_errors(address.shown, patience) as progress, lane as client:
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
