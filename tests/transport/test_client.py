"""The one place where a socket is opened: its errors, redirects, crowds and proxies."""

import asyncio
import contextlib
import gc
import inspect
import json
import logging
import socket
import subprocess
import sys
import threading
import warnings
from urllib.parse import urlsplit

import httpx
import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.conversation import running_turn as turn
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.native import Native
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.transport.addresses import parse_url
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.transport.httpx_pool import LOGGERS, HttpxPool
from tests.support.servers import Service, always, sized

TOKEN = "s3cr3t-t0ken"
PROTOCOL = OpenAI("http://service.example:9/v1", Secret(TOKEN))
NATIVE = Native("http://service.example:9/api", Secret(TOKEN))
FIRST = b'data: {"choices":[{"delta":{"content":"half"}}]}\n\n'


def posts(box):
    return [seen for seen in box.requests if seen.method == "POST"]


@pytest.fixture
def at_once(monkeypatch):
    """Asking again waits for nothing."""
    real = turn.retry_delay
    monkeypatch.setattr(turn, "retry_delay", lambda *given: None if real(*given) is None else 0.0)


# What no server can do on request: every error that httpx defines.


def exceptions():
    """Return every exception class of httpx: those it names, and all that derive from them."""
    found = {
        each
        for name in httpx.__all__
        if inspect.isclass(each := getattr(httpx, name)) and issubclass(each, BaseException)
    }
    waiting = list(found)
    while waiting:
        for each in waiting.pop().__subclasses__():
            if each not in found and each.__module__.startswith("httpx"):
                found.add(each)
                waiting.append(each)
    return sorted(found, key=lambda each: each.__name__)


def made(kind):
    """Return an instance, however it wants to be made."""
    request = httpx.Request("POST", "http://127.0.0.1:9/")
    for arguments, named in (
        (("it broke",), {"request": request, "response": httpx.Response(500, request=request)}),
        (("it broke",), {}),
        ((), {}),
    ):
        with contextlib.suppress(TypeError):
            return kind(*arguments, **named)
    raise AssertionError(f"no way to make {kind}")


class Broken(httpx.AsyncByteStream):
    """A body that breaks off."""

    def __init__(self, *pieces, error):
        self._pieces, self._error = pieces, error

    async def __aiter__(self):
        for piece in self._pieces:
            yield piece
        raise self._error


