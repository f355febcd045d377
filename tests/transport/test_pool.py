"""Direct connections: which are kept for the next request, and TLS."""

import asyncio
import contextlib
import gc
import json
import socket
import threading
import warnings

import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.transport.connection import MAX_UNREAD_BYTES
from tests.support.servers import ANSWER, OK, RawServer, always, chunk, sized
from tests.support.transports import (
    TOKEN,
    ask,
    ask_once,
    fetch_bodies,
    fetch_body,
    open_transport,
)

HERE = "127.0.0.1"


def test_one_connection_carries_one_request_after_another():
    async def run():
        async with open_transport() as transport:
            return [(await ask(transport, server.url))[0].text for _ in range(5)]

    with RawServer(always(ANSWER)) as server:
        assert asyncio.run(run()) == ["half"] * 5
    assert (server.connections, len(server.requests)) == (1, 5)


def test_concurrent_requests_have_a_connection_each_which_later_ones_reuse():
    together = threading.Barrier(8)

    def serve(server, connection):
        while server.read_request(connection) is not None:
            together.wait(20)
            connection.sendall(sized(b"yes"))

    async def run():
        async with open_transport() as transport:
            for _ in range(3):
                requests = (fetch_body(transport, server.url) for _ in range(8))
                assert await asyncio.gather(*requests) == [b"yes"] * 8

    with RawServer(serve) as server:
        asyncio.run(run())
    assert server.connections == 8


@pytest.mark.parametrize(
    "response",
    [
        sized(b"yes", OK + b"Connection: close\r\n"),
        sized(b"yes", b"HTTP/1.0 200 OK\r\n"),
        sized(b"yes") + b"\r\n",
        sized(b"yes") + sized(b"another's"),
        OK
        + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunk(b"yes")
        + chunk(b""),
    ],
    ids=["closing", "HTTP/1.0", "extra bytes", "a second response", "a length and chunks"],
)
def test_a_connection_in_an_uncertain_state_is_not_reused(response):
    with RawServer(always(response)) as server:
        assert fetch_bodies(server.url, times=3) == [b"yes"] * 3
    assert server.connections == 3


def test_bytes_that_arrive_between_requests_are_not_the_next_response():
    requested, sent = threading.Event(), threading.Event()

    def serve(server, connection):
        first = not server.requests
        server.read_request(connection)
        connection.sendall(sized(b"yes"))
        if first:
            requested.wait(20)
            connection.sendall(sized(b"nobody requested this"))
            sent.set()

    async def run():
        async with open_transport() as transport:
            bodies = [await fetch_body(transport, server.url)]
            requested.set()
            sent.wait(20)  # blocks the loop, which therefore has not read the bytes yet
            return [*bodies, await fetch_body(transport, server.url)]

    with RawServer(serve) as server:
        assert asyncio.run(run()) == [b"yes", b"yes"]
    assert server.connections == 2


def test_a_connection_with_an_unread_body_is_not_reused():
    """Reading from it is paused, so no further response would ever arrive."""
    whole = sized(b"x" * (3 * MAX_UNREAD_BYTES))

    async def run():
        async with open_transport() as transport:
            for _ in range(3):
                with pytest.raises(errors.StreamError, match="over 0 MB"):
                    await transport.fetch(Request("GET", server.url, {}), limit=10)

    with RawServer(always(whole)) as server:
        asyncio.run(run())
    assert server.connections == 3


def test_a_connection_that_the_service_closed_meanwhile_is_replaced():
    """The service announced keep-alive and closed all the same; no retry is needed."""
    body = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})
    head = OK + b"Content-Type: application/json\r\nConnection: keep-alive\r\n"
    closed = threading.Semaphore(0)

    def serve(server, connection):
        with connection:
            server.read_request(connection)
            connection.sendall(sized(body.encode(), head))
        closed.release()

    with (
        RawServer(serve) as server,
        Swiftask(base_url=server.url, token=TOKEN, agent="echo", dialect="openai") as client,
    ):
        for _ in range(3):
            answer = client.ask("hello")
            assert (answer.text, answer.reply.attempts) == ("hi", 1)
            assert closed.acquire(timeout=10)


@pytest.mark.parametrize("host", [HERE, "localhost"])
@pytest.mark.parametrize("secure", [False, True])
def test_cancelling_a_request_at_any_moment_leaves_nothing_open(trusted_authority, host, secure):
    async def run(url):
        async with open_transport() as transport:
            for steps in range(60):
                task = asyncio.create_task(ask(transport, url))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            reply, _ = await ask(transport, url)
            assert reply.text == "half"

    gc.collect()  # what other tests left behind
    with (
        RawServer(always(ANSWER), secure=secure) as server,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        asyncio.run(run(server.url.replace(HERE, host)))
        gc.collect()
    assert [str(each.message) for each in caught] == []


# TLS.


def test_a_private_authority_is_trusted_and_its_connection_reused(trusted_authority):
    async def run():
        async with open_transport() as transport:
            return [(await ask(transport, server.url))[0].text for _ in range(3)]

    with RawServer(always(ANSWER), secure=True) as server:
        assert asyncio.run(run()) == ["half"] * 3
    assert server.connections == 1


def test_a_server_with_an_untrusted_certificate_is_sent_nothing():
    with RawServer(always(ANSWER), secure=True) as server:
        _, error = ask_once(server.url)
    assert "certificate verify failed" in str(error)
    assert (error.sent, server.requests) == (False, [])


@pytest.mark.parametrize(
    ("host", "certified"), [("service.example", True), ("other.example", False)]
)
def test_a_host_that_the_certificate_does_not_name_is_sent_nothing(
    trusted_authority, monkeypatch, host, certified
):
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, *args, **options: real(HERE, *args, **options)
    )
    with RawServer(always(ANSWER), secure=True) as server:
        reply, error = ask_once(server.url.replace(HERE, host))
    if certified:
        assert (reply.text, error) == ("half", None)
    else:
        assert "certificate verify failed" in str(error)
        assert (error.sent, server.requests) == (False, [])


def test_a_secure_answer_that_is_cut_before_its_finish_reason_is_an_error(trusted_authority):
    responses = [ANSWER[:at] for at in range(0, len(ANSWER), 40)]
    remaining = iter(responses)

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(next(remaining))

    async def run():
        async with open_transport() as transport:
            return [await ask(transport, server.url) for _ in responses]

    with RawServer(serve, secure=True) as server:
        found = asyncio.run(run())
    for response, (reply, error) in zip(responses, found, strict=True):
        if b'"stop"}]}\n' in response:
            assert (reply.text, error) == ("half", None)
        else:
            assert isinstance(error, errors.SwiftaskError)
    assert len(server.requests) == len(responses)


def test_a_server_that_breaks_off_the_handshake_was_sent_nothing():
    def serve(_, connection):
        connection.recv(100)

    with RawServer(serve) as server:
        _, error = ask_once(server.url.replace("http:", "https:"))
    assert type(error) is errors.ConnectionFailed
    assert error.sent is False
