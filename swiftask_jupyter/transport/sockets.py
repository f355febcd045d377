"""A socket to a host, which may have several addresses, some of them out of order.

A network often names an IPv6 address that leads nowhere. asyncio tries the next one meanwhile
too, and loses an open socket where whoever waits for it leaves at the wrong moment.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from itertools import chain, zip_longest
from typing import Any

NEXT_ADDRESS = 0.25  # seconds until the next address is tried beside those before it

_Place = tuple[int, Any]  # a family, and an address of it


async def connected(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to the first address that takes it.

    Raises:
        OSError: none did; or the host is not known.
        UnicodeError: that is no name of a host.
    """
    places = await _places(host, port)
    if len(places) == 1:
        return await _connect(places[0])
    attempts: list[asyncio.Task[socket.socket]] = []
    won = None
    try:
        for place in places:
            attempts.append(asyncio.ensure_future(_connect(place)))
            if won := await _first(attempts, NEXT_ADDRESS):
                return won.result()
        while any(not each.done() for each in attempts):
            if won := await _first(attempts, None):
                return won.result()
    finally:
        for each in attempts:
            if each is not won:
                each.add_done_callback(_close)
                each.cancel()
    failed = attempts[0].exception() if attempts else None
    raise failed or OSError("it has no address")


async def _places(host: str, port: int) -> list[_Place]:
    """Return where a host is found: at its number, or where its name leads, families in turn."""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if "%" not in host:  # which names an interface: the system's to look up
            family = socket.AF_INET if number.version == 4 else socket.AF_INET6
            return [(family, (host, port))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families = dict.fromkeys(each[0] for each in found)
    each_familys = [[(a, each[4]) for each in found if each[0] == a] for a in families]
    return [each for each in chain(*zip_longest(*each_familys)) if each]


async def _connect(place: _Place) -> socket.socket:
    family, address = place
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)  # noqa: FBT003 - the socket's own signature
        await asyncio.get_running_loop().sock_connect(opened, address)
    except BaseException:
        opened.close()
        raise
    return opened


async def _first(
    attempts: list[asyncio.Task[socket.socket]], seconds: float | None
) -> asyncio.Task[socket.socket] | None:
    """Wait for one to succeed, or fail, or for so long; return what has succeeded."""
    waiting = [each for each in attempts if not each.done()]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return next((each for each in attempts if each.done() and each.exception() is None), None)


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
