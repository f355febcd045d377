"""Base URLs: what is accepted, and what is refused without repeating it."""

import pytest

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.settings.connection import parse_base_url, token_host


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://graphql.swiftask.ai", "https://graphql.swiftask.ai"),
        ("https://graphql.swiftask.ai/", "https://graphql.swiftask.ai"),
        ("https://graphql.swiftask.ai/api", "https://graphql.swiftask.ai"),
        ("https://api.swiftask.fr/v1/", "https://api.swiftask.fr"),
        ("  http://127.0.0.1:8000/v1 ", "http://127.0.0.1:8000"),
        ("https://gate.example/swiftask/api", "https://gate.example/swiftask"),
    ],
)
def test_a_base_url_is_accepted_with_or_without_an_api_path(url, root):
    assert parse_base_url(url) == root


@pytest.mark.parametrize(
    "url",
    [
        "graphql.swiftask.ai",
        "ftp://x",
        "https://",
        "http://user:pw@host",
        "https://h?clientToken=s3cr3t",
        "http://h:99999",
        "http://[",
    ],
)
def test_an_unusable_base_url_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigurationError, match="base URL") as caught:
        parse_base_url(url)
    assert "s3cr3t" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("root", "host"),
    [
        ("https://a.example", "a.example"),
        ("https://a.example:443", "a.example"),
        ("https://a.example:8443", "https://a.example:8443"),
        ("http://a.example", "http://a.example"),
        ("http://127.0.0.1:8000", "127.0.0.1"),
    ],
)
def test_a_token_for_a_host_is_valid_over_https_on_the_standard_port_only(root, host):
    assert token_host(root) == host
