"""One connection: hooks, bodies, timeouts, flow control, and responses that break off."""

import asyncio
import contextlib
import gzip
import socket
import struct
import threading
import zlib

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.transport.connection import (
    MAX_UNREAD_BYTES,
    NO_HOOK,
    HTTP1Connection,
    RequestHeld,
    RequestHook,
)
from tests.support.servers import (
    ANSWER,
    CHUNKED,
    DELTA,
    END,
    OK,
    RawServer,
    always,
    chunk,
    sized,
)
from tests.support.transports import (
    ask,
    ask_once,
    fetch_bodies,
    fetch_body,
    open_transport,
)


class ResponseSignal(RequestHook):
    """Sets an event once the head of a response has been handled."""

    def __init__(self, event):
        self._event = event

    def on_response(self, _head):
        asyncio.get_running_loop().call_soon(self._event.set)


# Hooks.


class CountingHook(RequestHook):
    """Lets a number of requests pass, and records what it is called with."""

    def __init__(self, allowed):
        self.left, self.calls = allowed, []

    def before_send(self):
        if not self.left:
            raise RequestHeld
        self.left -= 1
        self.calls.append("before_send")

    def on_response(self, head):
        self.calls.append(head.status)


def test_a_hook_is_called_before_the_first_byte_is_sent_and_with_the_head():
    hook = CountingHook(allowed=1)

    async def run():
        async with open_transport() as transport:
            reply, _ = await ask(transport, server.url, hook=hook)
            assert reply.text == "half"
            with pytest.raises(RequestHeld):
                await ask(transport, server.url, hook=hook)
            return await ask(transport, server.url)

    with RawServer(always(ANSWER)) as server:
        reply, _ = asyncio.run(run())
    assert reply.text == "half"
    assert hook.calls == ["before_send", 200]
    # The request that was held back left the connection as it was.
    assert (server.connections, len(server.requests)) == (1, 2)


# Bodies.


@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b"x-gzip", b"identity"])
def test_a_fetched_body_may_be_compressed(encoding):
    body = b"[" + b"0," * 500_000 + b"0]"
    sent = body if encoding == b"identity" else gzip.compress(body)
    with RawServer(always(sized(sent, OK + b"Content-Encoding: %s\r\n" % encoding))) as server:
        assert fetch_bodies(server.url) == [body]
    assert b"\r\nAccept-Encoding: gzip\r\n" in server.requests[0]


def test_a_small_body_that_expands_to_a_huge_one_is_limited():
    bomb = gzip.compress(b"\0" * (200 << 20))
    with (
        RawServer(always(sized(bomb, OK + b"Content-Encoding: gzip\r\n"))) as server,
        pytest.raises(errors.StreamError, match="over 8 MB"),
    ):
        fetch_bodies(server.url)


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        (b"gzip", gzip.compress(b"hello")[:-9]),
        (b"br", b"hello"),
        (b"gzip, gzip", gzip.compress(gzip.compress(b"hello"))),
    ],
    ids=["truncated", "brotli", "compressed twice"],
)
def test_a_body_in_an_unsupported_or_invalid_encoding_is_an_error(encoding, sent):
    with (
        RawServer(always(sized(sent, OK + b"Content-Encoding: %s\r\n" % encoding))) as server,
        pytest.raises(errors.StreamError, match="cut short"),
    ):
        fetch_bodies(server.url)


MEMBERS = gzip.compress(b"hel") + gzip.compress(b"lo")


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        (b"gzip", b"hello"),
        (b"deflate", zlib.compress(b"hello")),
        (b"gzip", MEMBERS),
        (b"gzip, identity", MEMBERS + b"\0" * 9),
        (b"none", b"hello"),
        (b"utf-8", b"hello"),
        (b"chunked", b"hello"),
        (b"aws-chunked", b"hello"),
    ],
)
def test_a_body_is_read_although_its_encoding_is_unusual_or_not_true(encoding, sent):
    with RawServer(always(sized(sent, OK + b"Content-Encoding: %s\r\n" % encoding))) as server:
        assert fetch_bodies(server.url) == [b"hello"]


def test_an_answer_is_requested_without_compression():
    with RawServer(always(ANSWER)) as server:
        ask_once(server.url)
    assert b"\r\nAccept-Encoding: identity\r\n" in server.requests[0]


# Responses that break off.


def test_an_answer_that_is_cut_before_its_finish_reason_is_an_error_and_is_not_sent_again():
    cuts = list(range(len(ANSWER)))
    remaining = iter(cuts)

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(ANSWER[: next(remaining)])

    async def run():
        async with open_transport() as transport:
            return [await ask(transport, server.url) for _ in cuts]

    with RawServer(serve) as server:
        found = asyncio.run(run())
    head, whole = len(CHUNKED), ANSWER.index(b'"stop"}]}\n') + len(b'"stop"}]}\n')
    for at, (reply, error) in zip(cuts, found, strict=True):
        if at >= whole:
            assert (reply.text, reply.finish_reason, error) == ("half", "stop", None)
            continue
        assert isinstance(error, errors.ConnectionFailed if at < head else errors.StreamError), at
        assert getattr(error, "sent", True)
        assert reply.text == ("half" if at >= head + len(chunk(DELTA)) - 3 else "")
    assert len(server.requests) == len(cuts)


