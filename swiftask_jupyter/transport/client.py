"""`Transport`: sends a dialect's requests and yields the events of the answer.

Direct requests use our own HTTP/1.1, which needs a fraction of a general client's time and no
import. Requests through a proxy, large uploads and unusual hosts use httpx, which is loaded then.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress

from swiftask_jupyter.answers.turn import Event
from swiftask_jupyter.errors import ConfigurationError, StreamError, SwiftaskError
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import Protocol
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.connection import is_loopback
from swiftask_jupyter.transport.connection import NO_HOOK, RequestHook, Response
from swiftask_jupyter.transport.errors import READ_TIMEOUT
from swiftask_jupyter.transport.http1 import Address, parse_url
from swiftask_jupyter.transport.httpx_pool import LARGE_BODY_BYTES, HttpxPool, may_use_proxy
from swiftask_jupyter.transport.pool import ConnectionPool

MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024  # of an error's body; the rest is not read
MAX_FETCH_BYTES = 8 * 1024 * 1024  # of a response that is returned whole
DRAIN_SECONDS = 0.25  # that a finished answer's body may take to end


def _ignore_progress(_: str) -> None:
    """Discard the progress of an upload."""


class Transport:
    """Sends requests over the network; only `stream` knows of dialects.

    Connections belong to the event loop that opened them, so a new loop, or a forked process,
    starts with new ones.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tls_context: ssl.SSLContext | None = None
        self._pool = ConnectionPool(self._tls)
        self._httpx_pool = HttpxPool(self._tls)

    async def warm(self, url: str) -> None:
        """Import and create what a request to this URL needs, before the first request.

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
        """Ask a prompt, and yield the events of the answer, one list for each network read.

        Args:
            protocol: the dialect, with its address and token.
            prompt: the question; its files are uploaded first if the dialect takes files.
            on_progress: receives an upload's progress as text for the user.
            hook: called before each request is sent, and with each response's head.

        Raises:
            PromptError: the request cannot be encoded.
            ConnectionFailed: no response came.
            ServiceError: the service answered with an error.
            StreamError: the answer broke off or cannot be decoded.
        """
        prompt = await self._prepare(protocol, prompt, on_progress, hook)
        request = protocol.build_request(prompt)
        async with self._exchange(request, prompt.timeout, hook, on_progress) as response:
            head = response.head
            if head.status >= 300:
                raise protocol.error(head, await _read_error_body(response), prompt.agent)
            decoder = protocol.decoder(head)
            size = 0
            while not decoder.done and (data := await response.read()):
                size += len(data)
                if size > MAX_ANSWER_BYTES:
                    raise StreamError(f"the answer is over {MAX_ANSWER_BYTES >> 20} MB")
                events, error = _collect(decoder.feed(data))
                if events:
                    yield events
                if error is not None:
                    raise error
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
        """Send the requests that must precede the question, such as uploads."""
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
        """Send a request, and return the whole response, whatever its status.

        Args:
            request: the request.
            on_progress: receives an upload's progress as text for the user.
            limit: the longest body to accept, in bytes.
            hook: called before the request is sent, and with the response's head.

        Raises:
            ConnectionFailed: no response came.
            StreamError: the body is longer than the limit, or broke off.
        """
        async with self._exchange(request, None, hook, on_progress) as response:
            body = await _read_at_most(response, limit + 1)
        if len(body) > limit:
            raise StreamError(f"the response is over {limit >> 20} MB")
        return response.head, body

    async def aclose(self) -> None:
        """Close every connection of the running event loop."""
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
        """Send a request by our own HTTP/1.1 or by httpx, whichever suits it."""
        address, read_timeout = parse_url(request.url), timeout or READ_TIMEOUT
        if self._is_direct(address) and len(request.content) < LARGE_BODY_BYTES:
            return self._pool.exchange(request, address, read_timeout, hook)
        return self._httpx_pool.exchange(request, address, read_timeout, hook, on_progress)

    def _is_direct(self, address: Address) -> bool:
        """Tell whether our own HTTP/1.1 can reach an address: no proxy, and an ordinary URL."""
        if self._loop is not (loop := asyncio.get_running_loop()):
            # The connections of another loop can be neither used nor closed on this one.
            self._loop = loop
            self._pool, self._httpx_pool = ConnectionPool(self._tls), HttpxPool(self._tls)
        # Requests to this machine never go through a proxy.
        return address.simple and (is_loopback(address.host) or not may_use_proxy())

    def _tls(self) -> ssl.SSLContext:
        """Return the TLS context, which trusts the system's certificates.

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
    """Return the events that precede an error, and the error; `None` if there is no error."""
    collected: list[Event] = []
    try:
        collected.extend(events)  # extend keeps what was yielded before an exception
    except SwiftaskError as error:
        return collected, error
    return collected, None


async def _read_at_most(response: Response, limit: int) -> bytes:
    """Return the body's first `limit` bytes."""
    body = bytearray()
    while len(body) <= limit and (data := await response.read()):
        body += data
    return bytes(body[:limit])


async def _read_error_body(response: Response) -> bytes:
    """Return as much of an error's body as arrives; a failure must not hide the status."""
    body = bytearray()
    with suppress(Exception):
        while len(body) < MAX_ERROR_BYTES and (data := await response.read()):
            body += data
    return bytes(body[:MAX_ERROR_BYTES])


async def _drain(response: Response) -> None:
    """Wait a moment for the end of a finished answer's body, so that the connection can be kept.

    The answer is complete, so a failure or a timeout here is ignored.
    """
    with suppress(Exception):
        async with asyncio.timeout(DRAIN_SECONDS):
            while await response.read():
                pass
