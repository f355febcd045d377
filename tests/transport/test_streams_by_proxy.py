"""Responses of other people's servers, received by httpx through a proxy; and no progress."""

import socket
import time

import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.transport import client as transport_client
from tests.support import streams
from tests.support.servers import CHUNKED, DELTA, END, SSE, Proxy, RawServer, chunk

pytestmark = pytest.mark.usefixtures("http_allowed")
CASES = [
    case
    for name in ("streams.json", "further_streams.json")
    for case in streams.load(name)[0]
    if {"gzip_each", "chunked", "headers"} & case.keys()  # the others concern the decoders alone
]
OPEN = [case for case in CASES if case.get("chunked") == "open"]  # the proxy holds each for 20 s


@pytest.mark.parametrize(
    "case", [case for case in CASES if case not in OPEN[1:]], ids=lambda case: case["name"]
)
def test_a_response_has_the_same_outcome_through_a_proxy(case, example_hosts, monkeypatch):
    with RawServer(streams.serve(case)) as server, Proxy(server.url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        started = time.monotonic()
        text, error, row = streams.ask(case, "http://service.example")
        seconds = time.monotonic() - started
        assert streams.differences(case["expect"], text, error, row, seconds) == {}
        assert proxy.seen


def comments(_, connection):
    """Answer with comments only, until the client closes the connection."""
    connection.recv(1 << 16)
    connection.sendall(CHUNKED)
    connection.settimeout(0.1)
    while True:
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            connection.sendall(chunk(b": keep-alive\n\n"))
        except OSError:
            return


@pytest.mark.parametrize("by_proxy", [False, True])
def test_a_response_of_nothing_but_comments_ends_at_its_own_limit(
    example_hosts, monkeypatch, by_proxy
):
    with RawServer(comments) as server, Proxy(server.url) as proxy:
        if by_proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
        url = "http://service.example" if by_proxy else server.url
        with Swiftask(base_url=url, token="t0ken", agent="a", dialect="openai") as client:
            with pytest.raises(errors.TimedOut, match="sent nothing of an answer"):
                client.ask("hello", timeout=0.3)
            assert list(client.usage()["status"]) == ["error"]


@pytest.mark.parametrize(
    "sign",
    [
        b": keep-alive\n\n",
        b"data: : PROCESSING\n\n",
        b"event: ping\ndata: {}\n\n",
        b'data: {"choices":[]}\n\n',
        b'data: {"choices":[{"delta":{"content":""}}]}\n\n',
    ],
)
def test_signs_of_life_are_no_progress_but_reasoning_is(sign, monkeypatch):
    monkeypatch.setattr(transport_client, "IDLE_FACTOR", 0)
    thought = b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n'

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(SSE + b"Connection: close\r\n\r\n")
        for piece in (thought, thought, sign, DELTA + END):
            time.sleep(0.05)
            connection.sendall(piece)

    with RawServer(serve) as server:
        client = Swiftask(base_url=server.url, token="t0ken", agent="a", dialect="openai")
        with client, pytest.raises(errors.TimedOut, match="nothing of an answer"):
            client.ask("hello")
    with RawServer(
        lambda server, connection: serve_thoughts(server, connection, thought)
    ) as server:
        client = Swiftask(base_url=server.url, token="t0ken", agent="a", dialect="openai")
        with client:
            assert client.ask("hello").text == "half"


def serve_thoughts(server, connection, thought):
    """Answer with pieces of reasoning, and then with text."""
    server.read_request(connection)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(SSE + b"Connection: close\r\n\r\n")
    for piece in (thought, thought, DELTA + END):
        time.sleep(0.05)
        connection.sendall(piece)