def test_an_answer_that_arrives_byte_by_byte_is_complete():
    def serve(server, connection):
        server.read_request(connection)
        for at in range(len(ANSWER)):
            connection.sendall(ANSWER[at : at + 1])

    with RawServer(serve) as server:
        reply, error = ask_once(server.url)
    assert (reply.text, reply.finish_reason, error) == ("half", "stop", None)


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        (b"", errors.ConnectionFailed),
        (OK, errors.ConnectionFailed),
        (CHUNKED + chunk(DELTA), errors.StreamError),
    ],
    ids=["before anything", "in the head", "in the body"],
)
def test_a_connection_reset_is_an_error_after_the_text_that_arrived(before, kind):
    was_read = threading.Event()

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(before)
        if kind is errors.StreamError:
            was_read.wait(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with RawServer(serve) as server:
        reply, error = ask_once(server.url, hook=ResponseSignal(was_read))
    assert type(error) is kind
    assert reply.text == ("half" if kind is errors.StreamError else "")


@pytest.mark.parametrize(
    ("earlier_requests", "stale_seconds", "sent"), [(1, 60, False), (1, 0, True), (0, 60, True)]
)
def test_a_reused_connection_that_closes_at_once_did_not_receive_the_request(
    monkeypatch, earlier_requests, stale_seconds, sent
):
    """The server closed it after its last answer, without a `Connection: close`."""
    monkeypatch.setattr("swiftask_jupyter.transport.connection.STALE_CLOSE_SECONDS", stale_seconds)

    def serve(server, connection):
        for _ in range(earlier_requests):
            server.read_request(connection)
            connection.sendall(sized(b"yes"))
        server.read_request(connection)

    async def run():
        async with open_transport() as transport:
            for _ in range(earlier_requests):
                assert await fetch_body(transport, server.url) == b"yes"
            with pytest.raises(errors.ConnectionFailed, match="connection closed") as caught:
                await fetch_body(transport, server.url)
            return caught.value.sent

    with RawServer(serve) as server:
        assert asyncio.run(run()) is sent
    assert server.connections == 1


# Timeouts.


@pytest.mark.parametrize("before", [b"", CHUNKED + chunk(DELTA)], ids=["head", "body"])
def test_a_silent_service_is_an_error_and_the_connection_is_closed(before):
    closed = threading.Event()

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(before)
        with contextlib.suppress(OSError):
            assert connection.recv(1) == b""
        closed.set()

    with RawServer(serve) as server:
        reply, error = ask_once(server.url, read_timeout=0.3)
        assert closed.wait(20)
    assert isinstance(error, errors.TimedOut)
    assert "was silent for 0.3 s" in str(error)
    assert error.sent
    assert reply.text == ("half" if before else "")


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time a test can advance."""

    ahead = 0.0

    def time(self):
        return super().time() + self.ahead


def test_a_timeout_counts_only_silence_and_not_the_length_of_an_answer():
    was_read = threading.Semaphore(0)

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(CHUNKED)
        for _ in range(5):
            connection.sendall(chunk(DELTA))
            was_read.acquire(timeout=20)
        connection.sendall(chunk(END) + chunk(b""))

    async def run():
        loop, texts = asyncio.get_running_loop(), []
        protocol = OpenAI(f"{server.url}/v1", Secret("t"))
        async with open_transport() as transport:
            stream = transport.stream(protocol, Prompt("a", "hi", timeout=60))
            async with contextlib.aclosing(stream) as answer:
                async for events in answer:
                    texts += [event.text for event in events if hasattr(event, "text")]
                    loop.ahead += 50
                    was_read.release()
        return texts

    with RawServer(serve) as server, asyncio.Runner(loop_factory=Clock) as runner:
        assert runner.run(run()) == ["half"] * 5


def test_a_connection_that_was_idle_for_four_seconds_is_not_used_again():
    async def run():
        async with open_transport() as transport:
            for ahead in (0, 3, 5):  # many services close after 5
                asyncio.get_running_loop().ahead += ahead
                assert await fetch_body(transport, server.url) == b"yes"

    with (
        RawServer(always(sized(b"yes"))) as server,
        asyncio.Runner(loop_factory=Clock) as runner,
    ):
        runner.run(run())
    assert server.connections == 2


# Readers that are slow or leave.


def test_a_slow_reader_makes_the_service_wait():
    whole, unread, paused = 30 * 1024 * 1024, [], asyncio.Event()
    piece = chunk(b"x" * 100_000)

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % whole)
        for _ in range(0, whole, len(piece)):
            connection.sendall(piece)

    class Recording(HTTP1Connection):
        def data_received(self, data):
            super().data_received(data)
            unread.append(self._unread_size)
            if not self._transport.is_reading():
                paused.set()

    async def run():
        loop, size = asyncio.get_running_loop(), 0
        _, connection = await loop.create_connection(
            lambda: Recording("here"), "127.0.0.1", server.port
        )
        connection.send(b"GET / HTTP/1.1\r\n\r\n", 20, NO_HOOK)
        await paused.wait()
        while size < whole:
            size += len(await connection.read_body())
        connection.close()
        return size

    with RawServer(serve) as server:
        assert asyncio.run(run()) == whole
    assert MAX_UNREAD_BYTES < max(unread) < 2 * MAX_UNREAD_BYTES


@pytest.mark.parametrize("before", [b"", CHUNKED + chunk(DELTA)], ids=["head", "body"])
def test_cancelling_a_request_closes_its_connection(before):
    waiting, closed = threading.Event(), threading.Event()

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(before)
        waiting.set()
        with contextlib.suppress(OSError):
            assert connection.recv(1) == b""
        closed.set()

    async def run():
        async with open_transport() as transport:
            task = asyncio.create_task(ask(transport, server.url))
            await asyncio.to_thread(waiting.wait, 20)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(closed.wait, 20)  # while the transport is still open

    with RawServer(serve) as server:
        asyncio.run(run())
