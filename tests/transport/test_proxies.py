"""Requests through a real proxy: when it is used, what it sees, and its failures."""

import asyncio
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.transport.http1 import parse_url
from tests.support.cells import posts
from tests.support.servers import Proxy

pytestmark = pytest.mark.usefixtures("http_allowed")  # the services here have no certificate

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def client_of(base_url, token):
    return Swiftask(base_url=base_url, token=token, agent="echo", dialect="openai")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_configured_proxy_carries_requests_to_other_hosts(
    box, proxy, example_hosts, monkeypatch, variable
):
    monkeypatch.setenv(variable, proxy.url)

    with client_of("http://service.example", box.token) as client:
        assert client.ask("hello é 🎉").text == "hello é 🎉"

    (seen,) = proxy.seen
    assert seen.startswith("POST http://service.example/v1/chat/completions HTTP/1.1\n")
    assert "\naccept-encoding: identity\n" in seen.lower()  # compression could delay a stream
    assert len(posts(box)) == 1


def test_no_proxy_is_used_unless_one_is_configured(box, proxy, example_hosts):
    port = urlsplit(box.url).port

    with client_of(f"http://service.example:{port}", box.token) as client:
        assert client.ask("hello").text == "hello"

    assert proxy.seen == []
    assert posts(box)[0].headers["host"] == f"service.example:{port}"


def test_a_proxy_can_be_set_changed_and_removed_between_requests(
    box, proxy, example_hosts, monkeypatch
):
    with (
        Proxy(box.url) as other,
        client_of(f"http://service.example:{urlsplit(box.url).port}", box.token) as client,
    ):
        client.ask("directly")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        client.ask("through one")
        monkeypatch.setenv("HTTP_PROXY", other.url)
        client.ask("through the other")
        monkeypatch.delenv("HTTP_PROXY")
        client.ask("directly again")

        assert (len(proxy.seen), len(other.seen), len(posts(box))) == (1, 1, 4)


def test_a_host_in_no_proxy_is_reached_directly(box, proxy, example_hosts, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "service.example")

    with client_of(f"http://service.example:{urlsplit(box.url).port}", box.token) as client:
        assert client.ask("hello").text == "hello"

    assert proxy.seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_a_service_on_this_machine_is_reached_directly(box, proxy, monkeypatch, host):
    for variable in VARIABLES:
        monkeypatch.setenv(variable, proxy.url)

    with client_of(f"http://{host}:{urlsplit(box.url).port}", box.token) as client:
        assert client.ask("hello").text == "hello"

    assert proxy.seen == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[0:0:0:0:0:0:0:1]", "127.0.0.2", "127.255.1.1"],
)
def test_every_address_of_this_machine_is_reached_directly(monkeypatch, host):
    """As `settings` defines loopback: all of 127.0.0.0/8, and ::1 in every spelling."""
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "http://127.0.0.1:9")

    async def run():
        transport, address = Transport(), parse_url(f"http://{host}:1/")
        try:
            is_direct = transport._is_direct(address)
            client = transport._httpx_pool.client_for(address).client  # for large uploads
            used = client._transport_for_url(httpx.URL(f"http://{host}:1/"))
            return is_direct and used is client._transport
        finally:
            await transport.aclose()

    assert asyncio.run(run())


def test_a_proxy_that_refuses_a_tunnel_receives_no_token(box, proxy, monkeypatch, no_retry_delay):
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)

    with (
        client_of("https://service.example", box.token) as client,
        pytest.raises(errors.ConnectionFailed, match=r"service\.example") as caught,
    ):
        client.ask("hello")

    assert caught.value.sent is False
    assert len(proxy.seen) == 3
    for seen in proxy.seen:
        assert seen.startswith("CONNECT service.example:443 HTTP/1.1\n")
        assert box.token not in seen
    assert posts(box) == []


def test_an_unreachable_proxy_is_named_among_the_things_to_check(box, monkeypatch, no_retry_delay):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with (
            client_of("http://service.example", box.token) as client,
            pytest.raises(errors.ConnectionFailed, match="proxy") as caught,
        ):
            client.ask("hello")
    assert caught.value.sent is False


@pytest.mark.parametrize(
    "url",
    ["gopher://ada:s3cret@127.0.0.1:1", "http://proxy:port", "http://ada:s3cret/@127.0.0.1:1"],
)
def test_an_invalid_proxy_url_is_a_setting_to_correct(box, monkeypatch, url):
    monkeypatch.setenv("HTTP_PROXY", url)

    with (
        client_of("http://service.example", box.token) as client,
        pytest.raises(errors.ConfigurationError, match="HTTP_PROXY") as caught,
    ):
        client.ask("hello")
    assert "s3cret" not in str(caught.value)


def test_an_invalid_proxy_port_is_one_line_without_the_password(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://ada:s3cret@127.0.0.1:99999")

    with (
        client_of("http://service.example", "t" * 30) as client,
        pytest.raises(
            errors.ConnectionFailed, match=r"port must be 0-65535.*and the proxy"
        ) as caught,
    ):
        client.ask("hello")

    assert "s3cret" not in str(caught.value)


def test_an_error_of_the_proxy_itself_is_shown_with_its_status(
    box, proxy, example_hosts, monkeypatch
):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    box.fail(Fault(status=407, shape="html", message="who are you, proxy user?"))

    with (
        client_of("http://service.example", box.token) as client,
        pytest.raises(errors.ServiceError, match="407") as caught,
    ):
        client.ask("hello")
    assert caught.value.status == 407
