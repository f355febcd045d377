"""Clients of the sandbox, one for each further dialect."""

import pytest

from swiftask_jupyter import Swiftask
from tests.support.dialects import agencii_client


@pytest.fixture
def native(box):
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client:
        yield client


@pytest.fixture
def chat(box):
    with Swiftask(base_url=box.url, token=box.token, agent="mirror", dialect="chat") as client:
        yield client


@pytest.fixture
def agencii(box):
    with agencii_client(box) as client:
        yield client
