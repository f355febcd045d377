"""The only code that opens a socket, on the I/O thread alone.

What goes straight to a service is an exchange of our own, at a fraction of a general client's
cost; what does not goes through httpx, which is loaded then.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress

from swiftask_jupyter.answers.turn import Event
from swiftask_jupyter.errors import ConfigurationError, StreamError, SwiftaskError
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import Protocol, Request
from swiftask_jupyter.protocols.errors import Head
from swiftask_jupyter.settings.addresses import is_loopback
from swiftask_jupyter.transport.addresses import Address, address_of, may_be_proxied
from swiftask_jupyter.transport.errors import READ_SECONDS
from swiftask_jupyter.transport.exchange import LARGE, OPEN, RequestHook, Response
from swiftask_jupyter.transport.httpx_pool import HttpxPool
from swiftask_jupyter.transport.pool import ConnectionPool

LONGEST_ANSWER = 64 * 1024 * 1024
LONGEST_ERROR = 64 * 1024
LONGEST_FETCH = 8 * 1024 * 1024
END_SECONDS = 0.25


def _no_note(_: str) -> None:
    """Tell nobody."""


class Transport:
    """Carries requests; knows nothing of dialects but what `Protocol` says.

    What it opens belongs to the loop it was opened on, so it is opened anew after a fork or
    `aclose`.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: ssl.SSLContext | None = None
        self._direct = ConnectionPool(self._tls)
        self._lanes = HttpxPool(self._tls)

    async def warm(self, url: str) -> None:
        """Make what a request to such an address needs, ahead of the first."""
        address = address_of(url)
        if not self._goes_straight(address):
            self._lanes.lane(address)
        elif address.secure:
            self._tls()

    def _goes_straight(self, address: Address) -> bool:
        """Tell whether an exchange of our own will do."""
        if self._loop is not (loop := asyncio.get_running_loop()):
            # What was opened on another loop can't be used here, nor closed.
            self._loop = loop
            self._direct, self._lanes = ConnectionPool(self._tls), HttpxPool(self._tls)
        # Loopback is never asked through a proxy.
        return address.plain and (is_loopback(address.host) or not may_be_proxied())

    def _tls(self) -> ssl.SSLContext:
        """Return the context that trusts the system's certificates.

        Raises:
            ConfigurationError: it can't be made.
        """
        if self._context is None:
            try:
                self._context = ssl.create_default_context()
            except OSError as wrong:
                raise ConfigurationError(
                    f"the system's certificates can't be read ({wrong})",
                    advice="check SSL_CERT_FILE and SSL_CERT_DIR",
                ) from None
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context

    async def stream(
        self,
        protocol: Protocol,
        prompt: Prompt,
        note: Callable[[str], None] = _no_note,
        gate: RequestHook = OPEN,
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events of the answer, one list for each network read.

        Args:
            protocol: the dialect, address and token.
            prompt: what is asked; its files are sent first, where the dialect sends files.
            note: told what is being done meanwhile, in words for the user.
            gate: asked whenever a request is about to leave, and told of its response's head.

        Raises:
            ConnectionFailed: no answer came.
            ServiceError: the service answered with an error.
            StreamError: the answer broke off or made no sense.
        """
        prompt = await self._prepared(protocol, prompt, note, gate)
        async with self._exchange(protocol.written(prompt), prompt.timeout, gate, note) as response:
            head = response.head
            if head.status >= 300:
                raise protocol.error(head, await _said_in(response), prompt.agent)
            decoder = protocol.decoder(head)
            size = 0
            while not decoder.over and (data := await response.more()):
                size += len(data)
                if size > LONGEST_ANSWER:
                    raise StreamError(f"the answer passed {LONGEST_ANSWER >> 20} MB")
                events, error = _read(decoder.feed(data))
                if events:
                    yield events
                if error is not None:
                    raise error
            if decoder.over:
                await _end_of(response)
        events, error = _read(decoder.finish())
        if events:
            yield events
        if error is not None:
            raise error

    async def _prepared(
        self, protocol: Protocol, prompt: Prompt, note: Callable[[str], None], gate: RequestHook
    ) -> Prompt:
        """Carry the requests that must come before the question: uploads."""
        steps = protocol.prepare(prompt)
        answer: tuple[Head, bytes] | None = None
        try:
            while True:
                request = steps.send(answer)  # type: ignore[arg-type]  # None begins
                answer = await self.fetch(request, note, gate=gate)
        except StopIteration as done:
            prepared: Prompt = done.value
            return prepared

    def _exchange(
        self,
        request: Request,
        patience: float | None,
        gate: RequestHook,
        note: Callable[[str], None],
    ) -> AbstractAsyncContextManager[Response]:
        """Carry a request by whichever way leads there."""
        address, patience = address_of(request.url), patience or READ_SECONDS
        if self._goes_straight(address) and len(request.content) < LARGE:
            return self._direct.exchange(request, address, patience, gate)
        return self._lanes.exchange(request, address, patience, gate, note)

    async def fetch(
        self,
        request: Request,
        note: Callable[[str], None] = _no_note,
        limit: int = LONGEST_FETCH,
        gate: RequestHook = OPEN,
    ) -> tuple[Head, bytes]:
        """Return the whole of a short answer, whatever its status.

        Raises:
            ConnectionFailed: no answer came.
            StreamError: it is longer than the limit, in bytes.
        """
        async with self._exchange(request, None, gate, note) as response:
            body = await _start_of(response, limit + 1)
        if len(body) > limit:
            raise StreamError(f"what came is over {limit >> 20} MB")
        return response.head, body

    async def aclose(self) -> None:
        """Close every connection."""
        if self._loop is asyncio.get_running_loop():
            await self._direct.aclose()
            await self._lanes.aclose()
        self._loop = None


def _read(events: Iterator[Event]) -> tuple[list[Event], SwiftaskError | None]:
    """Return the events up to an error, and the error: what came before it is not lost."""
    seen: list[Event] = []
    try:
        seen.extend(events)  # what came before an error stays in the list
    except SwiftaskError as error:
        return seen, error
    return seen, None


async def _start_of(response: Response, limit: int) -> bytes:
    body = bytearray()
    while len(body) <= limit and (data := await response.more()):
        body += data
    return bytes(body[:limit])


async def _said_in(response: Response) -> bytes:
    """Return what an error's body says, as far as it comes: the status is worth more."""
    body = bytearray()
    with suppress(Exception):
        while len(body) < LONGEST_ERROR and (data := await response.more()):
            body += data
    return bytes(body[:LONGEST_ERROR])


async def _end_of(response: Response) -> None:
    """Wait a moment for the end of a body that has said all: the connection can then be kept.

    Whatever comes instead of the end, or nothing, the answer is whole.
    """
    with suppress(Exception):
        async with asyncio.timeout(END_SECONDS):
            while await response.more():
                pass
