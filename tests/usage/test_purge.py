"""Which turns `Swiftask.purge` erases."""

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.usage.purge import purge_scope


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one"),
        ({"everything": False, "session": None}, "exactly one"),
        ({"everything": True, "before": "1d"}, "exactly one"),
        ({"everything": "yes"}, "must be True"),
        ({"before": "soon"}, "no time"),
        ({"session": 3}, "name of a conversation"),
        ({"sesion": "main"}, "did you mean session"),
    ],
)
def test_a_purge_that_is_not_clear_is_refused(options, message):
    with pytest.raises(errors.ConfigurationError, match=message):
        purge_scope(options, (), str)


def test_each_option_names_its_turns():
    assert purge_scope({"everything": True}, (), str) == {}
    assert purge_scope({"before": "1970-01-02T00:00+00:00"}, (), str) == {"before": 86_400.0}


def test_a_purge_erases_a_conversation_by_its_name_or_its_id(client):
    client.ask("single")
    for name in ("one", "two"):
        client.session(name).ask(f"secret of {name}")
    identity = client.session("two").id

    assert client.purge(session="one") == 1
    assert client.purge(session=identity) == 1
    with pytest.raises(errors.ConfigurationError, match="no conversation 'three'; there is"):
        client.purge(session="three")
    assert client.usage(text=True)["prompt"].dropna().tolist() == ["single"]
    assert client.session("one").history() == []
    assert client.purge(everything=True) == 1
    assert client.usage()["agent"].tolist() == ["echo"] * 3
