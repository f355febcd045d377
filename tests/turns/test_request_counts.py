"""How many requests leave for each failure: an answer that may have been billed is asked once."""

import contextlib
import json

import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.servers import (
    ANSWER,
    CHUNKED,
    DELTA,
    RawServer,
    always,
    chunk,
    sized,
)

SURFACES = ("ask", "stream", "session", "row")
CELL_TRIES, ROW_TRIES = 3, 4
AGAIN = (CELL_TRIES, CELL_TRIES, CELL_TRIES, ROW_TRIES)
ONCE = (1, 1, 1, 1)


def status(code, body=b"", **headers):
    """Return a response with this status and body."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {code} Oh", *lines, ""])
    return sized(body, head.encode())


def error_in_stream(error, before=b""):
    """Return a stream with status 200 that ends in an error."""
    data = b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
    return CHUNKED + (chunk(before) if before else b"") + chunk(data) + chunk(b"")


RATE_LIMIT = {"message": "Rate limit reached", "code": 429}
ID = b'data: {"id":"1","choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
FAILURES = {
    "429": (status(429), AGAIN),
    "429 with a wait in milliseconds": (status(429, retry_after_ms=1), AGAIN),
    "429 with a wait in words": (status(429, b'{"error": "try again in 1ms"}'), AGAIN),
    "429 with a used-up quota": (status(429, b'{"error":{"code":"insufficient_quota"}}'), ONCE),
    "402": (status(402), ONCE),
    "500": (status(500), ONCE),
    "500 with a wait": (status(500, Retry_After=0), ONCE),
    "501": (status(501), ONCE),
    "502": (status(502), AGAIN),
    "503": (status(503), AGAIN),
    "504": (status(504), ONCE),
    "504 with a wait": (status(504, Retry_After=0), ONCE),
    "520": (status(520), AGAIN),
    "522": (status(522), AGAIN),
    "529": (status(529), AGAIN),
    "407": (status(407), ONCE),
    "400": (status(400), ONCE),
    "401": (status(401), ONCE),
    "404": (status(404), ONCE),
    "a rate limit in a stream": (error_in_stream(RATE_LIMIT), AGAIN),
    "a rate limit after the id": (error_in_stream(RATE_LIMIT, ID), AGAIN),
    "a rate limit in the middle": (error_in_stream(RATE_LIMIT, DELTA), ONCE),
    "a used-up quota in a stream": (error_in_stream({"code": "insufficient_quota"}), ONCE),
    "another error in a stream": (error_in_stream({"message": "out of memory"}), ONCE),
    "a cut stream": (CHUNKED + chunk(DELTA) + chunk(b""), ONCE),
}
LATE = {"502": ONCE, "503": ONCE, "520": ONCE, "529": ONCE, "429": AGAIN}


@pytest.fixture(autouse=True)
def no_delay(monkeypatch):
    """The delays are 0, and every response on this machine counts as soon."""
    monkeypatch.setattr("swiftask_jupyter.turns.retry.FIRST_DELAY_SECONDS", 0.0)
    monkeypatch.setattr("swiftask_jupyter.turns.retry.SOON_SECONDS", 60.0)


def ask(client, surface, rows=1):
    """Ask one question by a surface; the outcome is of no interest."""
    with contextlib.suppress(errors.SwiftaskError):
        if surface == "ask":
            client.ask("hello")
        elif surface == "stream":
            list(client.stream("hello"))
        elif surface == "session":
            client.session("cells").ask("hello")
        else:
            frame = pd.DataFrame({"n": range(rows)})
            client.map(frame, "hello {{n}}", tries=ROW_TRIES, concurrency=1, progress=False)


def client_of(server, **options):
    settings = {"token": "t" * 30, "agent": "echo", "dialect": "openai"} | options
    return Swiftask(base_url=server.url, **settings)


def counted(serve, surface, **options):
    """Return how often a server receives a question. A fetch of the agents is no question."""
    with RawServer(serve) as server, client_of(server) as client:
        ask(client, surface, **options)
        return sum(each.startswith(b"POST") for each in server.requests)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("number", range(len(SURFACES)), ids=SURFACES)
def test_so_many_requests_leave_for_each_failure(failure, number):
    response, expected = FAILURES[failure]

    assert counted(always(response), SURFACES[number]) == expected[number]


@pytest.mark.parametrize("failure", LATE)
@pytest.mark.parametrize("number", range(len(SURFACES)), ids=SURFACES)
def test_a_late_failure_of_a_gateway_is_asked_once(monkeypatch, failure, number):
    monkeypatch.setattr("swiftask_jupyter.turns.retry.SOON_SECONDS", -1.0)

    assert counted(always(FAILURES[failure][0]), SURFACES[number]) == LATE[failure][number]


@pytest.mark.parametrize(("soon", "rows"), [(60.0, ROW_TRIES), (-1.0, 1)])
@pytest.mark.parametrize("surface", SURFACES)
def test_a_connection_closed_without_a_response(monkeypatch, soon, rows, surface):
    monkeypatch.setattr("swiftask_jupyter.turns.retry.SOON_SECONDS", soon)

    def serve(server, connection):
        server.read_request(connection)

    assert counted(serve, surface) == (rows if surface == "row" else 1)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_refused_certificate_is_tried_once(surface):
    with RawServer(always(ANSWER), secure=True) as server, client_of(server) as client:
        ask(client, surface)

        assert (server.connections, server.requests) == (1, [])


@pytest.mark.parametrize("surface", SURFACES)
def test_a_proxy_that_wants_a_password_for_a_tunnel_is_asked_once(monkeypatch, surface):
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with RawServer(always(refusal)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with Swiftask(
            base_url="https://service.example", token="t" * 30, agent="echo", dialect="openai"
        ) as client:
            ask(client, surface)

        assert [each[:7] for each in proxy.requests] == [b"CONNECT"]


def refusing(word, refusal):
    """Return a `serve` function that refuses each request with a word in it, and a list of both."""
    refused = []

    def serve(server, connection):
        while (request := server.read_request(connection)) is not None:
            refused.append(word in request)
            connection.sendall(refusal if word in request else ANSWER)

    return serve, refused


def test_a_field_that_a_service_does_not_take_is_learned_once_a_connection():
    refusal = status(400, b'{"error": "\\"stream_options\\" is not allowed"}')
    serve, refused = refusing(b"stream_options", refusal)

    with RawServer(serve) as server, client_of(server) as client:
        for surface in SURFACES:
            ask(client, surface, rows=3)
        assert refused == [True] + [False] * 6
        with client_of(server, token="u" * 30) as other:
            ask(other, "ask")

    assert refused[7:] == [True, False]


def test_a_variant_that_is_refused_too_is_not_remembered():
    with RawServer(always(status(400, b'{"error": "no stream_options"}'))) as server:
        with client_of(server) as client:
            ask(client, "ask")
            ask(client, "ask")

        assert [b"stream_options" in each for each in server.requests] == [True, False] * 2


def test_a_route_that_a_service_does_not_have_is_learned_once_a_connection():
    paths = []

    def serve(server, connection):
        while (request := server.read_request(connection)) is not None:
            paths.append(request.split(b" ")[1].strip(b"/").decode())
            found = paths[-1] == found_path
            body = b'{"message": {"content": "hi"}, "chatId": "1"}'
            connection.sendall(
                status(200, body, Content_Type="application/json") if found else status(404)
            )

    for found_path in ("get_completion", "get_response"):
        paths.clear()
        with RawServer(serve) as server, client_of(server, dialect="agencii") as client:
            for _ in range(3):
                ask(client, "ask")
        assert paths[-2:] == [found_path] * 2
        assert len(paths) <= 4
        assert paths.count(found_path) == 3


def test_the_type_of_a_session_id_is_learned_once_a_connection(box):
    """The sandbox refuses numbers from now on."""
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client:
        session = client.session("one")
        session.ask("first")
        box.fail(Fault(session_type="string"), path="/api/ai/echo", times=None)
        for _ in range(3):
            ask(client, "session")
            with contextlib.suppress(errors.SwiftaskError):
                session.ask("more")

    types = [type(seen.json.get("sessionId")).__name__ for seen in box.requests]
    assert types.count("int") == 1
