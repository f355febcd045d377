"""Our own exchanges, over real sockets: what is kept, what is cut, what is never taken."""

import asyncio
import contextlib
import gc
import gzip
import socket
import struct
import subprocess
import sys
import threading
import warnings
import zlib

import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.chat import Chat
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.transport import sockets
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.transport.connection import MAX_UNREAD_BYTES, Connection
from swiftask_jupyter.transport.exchange import NO_HOOK, RequestHook
from tests.support.servers import AUTHORITY, OK, Service, always, sized

HERE = "127.0.0.1"
PIECE = b'data: {"choices":[{"delta":{"content":"half"}}]}\n\n'
END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
SSE = OK + b"Content-Type: text/event-stream\r\n"
CODED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKED = SSE + CODED


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


ANSWER = CHUNKED + chunk(PIECE) + chunk(END) + chunk(b"")


@contextlib.asynccontextmanager
async def transport():
    made = Transport()
    try:
        yield made
    finally:
        await made.aclose()


async def get(transport, url):
    return (await transport.fetch(Request("GET", url, {})))[1]


def got(url, times=1):
    """Fetch it so often, one after the other, and return the bodies."""

    async def fetch():
        async with transport() as made:
            return [await get(made, url) for _ in range(times)]

    return asyncio.run(fetch())


async def ask(transport, url, patience=None, hook=NO_HOOK, dialect=OpenAI):
    """Carry one question, as a turn does; return the reply and the error."""
    reply, prompt = Reply(agent="a"), Prompt("a", "hi", timeout=patience)
    protocol = dialect(f"{url}/v1", Secret("s3cr3t-t0ken"))
    try:
        async with contextlib.aclosing(transport.stream(protocol, prompt, hook=hook)) as answer:
            async for events in answer:
                reply.apply(events)
    except errors.SwiftaskError as error:
        return reply, error
    return reply, None


def asked(url, patience=None):
    async def carry():
        async with transport() as made:
            return await ask(made, url, patience)

    return asyncio.run(carry())