@pytest.fixture
def inject(monkeypatch):
    """Put a function in the place of the network, below httpx's client."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # so that httpx carries it
    seen = []

    def injected(answer):
        def handle(request):
            seen.append(request)
            given = answer(request)
            if isinstance(given, BaseException):
                raise given
            return given

        client = httpx.AsyncClient(transport=httpx.MockTransport(handle), trust_env=False)
        monkeypatch.setattr(HttpxPool, "_client", lambda *_, **__: client)
        return seen

    return injected


def carried(protocol=PROTOCOL):
    """Carry one prompt, as a turn does; return the reply and the error."""

    async def carry():
        transport, reply = Transport(), Reply(agent="a")
        try:
            async with contextlib.aclosing(transport.stream(protocol, Prompt("a", "hi"))) as answer:
                async for events in answer:
                    reply.apply(events)
        except errors.SwiftaskError as error:
            return reply, error
        finally:
            await transport.aclose()
        return reply, None

    return asyncio.run(carry())


def body_of(*pieces, error, kind="text/event-stream"):
    return httpx.Response(200, headers={"content-type": kind}, stream=Broken(*pieces, error=error))


def test_httpx_defines_the_errors_that_are_walked():
    names = {each.__name__ for each in exceptions()}

    assert {"ConnectError", "ReadTimeout", "InvalidURL", "StreamClosed", "DecodingError"} <= names


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: kind.__name__)
def test_every_error_of_httpx_before_an_answer_becomes_one_of_ours(inject, kind):
    inject(lambda _: made(kind))

    _, error = carried()

    assert isinstance(error, errors.ConnectionFailed)
    assert "service.example:9" in str(error)
    assert TOKEN not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: kind.__name__)
def test_every_error_of_httpx_inside_an_answer_becomes_one_of_ours_and_keeps_the_text(inject, kind):
    inject(lambda _: body_of(FIRST, error=made(kind)))

    reply, error = carried()

    assert isinstance(error, errors.SwiftaskError)
    assert reply.text == "half"
    assert TOKEN not in str(error)


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: kind.__name__)
def test_every_error_of_httpx_inside_an_error_body_becomes_one_of_ours(inject, kind):
    inject(lambda _: httpx.Response(500, stream=Broken(b"it is", error=made(kind))))

    _, error = carried()

    assert isinstance(error, errors.SwiftaskError)


def test_an_error_of_the_transport_inside_an_answer_says_that_it_was_cut(inject):
    for kind in (httpx.ReadError, httpx.RemoteProtocolError, httpx.NetworkError):
        inject(lambda _, kind=kind: body_of(FIRST, error=kind("gone")))
        _, error = carried()
        assert type(error) is errors.StreamError
        assert "cut short" in str(error)


def test_a_body_that_breaks_off_after_its_head_was_reached(inject):
    """An answer that is one JSON body has begun too when its head and half of it are here."""
    broken = httpx.RemoteProtocolError("peer closed connection")
    inject(lambda _: body_of(b'{"text": "ha', error=broken, kind="application/json"))

    _, error = carried(NATIVE)

    assert "cannot reach" not in str(error)
    assert type(error) is errors.StreamError


NOT_SENT = {"ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol"}


@pytest.mark.parametrize(
    "kind",
    [each for each in exceptions() if issubclass(each, httpx.TransportError)],
    ids=lambda kind: kind.__name__,
)
def test_whether_a_request_may_have_arrived_is_known(inject, kind):
    inject(lambda _: made(kind))

    _, error = carried()

    assert error.sent == (kind.__name__ not in NOT_SENT)
    silent = issubclass(kind, httpx.TimeoutException) and kind is not httpx.ConnectTimeout
    assert isinstance(error, errors.TimedOut) == silent


def test_an_address_that_is_none_was_not_sent_to(inject):
    inject(lambda _: httpx.InvalidURL("no host"))

    assert carried()[1].sent is False


@pytest.fixture
def injected_client(inject, at_once):
    """A whole client whose network is a function."""

    def make(answer):
        seen = inject(answer)
        return seen, Swiftask(
            base_url="http://service.example:9", token=TOKEN, agent="a", dialect="openai"
        )

    return make


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
def test_only_what_was_not_sent_is_asked_again(injected_client, kind, attempts):
    seen, client = injected_client(lambda _: made(kind))

    with client, pytest.raises(errors.ConnectionFailed):
        client.ask("hello")
    assert len(seen) == attempts


def test_nothing_is_asked_again_once_text_has_come(injected_client):
    seen, client = injected_client(lambda _: body_of(FIRST, error=httpx.ConnectError("odd")))

    with client, pytest.raises(errors.StreamError):
        client.ask("hello")
    assert len(seen) == 1


def test_a_refused_connection_is_asked_again_and_then_says_where(at_once):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with Swiftask(
            base_url=f"http://{host}", token=TOKEN, agent="a", dialect="openai"
        ) as client:
            with pytest.raises(errors.ConnectionFailed, match=host) as caught:
                client.ask("hello")
            assert list(client.usage()["attempts"]) == [3]
    assert caught.value.sent is False


# What is no HTTP, or hardly.

OK = b"HTTP/1.1 200 OK\r\n"
SSE = OK + b"Content-Type: text/event-stream\r\n"
CHUNKED = SSE + b"Transfer-Encoding: chunked\r\n\r\n"
NONSENSE = {
    "nothing": b"",
    "zeros": b"\0" * 1000,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a status line": b"HTTP/1.1 200",
    "half a head": OK + b"Content-Type: text/ev",
    "an odd status": b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    "no number for a status": b"HTTP/1.1 two OK\r\n\r\n",
    "only 100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an endless header": OK + b"X: " + b"x" * 200_000,
    "a header of no letters": OK + b"\xff\xfe: \x00\r\n\r\n",
    "a type of no letters": OK + b"Content-Type: \xff\xfe\xe9\r\nContent-Length: 2\r\n\r\n{]",
    "an unknown charset": OK + b"Content-Type: text/event-stream; charset=x\r\n\r\ndata: \xff\n",
    "a short body": OK + b"Content-Length: 50\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "a chunk of no size": CHUNKED + b"zz\r\n",
    "a chunk that is cut": CHUNKED + b"ff\r\n" + FIRST,
    "no last chunk": CHUNKED + b"%x\r\n%s\r\n" % (len(FIRST), FIRST),
    "a torn gzip": SSE + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0",
    "an unknown encoding": SSE + b"Content-Encoding: rot13\r\n\r\nqngn: {}\n",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0"
    b"\r\n\r\n",
    "an error that is cut": b"HTTP/1.1 500 Oh\r\nContent-Length: 50\r\n\r\n{",
}


@contextlib.contextmanager
def raw_service(answer):
    """Serve these bytes to each who asks, and hang up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(10)
                    connection.recv(1 << 16)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):  # else the rest of a request resets it
                        pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(15)


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("dialect", ["openai", "native"])
def test_what_is_no_answer_on_the_socket_is_our_error_and_a_row(at_once, dialect, answer):
    with (
        raw_service(answer) as port,
        Swiftask(
            base_url=f"http://127.0.0.1:{port}", token=TOKEN, agent="a", dialect=dialect
        ) as client,
    ):
        with pytest.raises(errors.SwiftaskError) as caught:
            client.ask("hello")
        assert list(client.usage()["status"]) == ["error"]
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_service_that_speaks_no_tls_was_sent_nothing(at_once):
    with (
        raw_service(b"HTTP/1.1 400 plain\r\nContent-Length: 0\r\n\r\n") as port,
        asks(f"https://127.0.0.1:{port}", TOKEN) as client,
        pytest.raises(errors.ConnectionFailed) as caught,
    ):
        client.ask("hello")
    assert caught.value.sent is False


