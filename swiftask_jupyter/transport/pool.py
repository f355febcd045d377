"""Our own HTTP/1.1 exchanges, over connections that are kept open for later requests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.transport.connection import Connection, RequestHook, Response, decompress
from swiftask_jupyter.transport.errors import (
    CONNECT_TIMEOUT,
    connect_timed_out,
    describe,
    unreachable,
)
from swiftask_jupyter.transport.http1 import Address, encode_request
from swiftask_jupyter.transport.sockets import open_socket

MAX_IDLE_CONNECTIONS = 64  # for each host and port

_Endpoint = tuple[bool, str, int]  # whether it uses TLS, host, port


class ConnectionPool:
    """Direct connections, each used by one request at a time.

    Args:
        tls: returns the TLS context, which is created on first use.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._idle: dict[_Endpoint, list[Connection]] = {}

    @asynccontextmanager
    async def exchange(
        self, request: Request, address: Address, read_timeout: float, hook: RequestHook
    ) -> AsyncGenerator[Response, None]:
        """Send a request and yield its response.

        Leaving the context before the body's end closes the connection, which cancels the
        request at the service.

        Args:
            request: the request.
            address: the parts of its URL.
            read_timeout: seconds that the service may be silent.
            hook: called before the request is sent, and with the response's head.

        Raises:
            PromptError: a header cannot be encoded.
            ConnectionFailed: no response came.
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

    def _take_idle(self, address: Address) -> Connection | None:
        """Return the most recently used idle connection that is still usable, if there is any."""
        idle = self._idle.get(_endpoint(address), [])
        while idle:
            connection = idle.pop()
            if connection.is_usable():
                return connection
            connection.close()
        return None

    def _release(self, address: Address, connection: Connection) -> None:
        """Keep a connection for the next request, or close it if it cannot be used again."""
        idle = self._idle.setdefault(_endpoint(address), [])
        if connection.end_exchange() and len(idle) < MAX_IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.close()

    async def _open(self, address: Address, read_timeout: float) -> Connection:
        """Open a connection, within `CONNECT_TIMEOUT` or the request's own timeout if shorter."""
        tls: dict[str, Any] = {}
        if address.secure:
            tls = {"ssl": self._tls(), "server_hostname": address.host}
        try:
            async with asyncio.timeout(min(read_timeout, CONNECT_TIMEOUT)):
                opened = await open_socket(address.host, address.port)
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(address.netloc), sock=opened, **tls
                )
        except TimeoutError:
            raise connect_timed_out(address.netloc, read_timeout) from None
        except (OSError, UnicodeError) as error:  # TLS errors are OSErrors
            raise unreachable(address.netloc, describe(error), sent=False) from None
        return connection

    async def aclose(self) -> None:
        """Close the idle connections, and wait until they are closed."""
        closing = [each for idle in self._idle.values() for each in idle]
        self._idle.clear()
        for connection in closing:
            connection.close()
        if closing:
            await asyncio.wait([connection.closed for connection in closing])


def _endpoint(address: Address) -> _Endpoint:
    return address.secure, address.host, address.port
