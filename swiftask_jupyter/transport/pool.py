"""Straight to the service: our own exchanges, over connections that are kept for the next."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from swiftask_jupyter.errors import PromptError
from swiftask_jupyter.protocols.base import Request
from swiftask_jupyter.transport.addresses import Address
from swiftask_jupyter.transport.connection import Connection
from swiftask_jupyter.transport.errors import CONNECT_SECONDS, not_accepted, out_of_reach, words_of
from swiftask_jupyter.transport.exchange import RequestHook, Response, unpacked
from swiftask_jupyter.transport.http1 import written
from swiftask_jupyter.transport.sockets import connected

KEPT = 64  # open connections that wait for the next request

_Place = tuple[bool, str, int]


class ConnectionPool:
    """Connections of our own; a request has one to itself until its answer has ended.

    Args:
        tls: makes the context that says whom to trust; one for all.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._idle: dict[_Place, list[Connection]] = {}

    @asynccontextmanager
    async def exchange(
        self, request: Request, address: Address, patience: float, gate: RequestHook
    ) -> AsyncGenerator[Response, None]:
        """Carry a request and yield its response; whoever leaves early closes the connection."""
        try:
            data = written(request, address)
        except ValueError as error:
            raise PromptError(f"the request can't be written ({error})") from None
        connection = self._kept(address) or await self._opened(address, patience)
        try:
            connection.ask(data, patience, gate)
            head = await connection.head()
            yield Response(head, unpacked(head, connection.more))
        finally:
            self._keep(address, connection)

    def _kept(self, address: Address) -> Connection | None:
        """Return the connection that was used last, if there is one that still lives."""
        idle = self._idle.get(_place(address), [])
        while idle:
            connection = idle.pop()
            if connection.is_fresh():
                return connection
            connection.close()
        return None

    def _keep(self, address: Address, connection: Connection) -> None:
        idle = self._idle.setdefault(_place(address), [])
        if connection.ended() and len(idle) < KEPT:
            idle.append(connection)
        else:
            connection.close()

    async def _opened(self, address: Address, patience: float) -> Connection:
        given: dict[str, Any] = {}
        if address.secure:
            given = {"ssl": self._tls(), "server_hostname": address.host}
        try:
            async with asyncio.timeout(min(patience, CONNECT_SECONDS)):
                opened = await connected(address.host, address.port)
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(address.shown), sock=opened, **given
                )
        except TimeoutError:
            raise not_accepted(address.shown, patience) from None
        except (OSError, UnicodeError) as error:  # TLS's errors are among the first
            raise out_of_reach(address.shown, words_of(error), sent=False) from None
        return connection

    async def aclose(self) -> None:
        """Close every connection that waits."""
        closing = [each for idle in self._idle.values() for each in idle]
        self._idle.clear()
        for connection in closing:
            connection.close()
        if closing:
            await asyncio.wait([connection.lost for connection in closing])


def _place(address: Address) -> _Place:
    return address.secure, address.host, address.port
