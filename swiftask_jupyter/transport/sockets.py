"""Opens a TCP socket to a host that may have several addresses, some of them unreachable.

The algorithm is Happy Eyeballs (RFC 8305). A host often has an IPv6 address that cannot be reached
from the local network. So if an address does not answer quickly, the next address is tried in
parallel. asyncio's implementation can leak an open socket when the caller is cancelled, so it is
not used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from itertools import chain, zip_longest
from typing import Any

# How long to wait for the addresses tried so far before the next one is tried at the same time.
NEXT_ATTEMPT_SECONDS = 0.25

_SocketAddress = tuple[int, Any]  # the address family, and the address as this family needs it


async def open_socket(host: str, port: int) -> socket.socket:
    """Return a non-blocking socket that is connected to one of the host's addresses.

    If several addresses accept the connection, the fastest one is used.

    Raises:
        OSError: the host is unknown, or no address accepts the connection.
        UnicodeError: the host cannot be encoded as a domain name.
    """
    addresses = await _resolve(host, port)
    if len(addresses) == 1:
        return await _connect(addresses[0])
    attempts: list[asyncio.Task[socket.socket]] = []
    winner = None
    try:
        for address in addresses:
            attempts.append(asyncio.ensure_future(_connect(address)))
            if winner := await _first_success(attempts, NEXT_ATTEMPT_SECONDS):
                return winner.result()
        while any(not each.done() for each in attempts):
            if winner := await _first_success(attempts, None):
                return winner.result()
    finally:
        for each in attempts:
            if each is not winner:
                each.add_done_callback(_close_result)
                each.cancel()
    failure = attempts[0].exception() if attempts else None
    raise failure or OSError("it has no address")


async def _resolve(host: str, port: int) -> list[_SocketAddress]:
    """Return the addresses of a host, with IPv4 and IPv6 addresses alternating.

    Raises:
        OSError: the host is unknown.
        UnicodeError: the host cannot be encoded as a domain name.
    """
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if "%" not in host:  # `%` begins the name of an interface, which getaddrinfo resolves
            family = socket.AF_INET if number.version == 4 else socket.AF_INET6
            return [(family, (host, port))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families = dict.fromkeys(each[0] for each in found)
    by_family = [[(a, each[4]) for each in found if each[0] == a] for a in families]
    return [each for each in chain(*zip_longest(*by_family)) if each]


async def _connect(address: _SocketAddress) -> socket.socket:
    family, family_address = address
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)  # noqa: FBT003 - the socket's own signature
        await asyncio.get_running_loop().sock_connect(opened, family_address)
    except BaseException:
        opened.close()
        raise
    return opened


async def _first_success(
    attempts: list[asyncio.Task[socket.socket]], seconds: float | None
) -> asyncio.Task[socket.socket] | None:
    """Wait until an attempt to connect ends; return a successful attempt or `None`.

    `None` means that no attempt has succeeded yet, or that the time is over.

    Args:
        attempts: the attempts so far, of which at least one is unfinished.
        seconds: how long to wait at most; `None` for no limit.
    """
    unfinished = [each for each in attempts if not each.done()]
    await asyncio.wait(unfinished, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return next((each for each in attempts if each.done() and each.exception() is None), None)


def _close_result(attempt: asyncio.Task[socket.socket]) -> None:
    """Close the socket of a successful attempt; do nothing if the attempt failed.

    Called for each attempt whose socket is not used.
    """
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