# Redirects and cookies: what belongs to one address stays there.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("dialect", ["openai", "native", "chat", "agencii", "widget"])
def test_a_redirect_is_an_error_and_the_token_stays(box, dialect, status):
    tokens = {"agencii": box.agencii_token, "widget": box.client_token("echo")}
    with (
        Sandbox() as elsewhere,
        Swiftask(
            base_url=box.url,
            token=tokens.get(dialect, box.token),
            agent=box.integration_id("echo") if dialect == "agencii" else "echo",
            dialect=dialect,
        ) as client,
    ):
        box.fail(Fault(redirect=f"{elsewhere.url}/v1/chat/completions", status=status))
        with pytest.raises(errors.BadRequest, match="does not follow a redirect"):
            client.ask("hello")

        assert elsewhere.requests == []
    assert len(posts(box)) == 1


def test_a_redirected_upload_takes_no_file_elsewhere(box):
    with (
        Sandbox() as elsewhere,
        Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client,
    ):
        box.fail(Fault(redirect=elsewhere.url), path="/widget/get-signed-url")
        with pytest.raises(errors.BadRequest, match="redirect"):
            client.ask("look", files=[("a.txt", b"secret")])

        assert elsewhere.requests == []
    assert [seen.method for seen in box.requests] == ["GET"]


