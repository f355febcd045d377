"""httpx: its exceptions become errors of the package, and its logs show no token."""

import asyncio
import contextlib
import inspect
import logging
import socket
import subprocess
import sys

import httpx
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.protocols.native import Native
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.transport.httpx_pool import (
    LOGGERS,
    UPLOAD_CHUNK_BYTES,
    HttpxPool,
    may_use_proxy,
    progress_bar,
    proxy_variables,
    upload,
)
from tests.support.servers import DELTA, RawServer, always, sized
from tests.support.transports import TOKEN, open_transport, stream_reply

OPENAI = OpenAI("http://service.example:9/v1", Secret(TOKEN))
NATIVE = Native("http://service.example:9/api", Secret(TOKEN))

# A server cannot cause every exception on request, so a function takes the network's place.


def exception_classes():
    """Return every exception class of httpx: the public ones, and their subclasses."""
    found = {
        each
        for name in httpx.__all__
        if inspect.isclass(each := getattr(httpx, name)) and issubclass(each, BaseException)
    }
    pending = list(found)
    while pending:
        for each in pending.pop().__subclasses__():
            if each not in found and each.__module__.startswith("httpx"):
                found.add(each)
                pending.append(each)
    return sorted(found, key=lambda each: each.__name__)


EXCEPTIONS = exception_classes()
TRANSPORT_ERRORS = [each for each in EXCEPTIONS if issubclass(each, httpx.TransportError)]


def make(kind):
    """Return an instance of an exception class, with the arguments that it requires."""
    request = httpx.Request("POST", "http://127.0.0.1:9/")
    response = httpx.Response(500, request=request)
    for args, options in (
        (("it broke",), {"request": request, "response": response}),
        (("it broke",), {}),
        ((), {}),
    ):
        with contextlib.suppress(TypeError):
            return kind(*args, **options)
    raise AssertionError(f"no way to make {kind}")


class BrokenBody(httpx.AsyncByteStream):
    """A body that raises an exception after some bytes."""

    def __init__(self, *pieces, error):
        self._pieces, self._error = pieces, error

    async def __aiter__(self):
        for piece in self._pieces:
            yield piece
        raise self._error


def broken_response(*pieces, error, media_type="text/event-stream"):
    headers = {"content-type": media_type}
    return httpx.Response(200, headers=headers, stream=BrokenBody(*pieces, error=error))


@pytest.fixture
def respond_with(monkeypatch):
    """Replace the network below httpx by a function, and return the list of its requests.

    The function returns a response, or an exception to raise.
    """
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # so that httpx is used
    requests = []

    def respond_with(respond):
        def handle(request):
            requests.append(request)
            result = respond(request)
            if isinstance(result, BaseException):
                raise result
            return result

        client = httpx.AsyncClient(transport=httpx.MockTransport(handle), trust_env=False)
        monkeypatch.setattr(HttpxPool, "_client", lambda *_, **__: client)
        return requests

    return respond_with


def stream(protocol=OPENAI):
    """Ask one prompt; return the reply with what arrived, and the error or `None`."""

    async def run():
        async with open_transport() as transport:
            return await stream_reply(transport, protocol)

    return asyncio.run(run())


def test_the_exception_classes_of_httpx_are_found():
    names = {each.__name__ for each in EXCEPTIONS}

    assert {"ConnectError", "ReadTimeout", "InvalidURL", "StreamClosed", "DecodingError"} <= names


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_an_exception_before_the_response_becomes_a_connection_error(respond_with, kind):
    respond_with(lambda _: make(kind))

    _, error = stream()

    assert isinstance(error, errors.ConnectionFailed)
    assert "service.example:9" in str(error)
    assert TOKEN not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_an_exception_inside_an_answer_becomes_an_error_and_keeps_the_text(respond_with, kind):
    respond_with(lambda _: broken_response(DELTA, error=make(kind)))

    reply, error = stream()

    assert isinstance(error, errors.SwiftaskError)
    assert reply.text == "half"
    assert TOKEN not in str(error)


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_an_exception_inside_an_error_body_becomes_an_error_of_the_package(respond_with, kind):
    respond_with(lambda _: httpx.Response(500, stream=BrokenBody(b"it is", error=make(kind))))

    _, error = stream()

    assert isinstance(error, errors.SwiftaskError)


def test_a_transport_error_inside_an_answer_says_that_it_was_cut_short(respond_with):
    for kind in (httpx.ReadError, httpx.RemoteProtocolError, httpx.NetworkError):
        respond_with(lambda _, kind=kind: broken_response(DELTA, error=kind("gone")))
        _, error = stream()
        assert type(error) is errors.StreamError
        assert "cut short" in str(error)


def test_a_json_answer_that_breaks_off_after_its_head_was_not_unreachable(respond_with):
    broken = httpx.RemoteProtocolError("peer closed connection")
    respond_with(
        lambda _: broken_response(b'{"text": "ha', error=broken, media_type="application/json")
    )

    _, error = stream(NATIVE)

    assert "cannot reach" not in str(error)
    assert type(error) is errors.StreamError


NOT_SENT = {"ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol"}


