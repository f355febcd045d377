"""The options of a batch: a wrong one is refused in one line before anything is sent."""

import pandas as pd
import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.batch.options import BatchSettings

FRAME = pd.DataFrame({"text": ["one", "two"]})


def test_options_of_the_batch_are_separated_from_those_of_its_requests():
    settings = BatchSettings.from_options("echo", {"pilot": 2, "temperature": 0, "timeout": 5})

    assert (settings.agent, settings.pilot, settings.tries) == ("echo", 2, 4)
    assert settings.options == {"temperature": 0, "timeout": 5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurency": 3}, "no option concurency; did you mean concurrency?"),
        ({"concurrency": 0}, "concurrency must be a whole number of at least 1, not 0"),
        ({"tries": 2.5}, "tries must be a whole number of at least 1, not 2.5"),
        ({"retry": "failed"}, "no retry 'failed'"),
        ({"confirm": "maybe"}, "confirm must be true, false or null, not 'maybe'"),
        ({"prefix": 5}, "prefix must be a text, not 5"),
        ({"files": 5}, "files must be the name of a column, not 5"),
        ({"schema": "answer: str"}, "can't name a column 'answer'"),
    ],
)
def test_an_invalid_option_is_an_error_of_one_line(client, options, message):
    with pytest.raises(errors.ConfigurationError, match=message):
        client.map(FRAME, "say {{text}}", **options)


@pytest.mark.parametrize("option", ["fresh", "history", "last", "replay"])
def test_an_option_of_conversations_is_refused(client, box, option):
    with pytest.raises(errors.ConfigurationError, match=f"{option} is an option of Session.ask"):
        client.map(FRAME, "say {{text}}", **{option: False})
    assert box.requests == []
