"""The connections of a client: what a prompt needs, and the tokens that are never sent in one."""

from pathlib import Path

import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault


def test_a_prompt_without_a_token_or_an_agent_is_not_sent(box):
    with Swiftask(base_url=box.url, agent="echo") as no_token:
        with pytest.raises(errors.ConfigurationError, match="no token"):
            no_token.ask("hello")
        assert list(no_token.usage()["status"]) == ["refused"]
    with (
        Swiftask(base_url=box.url, token=box.token) as no_agent,
        pytest.raises(errors.ConfigurationError, match="no agent"),
    ):
        no_agent.ask("hello")
    assert box.requests == []


def test_an_empty_connection_named_by_a_call_is_refused(client, box):
    with pytest.raises(errors.ConfigurationError, match="connection is empty"):
        client.ask("hello", connection="")
    assert not box.requests


def test_a_prompt_with_the_token_of_a_dotenv_is_refused_and_not_recorded(
    box, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text(f"SWIFTASK_BASE_URL={box.url}\nSWIFTASK_API_KEY={box.token}")
    with Swiftask(store=tmp_path / "turns.db") as client:
        for asked in (
            lambda: client.ask(f"my key is {box.token}", "echo"),
            lambda: client.ask("hello", box.token, temperature=object()),
            lambda: client.ask("hello", "echo", files=[f"{box.token}.txt"]),
        ):
            with pytest.raises(errors.SwiftaskError) as caught:
                asked()
            assert box.token not in str(caught.value)
        assert len(client.usage()) == 3

    for file in tmp_path.glob("turns.db*"):
        assert box.token.encode() not in file.read_bytes()


def test_no_part_of_a_prompt_may_contain_any_of_the_users_tokens(client, box, monkeypatch):
    others = f"{box.token}-of-another"
    monkeypatch.setenv("SWIFTASK_API_KEY", others)  # the client itself has another one
    rows = pd.DataFrame({"text": ["hello", f"my key is {others}"]})

    for text, options in (
        (f"my other key is {others}", {}),
        ("hello", {"system": f"my key is {box.token}"}),
        ("hello", {"agent": others}),
        ("hello", {"user": others}),
        ("hello", {"metadata": {"keys": [box.token]}}),
        ("hello", {box.token: 1}),
        ("hello", {"dialect": "native", "files": [(".env", f"KEY={others}".encode())]}),
        ("hello", {"dialect": "native", "files": [(f"{box.token}.txt", b"hello")]}),
        ("hello", {"dialect": "native", "files": [f"https://host.example/?key={others}"]}),
    ):
        with pytest.raises(errors.PromptError, match="your token") as caught:
            client.ask(text, **options)
        assert box.token not in str(caught.value)
    assert list(client.map(rows, "{{text}}", progress=False).status) == ["ok", "refused"]

    assert [seen.method for seen in box.requests] == ["POST"]
    kept = client.usage(text=True).to_csv()
    assert box.token not in kept
    assert "of-another" not in kept  # not even the end of a token that begins with another one


def test_every_token_that_was_ever_used_is_masked(client, box, monkeypatch):
    monkeypatch.setenv("SWIFTASK_API_KEY", f"{box.token}-of-another")

    masked = client.connections.mask(f"{box.token}-of-another and {box.token}")

    assert box.token not in masked
    assert "of-another" not in masked


def test_the_catalogue_is_empty_while_a_slow_service_is_waited_for(client, box):
    box.fail(Fault(delay=0.5), path="/public/bots")

    assert client.connections.catalogue(timeout=0.05) == ()
    assert "echo" in {agent.slug for agent in client.connections.catalogue()}
    assert [seen.path for seen in box.requests] == ["/public/bots"]