@pytest.fixture
def trusted(monkeypatch):
    """The system trusts the authority of the tests."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))


# What is kept.


def test_one_connection_carries_one_question_after_another():
    with Service(always(ANSWER)) as service:

        async def carry():
            async with transport() as made:
                return [(await ask(made, service.url))[0].text for _ in range(5)]

        assert asyncio.run(carry()) == ["half"] * 5
    assert (service.accepted, len(service.asked)) == (1, 5)


@pytest.mark.parametrize(
    ("before", "within", "sent"), [(1, 60, False), (1, 0, True), (0, 60, True)]
)
def test_what_hangs_up_at_once_on_a_kept_connection_has_not_heard(
    monkeypatch, before, within, sent
):
    """It closed after its last answer, without having said so; then it may be asked again."""
    monkeypatch.setattr("swiftask_jupyter.transport.connection.STALE_CLOSE_SECONDS", within)

    def serve(service, connection):
        for _ in range(before):
            service.take(connection)
            connection.sendall(sized(b"yes"))
        service.take(connection)

    with Service(serve) as service:

        async def fetch():
            async with transport() as made:
                for _ in range(before):
                    assert await get(made, service.url) == b"yes"
                with pytest.raises(errors.ConnectionFailed, match="connection closed") as caught:
                    await get(made, service.url)
                return caught.value.sent

        assert asyncio.run(fetch()) is sent
    assert service.accepted == 1


def test_many_at_once_have_a_connection_each_and_later_ones_take_the_same():
    together = threading.Barrier(8)

    def serve(service, connection):
        while service.take(connection) is not None:
            together.wait(20)
            connection.sendall(sized(b"yes"))

    with Service(serve) as service:

        async def fetch():
            async with transport() as made:
                for _ in range(3):
                    bodies = await asyncio.gather(*(get(made, service.url) for _ in range(8)))
                    assert bodies == [b"yes"] * 8

        asyncio.run(fetch())
    assert service.accepted == 8


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
    ids=["it says so", "it is older", "more came", "another answer came", "two ways to end"],
)
def test_a_connection_that_may_not_be_used_again_is_not(response):
    with Service(always(response)) as service:
        assert got(service.url, times=3) == [b"yes"] * 3
    assert service.accepted == 3


def test_what_comes_unasked_is_no_answer_to_the_next_question():
    came = threading.Event()

    def serve(service, connection):
        first = not service.asked
        service.take(connection)
        connection.sendall(sized(b"yes"))
        if first:
            asking.wait(20)
            connection.sendall(sized(b"nobody asked for this"))
            came.set()

    asking = threading.Event()
    with Service(serve) as service:

        async def fetch():
            async with transport() as made:
                bodies = [await get(made, service.url)]
                asking.set()
                came.wait(20)  # the loop stands still: it has not read what is here
                return [*bodies, await get(made, service.url)]

        assert asyncio.run(fetch()) == [b"yes", b"yes"]
    assert service.accepted == 2


def test_a_connection_with_an_answer_nobody_read_is_not_used_again():
    """The service was told to wait on it, so no other answer would ever come."""
    whole = sized(b"x" * (3 * MAX_UNREAD_BYTES))
    with Service(always(whole)) as service:

        async def fetch():
            async with transport() as made:
                for _ in range(3):
                    with pytest.raises(errors.StreamError, match="over 0 MB"):
                        await made.fetch(Request("GET", service.url, {}), limit=10)

        asyncio.run(fetch())
    assert service.accepted == 3


LOOP = []
LOOP.append(LOOP)


@pytest.mark.parametrize("said", ["me\r\nX-Other: you", LOOP])
def test_a_request_that_cannot_be_written_is_the_prompts_fault(said):
    dialect = "native" if said is LOOP else "chat"
    with (
        Service(always(ANSWER)) as service,
        Swiftask(base_url=service.url, token="s3cr3t", agent="a", dialect=dialect) as client,
        pytest.raises(errors.PromptError, match="can't be written"),
    ):
        client.ask("hello", user_identifier=said)
    assert service.asked == []


def test_a_new_loop_opens_connections_of_its_own():
    made = Transport()
    with Service(always(sized(b"yes"))) as service:

        async def fetch():
            try:
                return await get(made, service.url)
            finally:
                await made.aclose()

        assert [asyncio.run(fetch()), asyncio.run(fetch())] == [b"yes", b"yes"]


# Where it leads.


def leading_to(monkeypatch, *addresses):
    found = [
        (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0))
        for each in addresses
    ]

    def getaddrinfo(_host, port, *_, **__):
        return [(*each[:4], (each[4][0], port)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_an_address_that_leads_nowhere_does_not_keep_the_next_from_being_tried(monkeypatch):
    left, real = [], sockets._connect

    async def connect(place):
        if ":" not in place[1][0]:
            return await real(place)
        try:
            await asyncio.Event().wait()
        finally:
            left.append(place)

    monkeypatch.setattr(sockets, "_connect", connect)
    leading_to(monkeypatch, "2001:db8::1", "2001:db8::2", HERE)
    with Service(always(ANSWER)) as service:
        reply, _ = asked(service.url.replace(HERE, "service.example"))

    assert reply.text == "half"
    assert [place[1][0] for place in left] == ["2001:db8::1"]  # families take turns


def test_a_host_none_of_whose_addresses_takes_it_was_sent_nothing(monkeypatch):
    leading_to(monkeypatch, HERE, HERE)
    with Service(always(ANSWER)) as service:
        url = service.url
    _, error = asked(url.replace(HERE, "service.example"))

    assert type(error) is errors.ConnectionFailed
    assert "cannot reach service.example:" in str(error)
    assert error.sent is False


def test_a_host_that_nobody_knows_was_sent_nothing(monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    _, error = asked("http://service.example")

    assert "Name or service not known" in str(error)
    assert error.sent is False


# What is cut.


def test_an_answer_that_is_cut_at_any_byte_is_an_error_and_is_not_asked_again():
    cuts = list(range(len(ANSWER)))
    left = iter(cuts)

    def serve(service, connection):
        service.take(connection)
        connection.sendall(ANSWER[: next(left)])

    with Service(serve) as service:

        async def carry():
            async with transport() as made:
                return [await ask(made, service.url) for _ in cuts]

        found = asyncio.run(carry())
    head, whole = len(CHUNKED), ANSWER.index(b"[DONE]\n") + len(b"[DONE]\n")
    for at, (reply, error) in zip(cuts, found, strict=True):
        if at >= whole:
            assert (reply.text, reply.finish_reason, error) == ("half", "stop", None)
            continue
        assert isinstance(error, errors.ConnectionFailed if at < head else errors.StreamError), at
        assert getattr(error, "sent", True)
        assert reply.text == ("half" if at >= head + len(chunk(PIECE)) - 3 else "")
    assert len(service.asked) == len(cuts)


def test_an_answer_that_comes_byte_by_byte_is_whole():
    def serve(service, connection):
        service.take(connection)
        for at in range(len(ANSWER)):
            connection.sendall(ANSWER[at : at + 1])

    with Service(serve) as service:
        reply, error = asked(service.url)
    assert (reply.text, reply.finish_reason, error) == ("half", "stop", None)


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        (b"", errors.ConnectionFailed),
        (OK, errors.ConnectionFailed),
        (CHUNKED + chunk(PIECE), errors.StreamError),
    ],
    ids=["before anything", "in the head", "in the body"],
)
def test_a_reset_is_an_error_after_what_came(before, kind):
    read = threading.Event()

    def serve(service, connection):
        service.take(connection)
        connection.sendall(before)
        if kind is errors.StreamError:
            read.wait(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    class Watched(RequestHook):
        def on_response(self, _head):
            asyncio.get_running_loop().call_soon(read.set)

    with Service(serve) as service:

        async def carry():
            async with transport() as made:
                return await ask(made, service.url, hook=Watched())

        reply, error = asyncio.run(carry())
    assert type(error) is kind
    assert reply.text == ("half" if kind is errors.StreamError else "")


@pytest.mark.parametrize(
    ("dialect", "piece"), [(OpenAI, PIECE), (Chat, b'data: {"chunk": "half"}\n')]
)
@pytest.mark.parametrize("after", ["nothing", "a hang-up", "more and more"])
def test_an_answer_that_has_said_that_it_is_over_is(dialect, piece, after):
    gone = threading.Event()

    def serve(service, connection):
        service.take(connection)
        connection.sendall(CHUNKED + chunk(piece) + chunk(b"data: [DONE]\n\n"))
        if after != "a hang-up":
            with contextlib.suppress(OSError):
                while after == "more and more":
                    connection.sendall(chunk(piece))
                assert connection.recv(1) == b""
        gone.set()

    with Service(serve) as service:

        async def carry():
            async with transport() as made:
                return await ask(made, service.url, patience=10, dialect=dialect)

        reply, error = asyncio.run(carry())
        assert gone.wait(20)
    assert (reply.text, error) == ("half", None)


def test_a_connection_is_kept_where_the_end_of_the_body_comes_a_little_later():
    heard = threading.Event()

    def serve(service, connection):
        while service.take(connection) is not None:
            connection.sendall(ANSWER[: -len(chunk(b""))])
            assert heard.wait(20)
            heard.clear()
            connection.sendall(chunk(b""))

    class Watched(RequestHook):
        def on_response(self, _head):
            asyncio.get_running_loop().call_later(0.02, heard.set)

    with Service(serve) as service:

        async def carry():
            async with transport() as made:
                return [await ask(made, service.url, hook=Watched()) for _ in range(3)]

        assert [error for _, error in asyncio.run(carry())] == [None] * 3
    assert service.accepted == 1


def test_a_refusal_whose_words_break_off_is_a_refusal_all_the_same():
    def serve(service, connection):
        service.take(connection)
        head = b"HTTP/1.1 429 slow\r\nRetry-After: 7\r\nContent-Length: 99\r\n\r\n"
        connection.sendall(head + b"slow down, ple")

    with Service(serve) as service:
        _, error = asked(service.url)
    assert isinstance(error, errors.RateLimited)
    assert error.retry_after == 7
    assert "slow down, ple" in str(error)


def test_a_reader_that_is_slow_at_the_end_leaves_the_next_question_alone():
    whole = sized(PIECE + END[: -len(b"data: [DONE]\n\n")], SSE)

    async def carry(url):
        protocol = OpenAI(f"{url}/v1", Secret("s3cr3t-t0ken"))
        async with transport() as made:
            async for _ in made.stream(protocol, Prompt("a", "hi", timeout=0.05)):
                await asyncio.sleep(0.2)
            return await ask(made, url)

    with Service(always(whole)) as service:
        reply, error = asyncio.run(carry(service.url))
    assert (reply.text, error) == ("half", None)
    assert service.accepted == 1


@pytest.mark.parametrize("before", [b"", CHUNKED + chunk(PIECE)], ids=["head", "body"])
def test_silence_is_an_error_and_closes_the_connection(before):
    gone = threading.Event()

    def serve(service, connection):
        service.take(connection)
        connection.sendall(before)
        with contextlib.suppress(OSError):
            assert connection.recv(1) == b""
        gone.set()

    with Service(serve) as service:
        reply, error = asked(service.url, patience=0.3)
        assert gone.wait(20)
    assert isinstance(error, errors.TimedOut)
    assert "was silent for 0.3 s" in str(error)
    assert error.sent
    assert reply.text == ("half" if before else "")


@pytest.mark.parametrize("before", [b"", CHUNKED + chunk(PIECE)], ids=["head", "body"])
def test_whoever_leaves_closes_the_connection(before):
    waiting, gone = threading.Event(), threading.Event()

    def serve(service, connection):
        service.take(connection)
        connection.sendall(before)
        waiting.set()
        with contextlib.suppress(OSError):
            assert connection.recv(1) == b""
        gone.set()

    with Service(serve) as service:

        async def leave():
            async with transport() as made:
                task = asyncio.create_task(ask(made, service.url))
                await asyncio.to_thread(waiting.wait, 20)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                assert await asyncio.to_thread(gone.wait, 20)  # while the transport lives on

        asyncio.run(leave())


@pytest.mark.parametrize("host", [HERE, "localhost"])
@pytest.mark.parametrize("secure", [False, True])
def test_whoever_leaves_at_any_moment_leaves_nothing_open(trusted, host, secure):
    with Service(always(ANSWER), secure=secure) as service:
        url = service.url.replace(HERE, host)

        async def leave():
            async with transport() as made:
                for passes in range(60):
                    task = asyncio.create_task(ask(made, url))
                    for _ in range(passes):
                        await asyncio.sleep(0)
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                assert (await ask(made, url))[0].text == "half"

        gc.collect()  # what others left behind is theirs
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            asyncio.run(leave())
            gc.collect()
    assert [str(each.message) for each in warned] == []


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time a test can move on."""

    ahead = 0.0

    def time(self):
        return super().time() + self.ahead


