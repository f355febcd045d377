"""HTTP clients of a sandbox for each kind of credential, and a machine without the model."""

import httpx
import pytest

from tests.support.sandbox_requests import http_client


@pytest.fixture
def account(box):
    """An HTTP client that sends the account's API key."""
    with http_client(box) as client:
        yield client


@pytest.fixture
def visitor(box):
    """An HTTP client that sends no Authorization header."""
    with httpx.Client(base_url=box.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def agencii(box):
    """An HTTP client that sends the token of the platform of /get_completion."""
    with http_client(box, box.agencii_token) as client:
        yield client


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    """An empty folder in place of the one that holds the model's weights."""
    pytest.importorskip("xllamacpp", reason="without it, the error is another one")
    monkeypatch.setenv("SWIFTASK_MODELS", str(tmp_path))
    return tmp_path
