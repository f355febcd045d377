"""Which of a host's addresses is connected to."""

import asyncio
import socket

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.transport import sockets
from tests.support.servers import ANSWER, RawServer, always
from tests.support.transports import ask_once

HERE = "127.0.0.1"


def resolve_to(monkeypatch, *addresses):
    """Resolve every host name to these addresses."""
    found = [
        (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0))
        for each in addresses
    ]

    def getaddrinfo(_host, port, *_, **__):
        return [(*each[:4], (each[4][0], port)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_the_next_address_is_tried_while_the_first_does_not_answer(monkeypatch):
    cancelled, real = [], sockets._connect

    async def connect(address):
        if ":" not in address[1][0]:
            return await real(address)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(address)

    monkeypatch.setattr(sockets, "_connect", connect)
    resolve_to(monkeypatch, "2001:db8::1", "2001:db8::2", HERE)
    with RawServer(always(ANSWER)) as server:
        reply, _ = ask_once(server.url.replace(HERE, "service.example"))

    assert reply.text == "half"
    assert [address[1][0] for address in cancelled] == ["2001:db8::1"]  # families alternate


def test_a_host_that_accepts_at_none_of_its_addresses_was_sent_nothing(monkeypatch):
    resolve_to(monkeypatch, HERE, HERE)
    with RawServer(always(ANSWER)) as server:
        url = server.url
    _, error = ask_once(url.replace(HERE, "service.example"))

    assert type(error) is errors.ConnectionFailed
    assert "cannot reach service.example:" in str(error)
    assert error.sent is False


def test_an_unknown_host_was_sent_nothing(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    _, error = ask_once("http://service.example")

    assert "Name or service not known" in str(error)
    assert error.sent is False


def test_a_host_without_addresses_was_sent_nothing(monkeypatch):
    resolve_to(monkeypatch)

    _, error = ask_once("http://service.example")

    assert "it has no address" in str(error)
    assert error.sent is False


@pytest.mark.parametrize("host", [HERE, "::1"])
def test_an_ip_address_is_not_looked_up(monkeypatch, host):
    def lookup(*_, **__):
        pytest.fail("an IP address was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)

    assert asyncio.run(sockets._resolve(host, 80)) == [
        (socket.AF_INET6 if ":" in host else socket.AF_INET, (host, 80))
    ]
