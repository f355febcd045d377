"""Exchanges through httpx: proxies, large uploads, and hosts that our own HTTP/1.1 leaves out.

Everything that concerns httpx is in this file: its import, its logging, its errors and its
clients. A client belongs to the event loop that first used it.
"""

from __future__ import annotations

import functools
import logging
import os
import ssl
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import ConfigurationError, SwiftaskError
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.connection import is_loopback
from swiftask_jupyter.transport.connection import RequestHook, Response
from swiftask_jupyter.transport.errors import (
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    connect_timed_out,
    describe,
    read_timed_out,
    truncated,
    unreachable,
)
from swiftask_jupyter.transport.http1 import USER_AGENT, Address

if TYPE_CHECKING:
    import httpx

LARGE_BODY_BYTES = 1024 * 1024  # a request body from this size on is uploaded with progress
UPLOAD_CHUNK_BYTES = 256 * 1024
BAR_WIDTH = 20  # characters
MAX_CLIENTS = 32  # for each kind of address; more requests share them
MAX_IDLE_CONNECTIONS = 8  # for each client
# httpx logs every URL; httpcore logs response headers, where a redirect repeats the URL.
LOGGERS = (
    "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy",
    "httpcore.socks",
)  # fmt: skip

_ClientKind = tuple[bool, bool, tuple[tuple[str, str], ...]]  # TLS, no proxy, proxy variables
_import_lock = threading.Lock()
_logging_muted: ContextVar[bool] = ContextVar("logging_muted", default=False)


class _PooledClient:
    """An httpx client, with the number of requests that are using it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.active_requests = 0

    def __enter__(self) -> httpx.AsyncClient:
        self.active_requests += 1
        return self.client

    def __exit__(self, *_: object) -> None:
        self.active_requests -= 1


class HttpxPool:
    """httpx clients, one for each concurrent request.

    httpx scans all connections of a client for each request, so the cost of a thousand
    concurrent requests on one client grows with their square. Therefore each request gets an
    idle client, up to `MAX_CLIENTS`; beyond that, the one with the fewest requests.

    Args:
        tls: returns the TLS context, which is created on first use.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._clients: dict[_ClientKind, list[_PooledClient]] = {}

    @asynccontextmanager
    async def exchange(
        self,
        request: Request,
        address: Address,
        read_timeout: float,
        hook: RequestHook,
        on_progress: Callable[[str], None],
    ) -> AsyncGenerator[Response, None]:
        """Send a request and yield its response.

        Leaving the context before the body's end closes the connection, which cancels the
        request at the service.

        Args:
            request: the request; a large body is uploaded in chunks.
            address: the parts of its URL.
            read_timeout: seconds that the service may be silent.
            hook: called before the request is sent, and with the response's head.
            on_progress: receives an upload's progress as text for the user.

        Raises:
            ConfigurationError: a proxy setting is unusable.
            ConnectionFailed: no response came.
            StreamError: the response broke off.
        """
        content = request.content
        body = content if len(content) < LARGE_BODY_BYTES else upload(request, on_progress)
        headers = dict(request.headers)
        if content:  # httpx would ask for compression, which can delay a stream
            headers |= {"Accept-Encoding": "identity", "Content-Length": str(len(content))}
        pooled = self.client_for(address)
        mute_logging()
        with httpx_errors(address.netloc, read_timeout) as state, pooled as client:
            hook.before_send()
            async with client.stream(
                request.method,
                request.url,
                headers=headers,
                content=body,
                timeout=_timeouts(read_timeout),
            ) as response:
                head = ResponseHead(response.status_code, response.headers)
                hook.on_response(head)
                state.began = head.status < 300
                yield Response(head, functools.partial(anext, response.aiter_bytes(), b""))

    def client_for(self, address: Address) -> _PooledClient:
        """Return the least used client for an address; create one if all are in use.

        Raises:
            ConfigurationError: a proxy setting or a certificate file is unusable.
        """
        # Requests to this machine never go through a proxy.
        kind = address.secure, is_loopback(address.host), proxy_variables()
        clients = self._clients.setdefault(kind, [])
        least_used = min(clients, key=lambda each: each.active_requests, default=None)
        if least_used is None or (least_used.active_requests and len(clients) < MAX_CLIENTS):
            least_used = self._new_client(secure=kind[0], direct=kind[1])
            clients.append(least_used)
        return least_used

    def _new_client(self, *, secure: bool, direct: bool) -> _PooledClient:
        """Create a client, and report an unusable setting.

        Raises:
            ConfigurationError: a proxy setting or a certificate file is unusable.
        """
        invalid_url = import_httpx().InvalidURL
        try:
            return _PooledClient(self._client(secure=secure, direct=direct))
        # An invalid proxy URL, a missing SOCKS package, an unreadable certificate file.
        except (invalid_url, ImportError, ValueError, OSError) as error:
            # httpx takes a part of a proxy's password for its port, and quotes it.
            reason = "a proxy's URL is invalid" if isinstance(error, invalid_url) else error
            raise ConfigurationError(
                f"the HTTP client can't be made ({reason})",
                advice="check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE",
            ) from None

    def _client(self, *, secure: bool, direct: bool) -> httpx.AsyncClient:
        """Create the httpx client: no redirects, no cookies, and no proxy if `direct`."""
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        library = import_httpx()
        client: httpx.AsyncClient = library.AsyncClient(
            # Plain http gets an empty context, because loading the certificates takes time.
            verify=self._tls() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=_timeouts(READ_TIMEOUT),
            limits=library.Limits(
                max_connections=None, max_keepalive_connections=MAX_IDLE_CONNECTIONS
            ),
            follow_redirects=False,  # a token must not follow to another host
            trust_env=not direct,
            # A cookie would link the requests of one token to those of another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"User-Agent": USER_AGENT},
        )
        return client

    async def aclose(self) -> None:
        """Close every client and its connections."""
        clients, self._clients = self._clients, {}
        for pooled in chain(*clients.values()):
            await pooled.client.aclose()


