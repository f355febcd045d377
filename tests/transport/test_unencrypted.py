"""No token leaves this machine unencrypted, whatever sends the request."""

from urllib.parse import urlsplit

import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.doctor import diagnose
from tests.support.servers import RawServer, always, sized

REFUSED = r"would send your token unencrypted to \S+; use https, or set allow_http = true"
PATHS = {
    "ask": lambda client: client.ask("hello"),
    "conversation": lambda client: client.session().ask("hello"),
    "upload": lambda client: client.ask("look", files=[("a.txt", b"x")], dialect="native"),
    "large upload": lambda client: client.ask("look", files=[("a.txt", b"x" * 2_000_000)]),
    "batch": lambda client: client.map(pd.DataFrame({"a": [1]}), "{{a}}", progress=False),
    "catalogue": lambda client: client.agents(),
    "widget": lambda client: client.widget.config(),
    "dry run": lambda client: client.dry_run("hello"),
}


@pytest.fixture
def outside(box, example_hosts, monkeypatch):
    """The environment names the sandbox by a host name that is not loopback."""
    monkeypatch.setenv("SWIFTASK_BASE_URL", f"http://lan.example:{urlsplit(box.url).port}")
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "echo")
    return box


@pytest.mark.parametrize("path", PATHS)
def test_no_path_sends_a_token_unencrypted(outside, path):
    with Swiftask() as client:
        client.warm()
        with pytest.raises(errors.ConfigurationError, match=REFUSED):
            PATHS[path](client)

    assert outside.requests == []


@pytest.mark.parametrize("dialect", ["openai", "native", "widget", "chat", "agencii", "auto"])
def test_no_dialect_sends_a_token_unencrypted(outside, dialect):
    with Swiftask() as client, pytest.raises(errors.ConfigurationError, match=REFUSED):
        client.ask("hello", dialect=dialect)

    assert outside.requests == []


def test_a_proxy_on_this_machine_does_not_make_the_address_local(outside, proxy, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)

    with Swiftask() as client, pytest.raises(errors.ConfigurationError, match=REFUSED):
        client.ask("hello")

    assert proxy.seen == []


def test_doctor_says_so_in_one_line_and_opens_no_connection(outside):
    with Swiftask() as client:
        [finding] = diagnose(client)

    assert "unencrypted to lan.example" in finding.text
    assert outside.requests == []


def test_login_refuses_a_token_that_would_travel_unencrypted(outside, monkeypatch):
    monkeypatch.delenv("SWIFTASK_API_KEY")

    with Swiftask() as client:
        with pytest.raises(errors.ConfigurationError, match=REFUSED):
            client.connections.login_host()
        with pytest.raises(errors.ConfigurationError, match=REFUSED):
            client.connections.login("typed-token")
        assert not client.connections.resolve().token


def test_a_refused_token_is_masked_in_the_row_of_the_prompt(outside, tmp_path, monkeypatch):
    monkeypatch.delenv("SWIFTASK_API_KEY")
    (tmp_path / ".env").write_text(f"SWIFTASK_API_KEY={outside.token}\n")
    monkeypatch.chdir(tmp_path)

    with Swiftask() as client:
        with pytest.raises(errors.ConfigurationError, match="unencrypted"):
            client.ask(f"my token is {outside.token}")
        [prompt] = client.usage(text=True)["prompt"]

    assert outside.token not in prompt


def test_the_users_own_configuration_can_allow_it(outside, http_allowed):
    with Swiftask() as client:
        assert client.ask("hello").text == "hello"


def test_without_a_token_an_unencrypted_catalogue_can_be_read(outside, monkeypatch):
    monkeypatch.delenv("SWIFTASK_API_KEY")

    with Swiftask() as client:
        assert "echo" in list(client.agents()["slug"])


def test_an_encrypted_service_cannot_ask_for_an_unencrypted_upload(
    trusted_authority, example_hosts
):
    signed = sized(b'{"signedUrl": "http://storage.example:9/a?key=1", "fileUrl": "https://a/b"}')
    with (
        RawServer(always(signed), secure=True) as server,
        Swiftask(base_url=server.url, token="t" * 30, agent="a", dialect="native") as client,
        pytest.raises(errors.StreamError, match="unencrypted address to upload to"),
    ):
        client.ask("look", files=[("a.txt", b"secret")])


def test_a_redirect_from_an_encrypted_service_is_not_followed(trusted_authority, box):
    moved = b"HTTP/1.1 307 Moved\r\nLocation: %s/v1/chat/completions\r\nContent-Length: 0\r\n\r\n"
    with (
        RawServer(always(moved % box.url.encode()), secure=True) as server,
        Swiftask(base_url=server.url, token="t" * 30, agent="a", dialect="openai") as client,
        pytest.raises(errors.BadRequest, match="redirect"),
    ):
        client.ask("hello")

    assert box.requests == []