def test_only_silence_counts_and_not_how_long_an_answer_takes():
    heard = threading.Semaphore(0)

    def serve(service, connection):
        service.take(connection)
        connection.sendall(CHUNKED)
        for _ in range(5):
            connection.sendall(chunk(PIECE))
            heard.acquire(timeout=20)
        connection.sendall(chunk(END) + chunk(b""))

    async def carry():
        loop, texts = asyncio.get_running_loop(), []
        protocol = OpenAI(f"{service.url}/v1", Secret("t"))
        async with transport() as made:
            stream = made.stream(protocol, Prompt("a", "hi", timeout=60))
            async with contextlib.aclosing(stream) as answer:
                async for events in answer:
                    texts += [event.text for event in events if hasattr(event, "text")]
                    loop.ahead += 50
                    heard.release()
        return texts

    with Service(serve) as service, asyncio.Runner(loop_factory=Clock) as runner:
        assert runner.run(carry()) == ["half"] * 5


def test_a_connection_that_was_idle_for_long_is_not_trusted():
    with Service(always(sized(b"yes"))) as service, asyncio.Runner(loop_factory=Clock) as runner:

        async def fetch():
            async with transport() as made:
                for ahead in (0, 3, 5):  # many services hang up after 5
                    asyncio.get_running_loop().ahead += ahead
                    assert await get(made, service.url) == b"yes"

        runner.run(fetch())
    assert service.accepted == 2


