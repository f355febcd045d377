"""Sends requests by this package's own HTTP/1.1 client, and keeps the connections for reuse."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.transport.connection import HTTP1Connection, RequestHook, Response, decompress
from swiftask_jupyter.transport.errors import (
    CONNECT_TIMEOUT,
    connect_timed_out,
    unreachable,
)
from swiftask_jupyter.transport.http1 import URLParts, encode_request
from swiftask_jupyter.transport.sockets import open_socket

MAX_IDLE_CONNECTIONS = 64  # for each host and port

_Endpoint = tuple[bool, str, int]  # whether it uses TLS, host, port


class ConnectionPool:
    """A pool of open connections to services, without proxies.

    A connection is used for one request at a time, and is kept open for later requests.

    Args:
        tls: returns the TLS context; called when a connection for https is opened.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._idle: dict[_Endpoint, list[HTTP1Connection]] = {}

    @asynccontextmanager
    async def exchange(
        self, request: Request, address: URLParts, read_timeout: float, hook: RequestHook
    ) -> AsyncGenerator[Response, None]:
        """Send a request; provide the response in an `async with` statement.

        If the statement ends before the whole body was read, the connection is closed, so that the
        service can stop working on the request.

        Args:
            request: the request.
            address: the parts of the request's URL.
            read_timeout: the maximum number of seconds without data from the service.
            hook: called before the request is sent, and with the head of the response.

        Raises:
            RequestHeld: the hook prevented the request.
            PromptError: a header cannot be encoded.
            ConfigurationError: the system's certificates cannot be read.
            ConnectionFailed: no response arrived.
            StreamError: the response is compressed in an unsupported way.
        """
        try:
            data = encode_request(request, address)
        except ValueError as error:
            raise PromptError(f"the request can't be written ({error})") from None
        connection = self._take_idle(address) or await self._open(address, read_timeout)
        try:
            connection.send(data, read_timeout, hook)
            head = await connection.read_head()
            yield Response(head, decompress(head, connection.read_body))
        finally:
            self._release(address, connection)

    def _take_idle(self, address: URLParts) -> HTTP1Connection | None:
        """Remove an idle connection to an address from the pool, and return the connection.

        The most recently used connection is preferred. Unusable connections are closed. `None`
        means that the pool has no usable connection to the address.
        """
        idle = self._idle.get(_endpoint(address), [])
        while idle:
            connection = idle.pop()
            if connection.is_usable():
                return connection
            connection.close()
        return None

    def _release(self, address: URLParts, connection: HTTP1Connection) -> None:
        """Put a connection back into the pool after a request, or close it.

        The connection is closed if it cannot be reused, or if the pool already has
        `MAX_IDLE_CONNECTIONS` idle connections to the address.
        """
        idle = self._idle.setdefault(_endpoint(address), [])
        if connection.end_exchange() and len(idle) < MAX_IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.close()

    async def _open(self, address: URLParts, read_timeout: float) -> HTTP1Connection:
        """Open a new connection to an address.

        The timeout is `CONNECT_TIMEOUT` or `read_timeout`, whichever is shorter.

        Raises:
            ConfigurationError: the system's certificates cannot be read.
            ConnectionFailed: the host cannot be reached, or the timeout expired.
        """
        tls: dict[str, Any] = {}
        if address.secure:
            tls = {"ssl": self._tls(), "server_hostname": address.host}
        try:
            async with asyncio.timeout(min(read_timeout, CONNECT_TIMEOUT)):
                opened = await open_socket(address.host, address.port)
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: HTTP1Connection(address.netloc), sock=opened, **tls
                )
        except TimeoutError:
            raise connect_timed_out(address.netloc, read_timeout) from None
        except (OSError, UnicodeError) as error:  # TLS errors are OSErrors
            raise unreachable(address.netloc, error, sent=False) from None
        return connection

    async def aclose(self) -> None:
        """Close all idle connections, and wait until their sockets are closed."""
        closing = [each for idle in self._idle.values() for each in idle]
        self._idle.clear()
        for connection in closing:
            connection.close()
        if closing:
            await asyncio.wait([connection.closed for connection in closing])


def _endpoint(address: URLParts) -> _Endpoint:
    return address.secure, address.host, address.port