def test_a_cookie_of_one_answer_is_not_sent_with_the_next_question(box, client):
    """It would tie one token's questions to another's, and 127.0.0.1's cookies know no port."""
    box.fail(Fault(status=422, headers={"Set-Cookie": "who=first; Path=/"}))
    with pytest.raises(errors.BadRequest):
        client.ask("one")
    client.ask("two")

    assert "cookie" not in posts(box)[-1].headers


# Crowds.


def test_two_hundred_streams_at_once_through_one_client_are_all_right(box):
    said = [f"number {n}: " + "é🎉x" * n for n in range(200)]

    async def one(client, text):
        events = [event async for event in client.stream_async(text)]
        return "".join(getattr(event, "text", "") for event in events)

    async def all_of_them(client):
        return await asyncio.gather(*(one(client, text) for text in said))

    gc.collect()  # what others left behind is theirs
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as client:
            answers = asyncio.run(all_of_them(client))
            rows = client.usage()
        gc.collect()

    assert answers == said
    assert [str(each.message) for each in warned] == []
    assert list(rows["status"].unique()) == ["ok"]
    assert len(set(rows["turn"])) == len(said)
    assert box.wait_for(lambda: box.open_streams == 0)


def test_a_crowd_in_which_some_fail_and_some_leave_harms_nobody(box):
    async def one(client, n):
        if n % 3 == 1:
            with pytest.raises(errors.AgentNotFound):
                await client.ask_async("hello", "nobody")
            return None
        if n % 3 == 2:
            async with contextlib.aclosing(client.stream_async("hello", "slow")) as events:
                async for _ in events:
                    return None
        return (await client.ask_async(f"number {n}")).text

    async def all_of_them(client):
        return await asyncio.gather(*(one(client, n) for n in range(90)))

    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as client:
        answers = asyncio.run(all_of_them(client))
        assert box.wait_for(lambda: box.open_streams == 0)

    assert answers[::3] == [f"number {n}" for n in range(0, 90, 3)]


# Proxies.


class Proxy:
    """A real proxy on loopback: carries plain requests to the sandbox, refuses every tunnel."""

    def __init__(self, target):
        self.seen = []
        self._target = urlsplit(target)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as asked, contextlib.suppress(OSError):
            line = asked.readline().decode("latin-1").strip()
            head, size = [line], 0
            while (field := asked.readline().decode("latin-1").strip()) != "":
                head.append(field)
                if field.lower().startswith("content-length:"):
                    size = int(field.partition(":")[2])
            self.seen.append("\n".join(head))
            method, url, _ = line.split(" ")
            if method == "CONNECT":
                connection.sendall(b"HTTP/1.1 502 no tunnels here\r\nContent-Length: 0\r\n\r\n")
                return
            fields = [each for each in head[1:] if not each.lower().startswith("connection:")]
            told = [f"{method} {urlsplit(url).path} HTTP/1.1", *fields, "Connection: close", "", ""]
            with socket.create_connection((self._target.hostname, self._target.port)) as upstream:
                upstream.sendall("\r\n".join(told).encode("latin-1") + asked.read(size))
                while data := upstream.recv(1 << 16):
                    connection.sendall(data)

    def close(self):
        """Stop listening, and wait for what is being carried."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def proxy(box):
    proxy = Proxy(box.url)
    yield proxy
    proxy.close()


@pytest.fixture
def names(monkeypatch):
    """Every name is this machine's: what is asked directly comes here too."""
    real = socket.getaddrinfo

    def getaddrinfo(host, *given, **named):
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if name and name.endswith(".example") else host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def asks(base_url, token):
    return Swiftask(base_url=base_url, token=token, agent="echo", dialect="openai")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_configured_proxy_carries_what_is_for_another_host(
    box, proxy, names, monkeypatch, variable
):
    monkeypatch.setenv(variable, proxy.url)

    with asks("http://service.example", box.token) as client:
        assert client.ask("hello é 🎉").text == "hello é 🎉"

    (seen,) = proxy.seen
    assert seen.startswith("POST http://service.example/v1/chat/completions HTTP/1.1\n")
    assert "\naccept-encoding: identity\n" in seen.lower()  # as without one: packed, it may wait
    assert len(posts(box)) == 1