def test_a_reader_that_is_slow_makes_the_service_wait():
    whole, most, full = 30 * 1024 * 1024, [], asyncio.Event()
    piece = chunk(b"x" * 100_000)

    def serve(service, connection):
        service.take(connection)
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % whole)
        for _ in range(0, whole, len(piece)):
            connection.sendall(piece)

    class Watched(Connection):
        def data_received(self, data):
            super().data_received(data)
            most.append(self._unread_size)
            if not self._transport.is_reading():
                full.set()

    with Service(serve) as service:

        async def read():
            loop, size = asyncio.get_running_loop(), 0
            _, connection = await loop.create_connection(
                lambda: Watched("here"), "127.0.0.1", service.port
            )
            connection.send(b"GET / HTTP/1.1\r\n\r\n", 20, NO_HOOK)
            await full.wait()
            while size < whole:
                size += len(await connection.read_body())
            connection.close()
            return size

        assert asyncio.run(read()) == whole
    assert MAX_UNREAD_BYTES < max(most) < 2 * MAX_UNREAD_BYTES


# What is packed.


@pytest.mark.parametrize("named", [b"gzip", b"GZIP", b"x-gzip", b"identity"])
def test_a_list_may_come_packed(named):
    body = b"[" + b"0," * 500_000 + b"0]"
    sent = body if named == b"identity" else gzip.compress(body)
    with Service(always(sized(sent, OK + b"Content-Encoding: %s\r\n" % named))) as service:
        assert got(service.url) == [body]
    assert b"\r\nAccept-Encoding: gzip\r\n" in service.asked[0]


