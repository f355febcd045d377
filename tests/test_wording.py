"""Counts with their noun."""

import pytest

from swiftask_jupyter.support.wording import quantity


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 turns"), (1, "1 turn"), (2, "2 turns"), (1000, "1,000 turns")],
)
def test_a_noun_is_in_the_plural_unless_there_is_exactly_one(count, text):
    assert quantity(count, "turn") == text
