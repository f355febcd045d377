"""`%swiftask privacy` and `purge` in a shell, and the setting that keeps no texts."""

import pandas as pd
import pytest
from IPython.core.error import UsageError

from swiftask_jupyter import Swiftask, errors
from tests.support.cells import contents, posts

CANARY = "canary"


def files_with_canary(folder):
    return sorted(
        path.name for path in folder.rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    )  # fmt: skip


def test_a_purge_of_more_than_a_conversation_needs_yes_and_asks_nothing(
    ask, command, capsys, tmp_path
):
    ask("echo", f"{CANARY} one")
    command("session other")
    ask("echo", f"{CANARY} two")

    for line in ("purge --all", "purge --before 2100-01-01"):
        with pytest.raises(UsageError, match=r"texts of 2 turns, .*add --yes"):
            command(line)
    assert files_with_canary(tmp_path) != []
    command("purge --session")
    assert list(command("usage --text")["prompt"].dropna()) == [f"{CANARY} one"]
    command("purge --all --yes")

    assert "the texts of 1 turn; clear" in capsys.readouterr().out
    assert files_with_canary(tmp_path) == []
    assert len(command("usage")) == 2


def test_a_purged_conversation_goes_on_without_the_erased_turns(ask, command, box):
    ask("echo", "one")
    command("purge --session")
    ask("echo", "two")

    assert contents(box) == ["two"]
    assert list(command("history")["prompt"]) == ["two"]


@pytest.mark.parametrize("line", ["purge 1 --all", "purge --yes", "purge --all --session", "purge"])
def test_a_purge_of_nothing_or_of_several_things_is_refused(command, line):
    with pytest.raises(UsageError, match="purge takes"):
        command(line)


def test_privacy_says_with_the_users_own_values_what_is_sent_and_kept(
    ask, command, capsys, box, tmp_path
):
    ask("echo", "hello")
    capsys.readouterr()

    command("privacy")

    said = " ".join(capsys.readouterr().out.split())
    for value in (
        box.url, "SWIFTASK_BASE_URL in the environment", "a sandbox on this machine",
        "SWIFTASK_API_KEY in the environment", "holds 1 turn now",
        f"{tmp_path / 'turns.db'}, readable by you alone: 1 turn of yours, 1 with prompt",
        "kept; %config SwiftaskMagics.keep_texts = False", "%swiftask purge --all --yes",
    ):  # fmt: skip
        assert value in said
    assert box.token not in said


def test_privacy_names_the_setting_that_keeps_no_texts_or_that_is_unusable(
    command, capsys, monkeypatch, connected
):
    connected.run_line_magic("config", "SwiftaskMagics.keep_texts = False")
    command("privacy")
    assert "not kept (%config SwiftaskMagics)" in capsys.readouterr().out
    command("config")
    assert "keep_texts    off  (%config SwiftaskMagics)" in capsys.readouterr().out

    monkeypatch.setenv("SWIFTASK_BASE_URL", "http://lan.example")
    command("privacy")
    said = " ".join(capsys.readouterr().out.split())
    assert "would send your token unencrypted to lan.example" in said


@pytest.fixture(params=["config", "environment"])
def no_texts(request, connected, monkeypatch):
    """Keep no texts, by either setting; return the user's variables."""
    if request.param == "config":
        connected.run_line_magic("config", "SwiftaskMagics.keep_texts = False")
    else:
        monkeypatch.setenv("SWIFTASK_KEEP_TEXTS", "0")
    return connected.user_ns


def test_without_texts_the_ledger_has_counts_and_the_footer_says_what_that_means(
    ask, command, box, tmp_path, no_texts
):
    first = ask("echo first <<", f"{CANARY} one") or no_texts["first"]
    ask("echo second <<", f"{CANARY} two")
    with pytest.raises(errors.SwiftaskError):
        ask("fault-400", f"{CANARY} three")

    second = no_texts["second"].reply
    assert first.text == f"{CANARY} one"
    assert contents(box)[0:1] == [f"{CANARY} three"]  # nothing else was sent along
    assert "earlier turns whose texts are not kept were not sent along" in second.remarks
    assert files_with_canary(tmp_path) == []
    frame = command("usage --text")
    assert list(frame["status"]) == ["ok", "ok", "error"]
    assert frame[["prompt", "answer", "error"]].isna().all(axis=None)
    assert list(frame["reported_total"].notna()) == [True, True, False]
    assert len(command("history")) == 0


def test_without_texts_the_cache_shows_nothing_again_and_says_so(
    ask, command, capsys, box, no_texts
):
    command("cache on")
    assert "no new answer can be shown again" in capsys.readouterr().out
    for _ in range(2):
        ask("echo --fresh a <<", "hello")

    assert len(posts(box)) == 2
    assert "not kept for the cache: no texts are kept" in no_texts["a"].reply.remarks


def test_without_texts_a_batch_says_that_it_cannot_be_resumed(client, monkeypatch, capsys, box):
    frame = pd.DataFrame({"a": ["x", "y"]})
    monkeypatch.setenv("SWIFTASK_KEEP_TEXTS", "0")
    for _ in range(2):
        out = client.map(frame, "{{a}}")
        assert list(out["answer"]) == ["x", "y"]

    assert "no texts are kept: the answers are in the frame alone" in capsys.readouterr().out
    assert len(posts(box)) == 4
    monkeypatch.setenv("SWIFTASK_KEEP_TEXTS", "1")  # rows without texts answer nothing later
    assert list(client.map(frame, "{{a}}")["answer"]) == ["x", "y"]
    assert len(posts(box)) == 6


def test_without_texts_an_import_is_refused(client, monkeypatch, tmp_path):
    session = client.session("a")
    session.ask("hello")
    path = session.export(tmp_path / "a.json")
    monkeypatch.setenv("SWIFTASK_KEEP_TEXTS", "0")

    with pytest.raises(errors.ConfigurationError, match="no texts are kept"):
        client.session("b").import_file(path)


def test_an_unusable_setting_is_one_line_and_keeps_nothing(box, monkeypatch, tmp_path):
    monkeypatch.setenv("SWIFTASK_KEEP_TEXTS", "perhaps")

    with (
        Swiftask(store=tmp_path / "a.db", agent="echo") as client,
        pytest.raises(errors.ConfigurationError, match="neither 0 nor 1"),
    ):
        client.ask(CANARY)
    assert files_with_canary(tmp_path) == []
