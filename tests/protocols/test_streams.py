"""What other people's servers send: each response gives the right text, status, error and usage."""

import pytest

from tests.support import streams

CASES, NAMES = streams.load("streams.json")
FURTHER, FURTHER_NAMES = streams.load("further_streams.json")


@pytest.mark.parametrize("case", CASES + FURTHER, ids=NAMES + FURTHER_NAMES)
def test_a_response_from_the_world_has_the_right_outcome(case):
    assert streams.outcome(case) == {}