@pytest.mark.parametrize("kind", TRANSPORT_ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_tells_whether_the_request_may_have_arrived(respond_with, kind):
    respond_with(lambda _: make(kind))

    _, error = stream()

    assert error.sent == (kind.__name__ not in NOT_SENT)
    is_timeout = issubclass(kind, httpx.TimeoutException) and kind is not httpx.ConnectTimeout
    assert isinstance(error, errors.TimedOut) == is_timeout


def test_nothing_was_sent_to_an_invalid_url(respond_with):
    respond_with(lambda _: httpx.InvalidURL("no host"))

    _, error = stream()

    assert error.sent is False


# Retries.


@pytest.fixture
def client_with(respond_with, no_retry_delay, http_allowed):
    """Return a whole client whose network is a function, and the list of its requests."""

    def client_with(respond):
        requests = respond_with(respond)
        return requests, Swiftask(
            base_url="http://service.example:9", token=TOKEN, agent="a", dialect="openai"
        )

    return client_with


@pytest.mark.parametrize(
    ("kind", "attempts"),
    [
        (httpx.ConnectError, 3),
        (httpx.ConnectTimeout, 3),
        (httpx.ReadTimeout, 1),
        (httpx.WriteTimeout, 1),
        (httpx.ReadError, 1),
        (httpx.WriteError, 1),
        (httpx.RemoteProtocolError, 1),
    ],
)
def test_only_a_request_that_was_not_sent_is_retried(client_with, kind, attempts):
    requests, client = client_with(lambda _: make(kind))

    with client, pytest.raises(errors.ConnectionFailed):
        client.ask("hello")
    assert len(requests) == attempts


def test_a_request_is_not_retried_once_text_has_arrived(client_with):
    requests, client = client_with(
        lambda _: broken_response(DELTA, error=httpx.ConnectError("odd"))
    )

    with client, pytest.raises(errors.StreamError):
        client.ask("hello")
    assert len(requests) == 1


def test_a_refused_connection_is_retried_and_the_error_names_the_host(no_retry_delay):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with Swiftask(
            base_url=f"http://{host}", token=TOKEN, agent="a", dialect="openai"
        ) as client:
            with pytest.raises(errors.ConnectionFailed, match=host) as caught:
                client.ask("hello")
            assert list(client.usage()["attempts"]) == [3]
    assert caught.value.sent is False


# Uploads.


def test_an_upload_yields_the_body_in_chunks_and_reports_progress_before_each():
    content = bytes(range(256)) * 5000  # 1.2 MB
    request = Request("PUT", "http://host/", {}, content, "a.bin")
    steps = []

    async def run():
        return [each async for each in upload(request, steps.append)]

    chunks = asyncio.run(run())

    assert b"".join(chunks) == content
    assert max(map(len, chunks)) == UPLOAD_CHUNK_BYTES
    assert len(steps) == len(chunks) + 1
    assert steps[0] == "sending a.bin ░░░░░░░░░░░░░░░░░░░░ 0 of 1 MB"
    assert steps[-1] == ""


def test_a_progress_bar_fills_with_the_bytes_sent():
    assert progress_bar(0, 8 << 20) == "░" * 20 + " 0 of 8 MB"
    assert progress_bar(2 << 20, 8 << 20) == "█" * 5 + "░" * 15 + " 2 of 8 MB"
    assert progress_bar(8 << 20, 8 << 20) == "█" * 20 + " 8 of 8 MB"


# Import.


def test_several_threads_can_import_httpx_for_the_first_time_at_once():
    code = """
import sys, threading
from swiftask_jupyter.transport.httpx_pool import import_httpx
sys.setswitchinterval(1e-6)
found = []
threads = [threading.Thread(target=lambda: found.append(import_httpx().AsyncClient))
           for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print(len(found), "httpx._main" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (ran.stdout, ran.stderr) == ("8 False\n", "")


# Logs: a widget's URL holds the token, and so does a redirect that repeats the URL.


def test_the_log_shows_no_token_and_still_shows_the_users_own_requests(caplog):
    location = b"/elsewhere?clientToken=" + TOKEN.encode()
    redirect = b"HTTP/1.1 307 moved\r\nLocation: " + location + b"\r\n"
    caplog.set_level(logging.DEBUG)

    with RawServer(always(sized(b"", redirect))) as server:
        with (
            Swiftask(base_url=server.url, token=TOKEN, agent="a", dialect="widget") as client,
            pytest.raises(errors.BadRequest),
        ):
            client.ask("x" * (2 << 20))
        assert TOKEN in server.requests[0].decode()
        assert TOKEN not in caplog.text
        httpx.get(f"{server.url}/mine?of=their-own", trust_env=False)

    assert "of=their-own" in caplog.text
    assert "httpcore.http11" in {record.name for record in caplog.records}


def test_every_logger_of_httpx_is_in_the_list():
    with Swiftask(base_url="http://127.0.0.1:9", token=TOKEN, agent="a") as client:
        with pytest.raises(errors.ConnectionFailed):
            client.ask("x" * (2 << 20))
        existing = {
            name
            for name, logger in logging.root.manager.loggerDict.items()
            if name.split(".")[0] in {"httpx", "httpcore"} and isinstance(logger, logging.Logger)
        }

    assert existing <= {"httpcore", *LOGGERS}


# Proxy settings; tests/transport/test_proxies.py uses a real proxy.


def test_proxy_variables_are_read_from_the_environment_in_either_case(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://one:1")
    monkeypatch.setenv("no_proxy", "host")
    monkeypatch.setenv("ALL_PROXY", "")  # as if it were not set

    assert set(proxy_variables()) == {("HTTPS_PROXY", "http://one:1"), ("no_proxy", "host")}


@pytest.mark.parametrize(
    ("name", "expected"), [("HTTP_PROXY", True), ("all_proxy", True), ("NO_PROXY", False)]
)
def test_a_proxy_may_be_used_if_a_variable_names_one(monkeypatch, name, expected):
    monkeypatch.setattr(sys, "platform", "linux")  # other systems have settings of their own
    assert may_use_proxy() is False

    monkeypatch.setenv(name, "127.0.0.1:9")

    assert may_use_proxy() is expected
