"""Sends requests by httpx: through proxies, with large bodies, and to unusual URLs.

This package's own HTTP/1.1 client sends all other requests. This module contains everything that
concerns httpx: importing it, muting its logging, converting its exceptions and creating its
clients. An httpx client can be used only on the event loop on which it was first used.
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
from swiftask_jupyter.transport.connection import RequestHook, Response, decompress
from swiftask_jupyter.transport.errors import (
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    connect_timed_out,
    describe,
    read_timed_out,
    truncated,
    unreachable,
)
from swiftask_jupyter.transport.http1 import USER_AGENT, URLParts

if TYPE_CHECKING:
    import httpx

# A request body of at least this size is sent by httpx, in chunks, and its progress is reported.
LARGE_BODY_BYTES = 1024 * 1024
UPLOAD_CHUNK_BYTES = 256 * 1024
BAR_WIDTH = 20  # characters
MAX_CLIENTS = 32  # for each `_ClientKind`; additional requests share these clients
MAX_IDLE_CONNECTIONS = 8  # for each client
# These loggers can log a URL, which may contain a token: httpx logs each URL, and httpcore logs
# response headers, in which a redirect repeats the URL.
LOGGERS = (
    "httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy",
    "httpcore.socks",
)  # fmt: skip

_ClientKind = tuple[bool, bool, tuple[tuple[str, str], ...]]  # TLS, no proxy, proxy variables
_import_lock = threading.Lock()
_logging_muted: ContextVar[bool] = ContextVar("logging_muted", default=False)


class _PooledClient:
    """An httpx client and the number of requests that are using it now.

    Each request uses the client in a `with` statement, which counts the request.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.active_requests = 0

    def __enter__(self) -> httpx.AsyncClient:
        self.active_requests += 1
        return self.client

    def __exit__(self, *_: object) -> None:
        self.active_requests -= 1


class HttpxPool:
    """A pool of httpx clients; each request uses one client.

    A single client would be slow, because httpx searches all connections of a client for each
    request. Therefore each request gets an idle client or a new client. When there are
    `MAX_CLIENTS` clients and none is idle, a request gets the client with the fewest requests.

    Args:
        tls: returns the TLS context; called when a client for https is created.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._clients: dict[_ClientKind, list[_PooledClient]] = {}

    @asynccontextmanager
    async def exchange(
        self,
        request: Request,
        address: URLParts,
        read_timeout: float,
        hook: RequestHook,
        on_progress: Callable[[str], None],
    ) -> AsyncGenerator[Response, None]:
        """Send a request; provide the response in an `async with` statement.

        If the statement ends before the whole body was read, the connection is closed, so that the
        service can stop working on the request.

        Args:
            request: the request; a large body is sent in chunks.
            address: the parts of the request's URL.
            read_timeout: the maximum number of seconds without data from the service.
            hook: called before the request is sent, and with the head of the response.
            on_progress: called with the progress of an upload, as text for the user.

        Raises:
            RequestHeld: the hook prevented the request.
            ConfigurationError: a proxy setting or a certificate file is unusable.
            ConnectionFailed: no response arrived.
            StreamError: the response was cut short.
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
                # httpx would decompress only the first member of a gzip body.
                read = functools.partial(anext, response.aiter_raw(), b"")
                yield Response(head, decompress(head, read))

    def client_for(self, address: URLParts) -> _PooledClient:
        """Return the client to use for the next request to an address.

        An idle client is preferred. If no client is idle, a new client is created. If no client is
        idle and there are already `MAX_CLIENTS` clients, the client with the fewest requests is
        returned.

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
        """Create a client; raise `ConfigurationError` if the settings are unusable.

        Args:
            secure: whether the client is for https.
            direct: whether the client must not use a proxy.

        Raises:
            ConfigurationError: a proxy setting or a certificate file is unusable.
        """
        invalid_url = import_httpx().InvalidURL
        try:
            return _PooledClient(self._client(secure=secure, direct=direct))
        # The causes: an invalid proxy URL, a missing SOCKS package, an unreadable certificate file.
        except (invalid_url, ImportError, ValueError, OSError) as error:
            # httpx may take a part of the proxy's password for a port, and quote it in the message.
            reason = "a proxy's URL is invalid" if isinstance(error, invalid_url) else error
            raise ConfigurationError(
                f"the HTTP client can't be made ({reason})",
                advice="check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE",
            ) from None

    def _client(self, *, secure: bool, direct: bool) -> httpx.AsyncClient:
        """Create an httpx client that follows no redirects and keeps no cookies.

        Args:
            secure: whether the client is for https. If so, the certificates are loaded.
            direct: whether to ignore proxies and other settings in the environment.
        """
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        library = import_httpx()
        client: httpx.AsyncClient = library.AsyncClient(
            # Plain http gets an empty context, because loading the certificates takes time.
            verify=self._tls() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=_timeouts(READ_TIMEOUT),
            limits=library.Limits(
                max_connections=None, max_keepalive_connections=MAX_IDLE_CONNECTIONS
            ),
            follow_redirects=False,  # a redirect could send the token to another host
            trust_env=not direct,
            # A cookie would allow the service to link requests with different tokens.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"User-Agent": USER_AGENT},
        )
        return client

    async def aclose(self) -> None:
        """Close all clients and their connections."""
        clients, self._clients = self._clients, {}
        for pooled in chain(*clients.values()):
            await pooled.client.aclose()


async def upload(request: Request, on_progress: Callable[[str], None]) -> AsyncIterator[bytes]:
    """Yield the body of a request in chunks, and report the progress before each chunk.

    Args:
        request: the request; its `label` is the name of the body in the progress text.
        on_progress: called with a progress text for the user, and at the end with an empty text.
    """
    content = request.content
    for sent in range(0, len(content), UPLOAD_CHUNK_BYTES):
        on_progress(f"sending {request.label or 'a file'} {progress_bar(sent, len(content))}")
        yield content[sent : sent + UPLOAD_CHUNK_BYTES]
    on_progress("")


def progress_bar(sent: int, total: int) -> str:
    """Return a text with a progress bar and the megabytes sent, such as `█░ 1 of 2 MB`.

    Args:
        sent: how many bytes were sent.
        total: how many bytes there are; not 0.
    """
    filled = BAR_WIDTH * sent // total
    bar = "█" * filled + "░" * (BAR_WIDTH - filled)
    return f"{bar} {sent >> 20} of {total >> 20} MB"


class ExchangeState:
    """The progress of one request; `httpx_errors` needs it to choose the right exception.

    Attributes:
        began: whether the head of a response with a status below 300 has arrived.
    """

    began = False


@contextmanager
def httpx_errors(host: str, read_timeout: float) -> Iterator[ExchangeState]:
    """Convert exceptions of httpx inside a `with` statement to exceptions of this package.

    Args:
        host: the host and port to show in error messages.
        read_timeout: the timeout of the request in seconds, to show in error messages.

    Yields:
        The state of the request; the caller sets `began` when a successful response begins.
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
    except ExceptionGroup as group:  # from anyio, while connecting
        raise unreachable(host, describe(group.exceptions[0]), sent=False) from None


