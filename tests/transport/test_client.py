"""`Transport`: when an answer ends, what it refuses, what it loads, and many requests at once."""

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
import warnings

import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.chat import Chat
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.transport.connection import RequestHook
from swiftask_jupyter.transport.httpx_pool import HttpxPool
from tests.support.servers import (
    ANSWER,
    CHUNKED,
    DELTA,
    DONE,
    END,
    SSE,
    RawServer,
    always,
    chunk,
    once,
    sized,
)
from tests.support.transports import TOKEN, ask, ask_once, fetch_body, open_transport

# The end of an answer.


@pytest.mark.parametrize(
    ("dialect", "delta"), [(OpenAI, DELTA), (Chat, b'data: {"chunk": "half"}\n')]
)
@pytest.mark.parametrize("after", ["nothing", "a close", "more and more"])
def test_an_answer_ends_where_it_says_so_whatever_follows(dialect, delta, after):
    closed = threading.Event()

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(CHUNKED + chunk(delta) + chunk(DONE))
        if after != "a close":
            with contextlib.suppress(OSError):
                while after == "more and more":
                    connection.sendall(chunk(delta))
                assert connection.recv(1) == b""
        closed.set()

    with RawServer(serve) as server:
        reply, error = ask_once(server.url, dialect=dialect, read_timeout=10)
        assert closed.wait(20)
    assert (reply.text, error) == ("half", None)


def test_a_connection_is_reused_if_the_end_of_the_body_arrives_a_little_later():
    head_handled = threading.Event()

    def serve(server, connection):
        while server.read_request(connection) is not None:
            connection.sendall(ANSWER[: -len(chunk(b""))])
            assert head_handled.wait(20)
            head_handled.clear()
            connection.sendall(chunk(b""))

    class LateSignal(RequestHook):
        def on_response(self, _head):
            asyncio.get_running_loop().call_later(0.02, head_handled.set)

    async def run():
        async with open_transport() as transport:
            return [await ask(transport, server.url, hook=LateSignal()) for _ in range(3)]

    with RawServer(serve) as server:
        assert [error for _, error in asyncio.run(run())] == [None] * 3
    assert server.connections == 1


def test_a_reader_that_is_slow_at_the_end_does_not_affect_the_next_request():
    whole = sized(DELTA + END[: -len(DONE)], SSE)

    async def run(url):
        protocol = OpenAI(f"{url}/v1", Secret(TOKEN))
        async with open_transport() as transport:
            async for _ in transport.stream(protocol, Prompt("a", "hi", timeout=0.05)):
                await asyncio.sleep(0.2)
            return await ask(transport, url)

    with RawServer(always(whole)) as server:
        reply, error = asyncio.run(run(server.url))
    assert (reply.text, error) == ("half", None)
    assert server.connections == 1


# Errors.


def test_an_error_whose_body_breaks_off_keeps_its_status():
    head = b"HTTP/1.1 429 slow\r\nRetry-After: 7\r\nContent-Length: 99\r\n\r\n"

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(head + b"slow down, ple")

    with RawServer(serve) as server:
        _, error = ask_once(server.url)
    assert isinstance(error, errors.RateLimited)
    assert error.retry_after == 7
    assert "slow down, ple" in str(error)


LOOP = []
LOOP.append(LOOP)


@pytest.mark.parametrize("value", ["me\r\nX-Other: you", LOOP])
def test_an_option_that_cannot_be_encoded_is_a_prompt_error_and_nothing_is_sent(value):
    dialect = "native" if value is LOOP else "chat"
    with (
        RawServer(always(ANSWER)) as server,
        Swiftask(base_url=server.url, token="s3cr3t", agent="a", dialect=dialect) as client,
        pytest.raises(errors.PromptError, match="can't be written"),
    ):
        client.ask("hello", user_identifier=value)
    assert server.requests == []


def test_a_server_without_tls_was_sent_nothing(no_retry_delay):
    with (
        RawServer(once(b"HTTP/1.1 400 plain\r\nContent-Length: 0\r\n\r\n")) as server,
        Swiftask(
            base_url=f"https://127.0.0.1:{server.port}", token=TOKEN, agent="a", dialect="openai"
        ) as client,
        pytest.raises(errors.ConnectionFailed) as caught,
    ):
        client.ask("hello")
    assert caught.value.sent is False


