"""Fixtures of the transport's tests."""

import socket

import pytest

from swiftask_jupyter.conversation import running_turn
from tests.support.servers import AUTHORITY, Proxy


@pytest.fixture
def no_retry_delay(monkeypatch):
    """A failed request is sent again without a delay."""
    real = running_turn.retry_delay
    monkeypatch.setattr(
        running_turn, "retry_delay", lambda *given: None if real(*given) is None else 0.0
    )


@pytest.fixture
def trusted_authority(monkeypatch):
    """The system trusts the certificates of `RawServer`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))


@pytest.fixture
def proxy(box):
    """A proxy that forwards everything to the sandbox."""
    with Proxy(box.url) as proxy:
        yield proxy


@pytest.fixture
def example_hosts(monkeypatch):
    """Every host name that ends in `.example` resolves to this machine."""
    real = socket.getaddrinfo

    def getaddrinfo(host, *args, **options):
        name = host.decode() if isinstance(host, bytes) else host
        is_example = bool(name) and name.endswith(".example")
        return real("127.0.0.1" if is_example else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def http_allowed(monkeypatch, tmp_path):
    """The user's own configuration allows tokens to travel unencrypted."""
    path = tmp_path / "user" / "swiftask_jupyter" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("allow_http = true\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
