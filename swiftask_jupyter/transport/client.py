"""`Transport`: sends the requests for a prompt, and yields the events of the answer.

This package's own HTTP/1.1 client sends most requests, several times faster than httpx. httpx sends
requests through a proxy, large uploads, and requests to URLs that the HTTP/1.1 client does not
support. httpx is imported when it is first needed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress

from swiftask_jupyter.answers.turn import Event
from swiftask_jupyter.errors import ConfigurationError, StreamError, SwiftaskError
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import Decoder, Protocol
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.connection import is_loopback
from swiftask_jupyter.transport.connection import NO_HOOK, RequestHook, Response
from swiftask_jupyter.transport.errors import READ_TIMEOUT, no_progress
from swiftask_jupyter.transport.http1 import URLParts, parse_url
from swiftask_jupyter.transport.httpx_pool import LARGE_BODY_BYTES, HttpxPool, may_use_proxy
from swiftask_jupyter.transport.pool import ConnectionPool

MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024  # of the body of an error response; the rest is not read
MAX_FETCH_BYTES = 8 * 1024 * 1024  # the default limit for the body that `fetch` returns
# How long to wait for more, such as usage, after an answer that is whole even if nothing follows.
LINGER_SECONDS = 3.0
# An answer may arrive as nothing but comments, which keep the connection open, for this many times
# the limit on silence.
IDLE_FACTOR = 2
DRAIN_SECONDS = 0.25  # how long to wait for the end of the body after the end of the answer


def _ignore_progress(_: str) -> None:
    """Ignore a progress text; the default for `on_progress` in `stream` and `fetch`."""


class Transport:
    """An HTTP client that keeps connections open for later requests.

    A connection can be used only on the event loop on which it was opened. So a new event loop, for
    example in a forked process, gets new connections.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tls_context: ssl.SSLContext | None = None
        self._pool = ConnectionPool(self._tls)
        self._httpx_pool = HttpxPool(self._tls)

    async def warm(self, url: str) -> None:
        """Load httpx or the TLS certificates, so that the first request to the URL is faster.

        httpx is loaded if it will send the request. Otherwise, the TLS certificates are loaded for
        an https URL. No request is sent.

        Raises:
            ConfigurationError: a proxy setting or a certificate file is unusable.
            ConnectionFailed: the URL is malformed.
        """
        address = parse_url(url)
        if not self._is_direct(address):
            self._httpx_pool.client_for(address)
        elif address.secure:
            self._tls()

    async def stream(
        self,
        protocol: Protocol,
        prompt: Prompt,
        on_progress: Callable[[str], None] = _ignore_progress,
        hook: RequestHook = NO_HOOK,
    ) -> AsyncGenerator[list[Event], None]:
        """Send a prompt, and yield the events of the answer, one list for each network read.

        Args:
            protocol: creates the requests and decodes the responses.
            prompt: the prompt; its files are uploaded first if the protocol accepts files.
            on_progress: called with the progress of an upload, as text for the user.
            hook: called before each request is sent, and with the head of each response.

        Raises:
            RequestHeld: the hook prevented a request.
            PromptError: the request cannot be encoded.
            ConfigurationError: a proxy setting or a certificate file is unusable.
            ConnectionFailed: no response arrived.
            ServiceError: the service answered with an error.
            StreamError: the answer was cut short, is too long or cannot be decoded.
        """
        prompt = await self._prepare(protocol, prompt, on_progress, hook)
        request = protocol.build_request(prompt)
        async with self._exchange(request, prompt.timeout, hook, on_progress) as response:
            head = response.head
            if head.status >= 300:
                raise protocol.error(head, await _read_error_body(response), prompt.agent)
            decoder = protocol.decoder(head)
            watch = _ProgressWatch(decoder, request.url, prompt.timeout or READ_TIMEOUT)
            size = 0
            while not decoder.done and (data := await _read_more(response, decoder)):
                size += len(data)
                if size > MAX_ANSWER_BYTES:
                    raise StreamError(f"the answer is over {MAX_ANSWER_BYTES >> 20} MB")
                events, error = _collect(decoder.feed(data))
                if events:
                    yield events
                if error is not None:
                    raise error
                watch.check(progressed=bool(events))
            if decoder.done:
                await _drain(response)
        events, error = _collect(decoder.finish())
        if events:
            yield events
        if error is not None:
            raise error

    async def _prepare(
        self,
        protocol: Protocol,
        prompt: Prompt,
        on_progress: Callable[[str], None],
        hook: RequestHook,
    ) -> Prompt:
        """Send the requests that `protocol.prepare` yields, such as uploads; return the prompt.

        The returned prompt contains the URLs of the uploaded files.
        """
        steps = protocol.prepare(prompt)
        response: tuple[ResponseHead, bytes] | None = None
        try:
            while True:
                request = steps.send(response)  # type: ignore[arg-type]  # None starts it
                response = await self.fetch(request, on_progress, hook=hook)
        except StopIteration as stop:
            prepared: Prompt = stop.value
            return prepared

    async def fetch(
        self,
        request: Request,
        on_progress: Callable[[str], None] = _ignore_progress,
        limit: int = MAX_FETCH_BYTES,
        hook: RequestHook = NO_HOOK,
    ) -> tuple[ResponseHead, bytes]:
        """Send a request, and return the head and the body of the response.

        A response with an error status is returned too; no exception is raised for the status.

        Args:
            request: the request.
            on_progress: called with the progress of an upload, as text for the user.
            limit: the maximum length of the body, in bytes.
            hook: called before the request is sent, and with the head of the response.

        Raises:
            RequestHeld: the hook prevented the request.
            PromptError: a header cannot be encoded.
            ConfigurationError: a proxy setting or a certificate file is unusable.
            ConnectionFailed: no response arrived.
            StreamError: the body is longer than the limit, or was cut short.
        """
        async with self._exchange(request, None, hook, on_progress) as response:
            body = await _read_at_most(response, limit + 1)
        if len(body) > limit:
            raise StreamError(f"the response is over {limit >> 20} MB")
        return response.head, body

    async def aclose(self) -> None:
        """Close all connections that were opened on the running event loop."""
        if self._loop is asyncio.get_running_loop():
            await self._pool.aclose()
            await self._httpx_pool.aclose()
        self._loop = None

    def _exchange(
        self,
        request: Request,
        timeout: float | None,
        hook: RequestHook,
        on_progress: Callable[[str], None],
    ) -> AbstractAsyncContextManager[Response]:
        """Return a context manager that sends a request and provides the response.

        httpx sends the request if a proxy may be needed, if the body is large, or if
        `URLParts.simple` is false for the URL. This package's own client sends all other requests.

        Args:
            request: the request.
            timeout: the maximum number of seconds without data from the service; `None` for
                `READ_TIMEOUT`.
            hook: called before the request is sent, and with the head of the response.
            on_progress: called with the progress of an upload, as text for the user.
        """
        address, read_timeout = parse_url(request.url), timeout or READ_TIMEOUT
        if self._is_direct(address) and len(request.content) < LARGE_BODY_BYTES:
            return self._pool.exchange(request, address, read_timeout, hook)
        return self._httpx_pool.exchange(request, address, read_timeout, hook, on_progress)

    def _is_direct(self, address: URLParts) -> bool:
        """Return whether this package's own HTTP/1.1 client can send requests to an address.

        The result is false if a proxy may be needed, or if `address.simple` is false. On a new
        event loop, the method also replaces the connection pools by empty pools.
        """
        if self._loop is not (loop := asyncio.get_running_loop()):
            # Connections that were opened on another loop can be neither used nor closed here.
            self._loop = loop
            self._pool, self._httpx_pool = ConnectionPool(self._tls), HttpxPool(self._tls)
        # Requests to this machine never go through a proxy.
        return address.simple and (is_loopback(address.host) or not may_use_proxy())

    def _tls(self) -> ssl.SSLContext:
        """Return the TLS context, which uses the system's certificates; the first call creates it.

        Raises:
            ConfigurationError: the certificates cannot be read.
        """
        if self._tls_context is None:
            try:
                self._tls_context = ssl.create_default_context()
            except OSError as error:
                raise ConfigurationError(
                    f"the system's certificates can't be read ({error})",
                    advice="check SSL_CERT_FILE and SSL_CERT_DIR",
                ) from None
            self._tls_context.set_alpn_protocols(["http/1.1"])
        return self._tls_context