def test_an_error_that_quotes_the_url_shows_no_token_however_it_is_encoded():
    def serve(server, connection):
        while (request := server.read_request(connection)) is not None:
            body = b"Cannot " + request.partition(b" HTTP")[0]
            connection.sendall(sized(body, b"HTTP/1.1 404 Not Found\r\n"))

    with (
        RawServer(serve) as server,
        Swiftask(base_url=server.url, token="s3+cr/et==", agent="a", dialect="widget") as client,
    ):
        with pytest.raises(errors.AgentNotFound, match="clientToken=") as asked:
            client.ask("hello")
        with pytest.raises(errors.BadRequest, match="clientToken=") as config:
            client.widget.config()

        for shown in (asked.value, config.value, client.usage()["error"].iloc[0]):
            assert "s3" not in str(shown)


# Loops, and what is loaded.


def test_a_new_event_loop_gets_connections_of_its_own():
    transport = Transport()

    async def run():
        try:
            return await fetch_body(transport, server.url)
        finally:
            await transport.aclose()

    with RawServer(always(sized(b"yes"))) as server:
        assert [asyncio.run(run()), asyncio.run(run())] == [b"yes", b"yes"]


ASK_AND_LIST_MODULES = """
import sys
from swiftask_jupyter import Swiftask
with Swiftask(agent="echo", dialect=sys.argv[1]) as client:
    assert client.ask("hello").text == "hello"
    assert client.connections.catalogue()
print(*[name for name in ("httpx", "httpcore", "h11", "anyio") if name in sys.modules])
"""


@pytest.mark.parametrize("dialect", ["openai", "native", "auto"])
def test_httpx_is_not_imported_for_direct_requests(box, monkeypatch, dialect):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    ran = subprocess.run(
        [sys.executable, "-c", ASK_AND_LIST_MODULES, dialect],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("\n", "")


def test_only_a_large_file_is_uploaded_through_httpx(monkeypatch):
    requests, real = [], HttpxPool.exchange

    def exchange(self, request, *args):
        requests.append((request.method, len(request.content)))
        return real(self, request, *args)

    monkeypatch.setattr(HttpxPool, "exchange", exchange)
    with (
        Sandbox() as box,
        Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client,
    ):
        client.ask("look", files=[("large.bin", b"x" * (2 << 20)), ("small.bin", b"x")])

    assert requests == [("PUT", 2 << 20)]


# Many requests at once.


def test_two_hundred_concurrent_streams_of_one_client_are_all_complete(box):
    texts = [f"number {n}: " + "é🎉x" * n for n in range(200)]

    async def stream_one(client, text):
        events = [event async for event in client.stream_async(text)]
        return "".join(getattr(event, "text", "") for event in events)

    async def stream_all(client):
        return await asyncio.gather(*(stream_one(client, text) for text in texts))

    gc.collect()  # what other tests left behind
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as client:
            answers = asyncio.run(stream_all(client))
            rows = client.usage()
        gc.collect()

    assert answers == texts
    assert [str(each.message) for each in caught] == []
    assert list(rows["status"].unique()) == ["ok"]
    assert len(set(rows["turn"])) == len(texts)
    assert box.wait_for(lambda: box.open_streams == 0)


def test_failed_and_cancelled_requests_do_not_affect_concurrent_ones(box):
    async def run_one(client, n):
        if n % 3 == 1:
            with pytest.raises(errors.AgentNotFound):
                await client.ask_async("hello", "nobody")
            return None
        if n % 3 == 2:
            async with contextlib.aclosing(client.stream_async("hello", "slow")) as events:
                async for _ in events:
                    return None
        return (await client.ask_async(f"number {n}")).text

    async def run_all(client):
        return await asyncio.gather(*(run_one(client, n) for n in range(90)))

    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as client:
        answers = asyncio.run(run_all(client))
        assert box.wait_for(lambda: box.open_streams == 0)

    assert answers[::3] == [f"number {n}" for n in range(0, 90, 3)]