def test_a_little_that_unpacks_to_very_much_is_read_bit_by_bit():
    bomb = gzip.compress(b"\0" * (200 << 20))
    with (
        Service(always(sized(bomb, OK + b"Content-Encoding: gzip\r\n"))) as service,
        pytest.raises(errors.StreamError, match="over 8 MB"),
    ):
        got(service.url)


@pytest.mark.parametrize(
    ("named", "sent"),
    [
        (b"gzip", gzip.compress(b"hello")[:-9]),
        (b"gzip", b"hello"),
        (b"br", b"hello"),
        (b"deflate", zlib.compress(b"hello")),
        (b"gzip, gzip", gzip.compress(gzip.compress(b"hello"))),
    ],
    ids=["torn", "not at all", "otherwise", "as nobody asked", "twice"],
)
def test_what_is_packed_wrongly_is_an_error(named, sent):
    with (
        Service(always(sized(sent, OK + b"Content-Encoding: %s\r\n" % named))) as service,
        pytest.raises(errors.StreamError, match="cut short"),
    ):
        got(service.url)


def test_an_answer_is_not_asked_to_be_packed():
    with Service(always(ANSWER)) as service:
        asked(service.url)
    assert b"\r\nAccept-Encoding: identity\r\n" in service.asked[0]


# Gates.


class Shut(Exception):
    """The gate is shut."""


