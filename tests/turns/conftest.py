"""A client of the sandbox that chooses the dialect of each prompt."""

import pytest

from swiftask_jupyter import Swiftask


@pytest.fixture
def auto(box):
    with Swiftask(base_url=box.url, token=box.token) as client:
        yield client