async def upload(request: Request, on_progress: Callable[[str], None]) -> AsyncIterator[bytes]:
    """Yield a request's body in chunks, and report the progress before each.

    Args:
        request: the request; its `label` names the body in the progress text.
        on_progress: receives the progress as text for the user; an empty text at the end.
    """
    content = request.content
    for sent in range(0, len(content), UPLOAD_CHUNK_BYTES):
        on_progress(f"sending {request.label or 'a file'} {progress_bar(sent, len(content))}")
        yield content[sent : sent + UPLOAD_CHUNK_BYTES]
    on_progress("")


def progress_bar(sent: int, total: int) -> str:
    """Return a progress bar with the megabytes in words; `sent` and `total` are in bytes."""
    filled = BAR_WIDTH * sent // total
    bar = "█" * filled + "░" * (BAR_WIDTH - filled)
    return f"{bar} {sent >> 20} of {total >> 20} MB"


class ExchangeState:
    """How far an exchange has come, which decides between the errors for a failure.

    Attributes:
        began: whether a successful response has begun.
    """

    began = False


@contextmanager
def httpx_errors(host: str, read_timeout: float) -> Iterator[ExchangeState]:
    """Convert httpx's exceptions, raised inside the context, into the package's errors.

    Args:
        host: the host and port, as errors name them.
        read_timeout: the request's timeout in seconds, as errors name it.

    Yields:
        The state, which the caller updates when a response begins.
    """
    import httpx

    httpx_exceptions = (
        httpx.HTTPError,
        httpx.InvalidURL,
        httpx.StreamError,
        httpx.CookieConflict,
        UnicodeError,
    )
    state = ExchangeState()
    try:
        yield state
    except httpx_exceptions as error:
        raise _convert(error, host, read_timeout, began=state.began) from None
    except ExceptionGroup as group:  # from anyio, while connecting: such as a proxy's invalid port
        raise unreachable(host, describe(group.exceptions[0]), sent=False) from None


def _convert(error: Exception, host: str, read_timeout: float, *, began: bool) -> SwiftaskError:
    """Return the package's error for an exception of httpx."""
    import httpx

    raised_before_sending = (
        httpx.ConnectError,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
        UnicodeError,
    )
    if isinstance(error, httpx.ConnectTimeout):
        return connect_timed_out(host, read_timeout)
    if isinstance(error, httpx.TimeoutException):
        return read_timed_out(host, read_timeout)
    if began and isinstance(error, httpx.TransportError):
        return truncated(describe(error))
    return unreachable(host, describe(error), sent=not isinstance(error, raised_before_sending))


def _timeouts(read_timeout: float) -> Any:
    """Return httpx's timeouts; connecting gets at most `CONNECT_TIMEOUT` seconds."""
    return import_httpx().Timeout(
        read_timeout, connect=min(read_timeout, CONNECT_TIMEOUT), pool=None
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


def import_httpx() -> Any:
    """Import httpx without its command line, which takes a third of the time if click is installed.

    httpx skips its command line if that import fails, and a `None` in `sys.modules` makes it
    fail. The lock is for several clients in one process, each on a thread of its own.
    """
    if "httpx" not in sys.modules:
        with _import_lock:
            if "httpx" not in sys.modules:
                _import_without_command_line()
    import httpx  # waits if another thread is still importing it

    return httpx


def _import_without_command_line() -> None:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # Python's way to block an import
    try:
        import httpx  # noqa: F401 - for its side effect
    finally:
        sys.modules.pop("httpx._main", None)


def mute_logging() -> None:
    """Stop httpx from logging the running task's requests, whose URLs may hold a token.

    Requests that other code sends through httpx are still logged.
    """
    _logging_muted.set(True)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_is_logged)  # adding it again has no effect


def _is_logged(_: logging.LogRecord) -> bool:
    return not _logging_muted.get()