class Counting(RequestHook):
    """Shuts after so many, and notes what it is told."""

    def __init__(self, most):
        self.left, self.told = most, []

    def before_send(self):
        if not self.left:
            raise Shut
        self.left -= 1
        self.told.append("left")

    def on_response(self, head):
        self.told.append(head.status)


def test_a_gate_is_asked_before_a_byte_leaves_and_told_of_the_head():
    gate = Counting(1)
    with Service(always(ANSWER)) as service:

        async def carry():
            async with transport() as made:
                assert (await ask(made, service.url, hook=gate))[0].text == "half"
                with pytest.raises(Shut):
                    await ask(made, service.url, hook=gate)
                return await ask(made, service.url)

        assert asyncio.run(carry())[0].text == "half"
    assert gate.told == ["left", 200]
    assert (service.accepted, len(service.asked)) == (1, 2)  # what could not leave harmed nothing


# TLS.


def test_a_private_authority_is_trusted_and_the_connection_kept(trusted):
    with Service(always(ANSWER), secure=True) as service:

        async def carry():
            async with transport() as made:
                return [(await ask(made, service.url))[0].text for _ in range(3)]

        assert asyncio.run(carry()) == ["half"] * 3
    assert service.accepted == 1


def test_an_authority_that_nobody_trusts_is_sent_nothing():
    with Service(always(ANSWER), secure=True) as service:
        _, error = asked(service.url)
    assert "certificate verify failed" in str(error)
    assert (error.sent, service.asked) == (False, [])


@pytest.mark.parametrize(("host", "named"), [("service.example", True), ("other.example", False)])
def test_a_certificate_is_for_one_host_and_another_is_sent_nothing(
    trusted, monkeypatch, host, named
):
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *given, **by: real(HERE, *given, **by))
    with Service(always(ANSWER), secure=True) as service:
        reply, error = asked(service.url.replace(HERE, host))
    if named:
        assert (reply.text, error) == ("half", None)
    else:
        assert "certificate verify failed" in str(error)
        assert (error.sent, service.asked) == (False, [])


def test_a_secure_answer_may_be_cut_at_any_record(trusted):
    responses = [ANSWER[:at] for at in range(0, len(ANSWER), 40)]
    left = iter(responses)

    def serve(service, connection):
        service.take(connection)
        connection.sendall(next(left))

    with Service(serve, secure=True) as service:

        async def carry():
            async with transport() as made:
                return [await ask(made, service.url) for _ in responses]

        found = asyncio.run(carry())
    assert all(isinstance(error, errors.SwiftaskError) for _, error in found)
    assert len(service.asked) == len(responses)


def test_a_handshake_that_breaks_off_was_sent_nothing():
    def serve(_, connection):
        connection.recv(100)

    with Service(serve) as service:
        _, error = asked(service.url.replace("http:", "https:"))
    assert type(error) is errors.ConnectionFailed
    assert error.sent is False


# What is loaded.

WITHOUT = """
import sys
from swiftask_jupyter import Swiftask
with Swiftask(agent="echo", dialect=sys.argv[1]) as client:
    assert client.ask("hello").text == "hello"
    assert client.connections.catalogue()
print(*[name for name in ("httpx", "httpcore", "h11", "anyio") if name in sys.modules])
"""


@pytest.mark.parametrize("dialect", ["openai", "native", "auto"])
def test_no_general_client_is_loaded_for_what_is_direct(box, monkeypatch, dialect):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT, dialect], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("\n", "")


def test_a_large_file_goes_by_httpx_with_its_progress(monkeypatch):
    from swiftask_jupyter.transport import client as way

    carried, real = [], way.HttpxPool.exchange

    def exchange(self, request, *given):
        carried.append((request.method, len(request.content)))
        return real(self, request, *given)

    monkeypatch.setattr(way.HttpxPool, "exchange", exchange)
    with (
        Sandbox() as box,
        Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client,
    ):
        client.ask("look", files=[("large.bin", b"x" * (2 << 20)), ("small.bin", b"x")])

    assert carried == [("PUT", 2 << 20)]