def _collect(events: Iterator[Event]) -> tuple[list[Event], SwiftaskError | None]:
    """Return the events of an iterator, and the error that ended the iteration or `None`.

    The caller can then yield these events before it raises the error.
    """
    collected: list[Event] = []
    try:
        collected.extend(events)  # extend keeps what was yielded before an exception
    except SwiftaskError as error:
        return collected, error
    return collected, None


class _ProgressWatch:
    """Limits how long a response may go on without any part of an answer.

    Some services send comments while the agent works. These end the silence, but if the agent has
    failed, they may continue forever.

    Args:
        decoder: decodes the response.
        url: the URL of the request, whose host the error message names.
        read_timeout: how many seconds the service may send nothing.
    """

    def __init__(self, decoder: Decoder, url: str, read_timeout: float) -> None:
        self._decoder = decoder
        self._url = url
        self._limit = read_timeout * IDLE_FACTOR
        self._now = asyncio.get_running_loop().time
        self._last = self._now()
        self._progress = decoder.progress

    def check(self, *, progressed: bool) -> None:
        """Note that bytes have arrived.

        Args:
            progressed: whether the bytes contained an event of the answer.

        Raises:
            TimedOut: no part of an answer has arrived within the limit.
        """
        if progressed or self._decoder.progress != self._progress:
            self._last, self._progress = self._now(), self._decoder.progress
        elif self._now() - self._last > self._limit:
            raise no_progress(parse_url(self._url).netloc, self._limit)


async def _read_more(response: Response, decoder: Decoder) -> bytes:
    """Return the next bytes of a response; `b""` at the end.

    If the answer is whole even if nothing follows, the end is also a broken connection, or
    `LINGER_SECONDS` without bytes. Some services keep the connection open after the answer.
    """
    if not decoder.complete:
        return await response.read()
    with suppress(Exception):  # either stack's: nothing that follows can take the answer back
        async with asyncio.timeout(LINGER_SECONDS):
            return await response.read()
    return b""


async def _read_at_most(response: Response, limit: int) -> bytes:
    """Read a response's body, and return at most `limit` bytes of it."""
    body = bytearray()
    while len(body) <= limit and (data := await response.read()):
        body += data
    return bytes(body[:limit])


async def _read_error_body(response: Response) -> bytes:
    """Return the first `MAX_ERROR_BYTES` bytes of an error response's body.

    An exception while reading is ignored: the bytes received until then are returned. The status of
    the response is more informative than the exception.
    """
    body = bytearray()
    with suppress(Exception):
        while len(body) < MAX_ERROR_BYTES and (data := await response.read()):
            body += data
    return bytes(body[:MAX_ERROR_BYTES])


async def _drain(response: Response) -> None:
    """Read the rest of a response's body and discard it; stop after `DRAIN_SECONDS`.

    Called after the end marker of an answer, because a connection can be reused only if the whole
    body was read. Exceptions are ignored: the answer is already complete.
    """
    with suppress(Exception):
        async with asyncio.timeout(DRAIN_SECONDS):
            while await response.read():
                pass