def _convert(error: Exception, host: str, read_timeout: float, *, began: bool) -> SwiftaskError:
    """Return the exception of this package that corresponds to an exception of httpx.

    Args:
        error: the exception of httpx.
        host: the host and port to show in the message.
        read_timeout: the timeout of the request in seconds, to show in the message.
        began: whether the head of a response with a status below 300 had arrived.
    """
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
    # A proxy that asks for a password, or that forbids the host, will do so again.
    refused = isinstance(error, httpx.ProxyError) and str(error).startswith("4")
    sent = not isinstance(error, raised_before_sending)
    return unreachable(host, error, sent=sent, permanent=refused)


def _timeouts(read_timeout: float) -> Any:
    """Return an `httpx.Timeout` of `read_timeout` seconds.

    The timeout for opening a connection is at most `CONNECT_TIMEOUT` seconds.
    """
    return import_httpx().Timeout(
        read_timeout, connect=min(read_timeout, CONNECT_TIMEOUT), pool=None
    )


def proxy_variables() -> tuple[tuple[str, str], ...]:
    """Return the names and values of the environment variables that set proxies.

    The result contains each non-empty variable whose name ends in `_proxy`, including `no_proxy`.
    The variables are read for each request, because a notebook may change them at any time.
    """
    return tuple(
        (name, value)
        for name, value in os.environ.items()
        if value and name.lower().endswith("_proxy")
    )


def may_use_proxy() -> bool:
    """Return whether a proxy is configured in the environment or the operating system.

    If so, httpx sends every request whose host is not this machine. httpx then decides for each
    host whether to use the proxy.
    """
    if any(name.lower() != "no_proxy" for name, _ in proxy_variables()):
        return True
    if sys.platform in {"darwin", "win32"}:  # their system settings can contain proxies
        from urllib.request import getproxies

        return bool(getproxies())
    return False


def import_httpx() -> Any:
    """Import httpx without its command-line program, and return the module httpx.

    If the package click is installed, importing the command-line program is slow. httpx works
    without this program. A lock prevents two threads from importing httpx at the same time.
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
    """Stop httpx from logging requests of the current asyncio task.

    The URLs of these requests may contain a token. Requests that other code sends by httpx are
    still logged.
    """
    _logging_muted.set(True)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_is_logged)  # adding it again has no effect


def _is_logged(_: logging.LogRecord) -> bool:
    return not _logging_muted.get()
