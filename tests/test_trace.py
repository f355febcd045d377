"""How many files of the package one prompt enters: a limit on how far apart its parts are."""

import pytest

from tests.support import trace


@pytest.fixture(scope="module")
def entered():
    """The functions entered by file, for each trip."""
    return trace.traced()


@pytest.mark.parametrize("trip", trace.LIMITS)
def test_a_warm_trip_enters_few_files(entered, trip):
    files = sorted(entered[trip])

    assert len(files) <= trace.LIMITS[trip], f"{len(files)}: {' '.join(files)}"


def test_the_trace_sees_every_part_of_a_trip(entered):
    expected = {"turns/attempt.py", "transport/http1.py", "protocols/openai.py", "ledger/turns.py"}

    assert [trip for trip in entered if not expected <= entered[trip].keys()] == []
    assert not [file for file in entered["cell"] if file.startswith("sandbox/")]