def test_no_proxy_is_used_unless_one_is_configured(box, proxy, names):
    port = urlsplit(box.url).port

    with asks(f"http://service.example:{port}", box.token) as client:
        assert client.ask("hello").text == "hello"

    assert proxy.seen == []
    assert posts(box)[0].headers["host"] == f"service.example:{port}"


def test_a_proxy_may_be_configured_taken_away_and_changed_at_any_time(
    box, proxy, names, monkeypatch
):
    other = Proxy(box.url)
    with (
        contextlib.closing(other),
        asks(f"http://service.example:{urlsplit(box.url).port}", box.token) as client,
    ):
        client.ask("straight")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        client.ask("by one")
        monkeypatch.setenv("HTTP_PROXY", other.url)
        client.ask("by another")
        monkeypatch.delenv("HTTP_PROXY")
        client.ask("straight again")

        assert (len(proxy.seen), len(other.seen), len(posts(box))) == (1, 1, 4)


def test_a_proxy_whose_port_is_none_is_one_line(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://ada:s3cret@127.0.0.1:99999")

    with (
        asks("http://service.example", "t" * 30) as client,
        pytest.raises(
            errors.ConnectionFailed, match=r"port must be 0-65535.*and the proxy"
        ) as failed,
    ):
        client.ask("hello")

    assert "s3cret" not in str(failed.value)


def test_what_is_exempt_goes_past_the_proxy(box, proxy, names, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "service.example")

    with asks(f"http://service.example:{urlsplit(box.url).port}", box.token) as client:
        assert client.ask("hello").text == "hello"

    assert proxy.seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_loopback_never_goes_through_a_proxy(box, proxy, monkeypatch, host):
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, proxy.url)

    with asks(f"http://{host}:{urlsplit(box.url).port}", box.token) as client:
        assert client.ask("hello").text == "hello"

    assert proxy.seen == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[0:0:0:0:0:0:0:1]", "127.0.0.2", "127.255.1.1"],
)
def test_every_name_of_loopback_is_asked_directly(monkeypatch, host):
    """As `settings.is_loopback` understands it: all of 127.0.0.0/8, and ::1 however written."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")

    async def chosen():
        transport, address = Transport(), parse_url(f"http://{host}:1/")
        try:
            straight = transport._is_direct(address)
            client = transport._httpx_pool.client_for(address).client  # which carries large bodies
            proxied = client._transport_for_url(httpx.URL(f"http://{host}:1/"))
            return straight and proxied is client._transport
        finally:
            await transport.aclose()

    assert asyncio.run(chosen())


def test_a_proxy_that_refuses_a_tunnel_sees_no_token_and_nothing_was_sent(
    box, proxy, monkeypatch, at_once
):
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)

    with (
        asks("https://service.example", box.token) as client,
        pytest.raises(errors.ConnectionFailed, match=r"service\.example") as caught,
    ):
        client.ask("hello")

    assert caught.value.sent is False
    assert len(proxy.seen) == 3
    for seen in proxy.seen:
        assert seen.startswith("CONNECT service.example:443 HTTP/1.1\n")
        assert box.token not in seen
    assert posts(box) == []


def test_a_proxy_that_is_not_there_says_what_to_check(box, monkeypatch, at_once):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with (
            asks("http://service.example", box.token) as client,
            pytest.raises(errors.ConnectionFailed, match="proxy") as caught,
        ):
            client.ask("hello")
    assert caught.value.sent is False


@pytest.mark.parametrize(
    "named",
    ["gopher://ada:s3cret@127.0.0.1:1", "http://proxy:port", "http://ada:s3cret/@127.0.0.1:1"],
)
def test_a_proxy_whose_url_is_none_is_a_setting_to_correct(box, monkeypatch, named):
    monkeypatch.setenv("HTTP_PROXY", named)

    with (
        asks("http://service.example", box.token) as client,
        pytest.raises(errors.ConfigurationError, match="HTTP_PROXY") as caught,
    ):
        client.ask("hello")
    assert "s3cret" not in str(caught.value)


def test_a_proxys_own_refusal_is_shown_with_its_status(box, proxy, names, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    box.fail(Fault(status=407, shape="html", message="who are you, proxy user?"))

    with (
        asks("http://service.example", box.token) as client,
        pytest.raises(errors.ServiceError, match="407") as caught,
    ):
        client.ask("hello")
    assert caught.value.status == 407


def test_a_connection_that_the_service_closed_meanwhile_is_opened_anew():
    """A service that says keep-alive and hangs up: the next question must not notice."""
    listening = socket.create_server(("127.0.0.1", 0))
    body = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})
    answer = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    hung_up = threading.Semaphore(0)

    def serve():
        for _ in range(3):
            connection, _ = listening.accept()
            with connection:
                asked = b""
                while b"\r\n\r\n" not in asked or not asked.endswith(b"}"):
                    asked += connection.recv(1 << 16)
                connection.sendall(answer.encode())
            hung_up.release()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = listening.getsockname()[1]
    with listening, asks(f"http://127.0.0.1:{port}", TOKEN) as client:
        for _ in range(3):
            answered = client.ask("hello")
            assert (answered.text, answered.reply.attempts) == ("hi", 1)
            assert hung_up.acquire(timeout=10)
        thread.join(10)


def test_clients_on_several_threads_may_be_the_first_to_import_httpx():
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


# Its logs: a widget's URL, and a redirect that repeats it, hold the token.


def test_no_token_reaches_a_log_and_the_users_own_requests_are_logged(caplog):
    moved = b"HTTP/1.1 307 moved\r\nLocation: /elsewhere?clientToken=" + TOKEN.encode() + b"\r\n"
    caplog.set_level(logging.DEBUG)

    with Service(always(sized(b"", moved))) as service:
        with (
            Swiftask(base_url=service.url, token=TOKEN, agent="a", dialect="widget") as client,
            pytest.raises(errors.BadRequest),
        ):
            client.ask("x" * (2 << 20))
        assert TOKEN in service.asked[0].decode()
        assert TOKEN not in caplog.text
        httpx.get(f"{service.url}/mine?of=their-own", trust_env=False)

    assert "of=their-own" in caplog.text
    assert "httpcore.http11" in {record.name for record in caplog.records}


def test_every_logger_of_httpx_is_known():
    with Swiftask(base_url="http://127.0.0.1:9", token=TOKEN, agent="a") as client:
        with pytest.raises(errors.ConnectionFailed):
            client.ask("x" * (2 << 20))
        theirs = {
            name
            for name, logger in logging.root.manager.loggerDict.items()
            if name.split(".")[0] in {"httpx", "httpcore"} and isinstance(logger, logging.Logger)
        }

    assert theirs <= {"httpcore", *LOGGERS}


def test_an_error_that_repeats_its_url_shows_no_token_however_it_is_written_there():
    def serve(service, connection):
        while (asked := service.take(connection)) is not None:
            said = b"Cannot " + asked.partition(b" HTTP")[0]
            connection.sendall(sized(said, b"HTTP/1.1 404 Not Found\r\n"))

    with (
        Service(serve) as service,
        Swiftask(base_url=service.url, token="s3+cr/et==", agent="a", dialect="widget") as client,
    ):
        with pytest.raises(errors.AgentNotFound, match="clientToken=") as caught:
            client.ask("hello")
        with pytest.raises(errors.BadRequest, match="clientToken=") as further:
            client.widget.config()

        for said in (caught.value, further.value, client.usage()["error"].iloc[0]):
            assert "s3" not in str(said)
