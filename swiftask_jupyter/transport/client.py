"""The only code that opens a socket: `httpx.AsyncClient`s, used on the I/O thread alone.

A client belongs to the loop it was first used on, so it is made anew after a fork or `close`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from swiftask_jupyter.errors import (
    ConfigurationError,
    ConnectionFailed,
    PromptError,
    StreamError,
    SwiftaskError,
)
from swiftask_jupyter.messages import Prompt
from swiftask_jupyter.protocols import Head, Protocol, Request
from swiftask_jupyter.replies import Event
from swiftask_jupyter.settings.addresses import is_loopback
from swiftask_jupyter.transport.foreign import (
    READ_SECONDS,
    Progress,
    foreign_errors,
    import_httpx,
    time_limits,
)
from swiftask_jupyter.transport.pieces import LARGE, in_pieces

if TYPE_CHECKING:
    import httpx

LONGEST_ANSWER = 64 * 1024 * 1024
LONGEST_ERROR = 64 * 1024
LONGEST_FETCH = 8 * 1024 * 1024
LANES = 32
KEPT = 8  # connections that a lane keeps open


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


class Transport:
    """Carries requests; knows nothing of dialects but what `Protocol` says.

    httpx looks through all of a client's connections at each request: a thousand at once cost a
    thousand times a thousand. So each request under way has a client to itself, up to a few
    dozen; beyond that, the least busy is taken.
    """

    def __init__(self) -> None:
        self._lanes: dict[tuple[bool, bool], list[_Lane]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tls: ssl.SSLContext | None = None

    async def warm(self, url: str) -> None:
        """Import httpx and build the client for such an address, ahead of the first request."""
        self._lane(url)

    def _lane(self, url: str) -> _Lane:
        if self._loop is not (loop := asyncio.get_running_loop()):
            # What was opened on another loop can't be used here, nor closed.
            self._loop, self._lanes = loop, {}
        parts = _parts(url)
        # Loopback is never asked through a proxy.
        kind = parts.scheme != "http", is_loopback(parts.hostname or "")
        lanes = self._lanes.setdefault(kind, [])
        quietest = min(lanes, key=lambda lane: lane.busy, default=None)
        if quietest is None or (quietest.busy and len(lanes) < LANES):
            try:
                quietest = _Lane(self._client(secure=kind[0], direct=kind[1]))
            except (ImportError, ValueError, OSError) as wrong:  # a proxy's URL, a certificate file
                raise ConfigurationError(
                    f"the HTTP client can't be made ({wrong})",
                    advice="check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE",
                ) from None
            lanes.append(quietest)
        return quietest

    def _client(self, *, secure: bool, direct: bool) -> httpx.AsyncClient:
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        library = import_httpx()
        if secure and self._tls is None:
            self._tls = ssl.create_default_context()  # the system's certificates
        client: httpx.AsyncClient = library.AsyncClient(
            # For plain http an empty context, which trusts nobody and costs nothing to make.
            verify=self._tls if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=time_limits(READ_SECONDS),
            limits=library.Limits(max_connections=None, max_keepalive_connections=KEPT),
            follow_redirects=False,  # a token does not travel to another address
            trust_env=not direct,
            # A cookie would tie one token's questions to another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"User-Agent": "swiftask-jupyter"},
        )
        return client

    async def stream(
        self, protocol: Protocol, prompt: Prompt, note: Callable[[str], None] = lambda _: None
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events of the answer, one list for each network read.

        Args:
            protocol: the dialect, address and token.
            prompt: what is asked; its files are sent first, where the dialect sends files.
            note: told what is being done meanwhile, in words for the user.

        Raises:
            ConnectionFailed: no answer came.
            ServiceError: the service answered with an error.
            StreamError: the answer broke off or made no sense.
        """
        prompt = await self._prepared(protocol, prompt, note)
        try:
            request = protocol.request(prompt)
        except (TypeError, ValueError) as wrong:  # an option that is no JSON, half a character
            raise PromptError(f"the request can't be written ({wrong})") from None
        async with self._response(request, patience=prompt.timeout) as (response, progress):
            head = Head(response.status_code, response.headers)
            if head.status >= 300:
                body = await _start_of(response, LONGEST_ERROR)
                raise protocol.error(head, body, prompt.agent)
            progress.began = True
            decoder = protocol.decoder(head)
            size = 0
            async for data in response.aiter_bytes():
                size += len(data)
                if size > LONGEST_ANSWER:
                    raise StreamError(f"the answer passed {LONGEST_ANSWER >> 20} MB")
                events, error = _read(decoder.feed(data))
                if events:
                    yield events
                if error is not None:
                    raise error
        events, error = _read(decoder.finish())
        if events:
            yield events
        if error is not None:
            raise error

    async def _prepared(
        self, protocol: Protocol, prompt: Prompt, note: Callable[[str], None]
    ) -> Prompt:
        """Carry the requests that must come before the question: uploads."""
        steps = protocol.prepare(prompt)
        answer: tuple[Head, bytes] | None = None
        try:
            while True:
                request = steps.send(answer)  # type: ignore[arg-type]  # None begins
                answer = await self.fetch(request, note)
        except StopIteration as done:
            prepared: Prompt = done.value
            return prepared

    @asynccontextmanager
    async def _response(
        self,
        request: Request,
        note: Callable[[str], None] = lambda _: None,
        patience: float | None = None,
    ) -> AsyncIterator[tuple[httpx.Response, Progress]]:
        content = request.content
        body = content if len(content) < LARGE else in_pieces(request, note)
        headers = {**request.headers, "Content-Length": str(len(content))} if content else None
        lane = self._lane(request.url)
        patience = patience or READ_SECONDS
        with foreign_errors(_parts(request.url).netloc, patience) as progress, lane as client:
            async with client.stream(
                request.method,
                request.url,
                headers=headers or request.headers,
                content=body,
                timeout=time_limits(patience),
            ) as response:
                yield response, progress

    async def fetch(
        self,
        request: Request,
        note: Callable[[str], None] = lambda _: None,
        limit: int = LONGEST_FETCH,
    ) -> tuple[Head, bytes]:
        """Return the whole of a short answer, whatever its status.

        Raises:
            ConnectionFailed: no answer came.
            StreamError: it is longer than the limit, in bytes.
        """
        async with self._response(request, note) as (response, _):
            head = Head(response.status_code, response.headers)
            body = await _start_of(response, limit + 1)
        if len(body) > limit:
            raise StreamError(f"what came is over {limit >> 20} MB")
        return head, body

    async def aclose(self) -> None:
        """Close every connection."""
        lanes, self._lanes = self._lanes, {}
        if self._loop is asyncio.get_running_loop():
            for lane in chain(*lanes.values()):
                await lane.client.aclose()


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # looks whether it is one
    except ValueError as error:  # some addresses come from a service
        raise ConnectionFailed(f"{url[:80]!r} is no address ({error})", sent=False) from None
    return parts


def _read(events: Iterator[Event]) -> tuple[list[Event], SwiftaskError | None]:
    """Return the events up to an error, and the error: what came before it is not lost."""
    seen: list[Event] = []
    try:
        seen.extend(events)  # what came before an error stays in the list
    except SwiftaskError as error:
        return seen, error
    return seen, None


async def _start_of(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    async for data in response.aiter_bytes():
        body += data
        if len(body) > limit:
            break
    return bytes(body[:limit])
