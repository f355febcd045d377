"""What `swiftask-jupyter privacy` says, outside of a notebook."""

from swiftask_jupyter import Swiftask
from swiftask_jupyter.cli import main
from swiftask_jupyter.notebook.privacy import WIDTH, describe


def test_the_command_line_says_what_is_sent_and_kept(capsys, tmp_path):
    assert main(["privacy"]) == 0

    printed = capsys.readouterr().out
    assert "https://graphql.swiftask.ai (the documented addresses)" in " ".join(printed.split())
    assert str(tmp_path / "turns.db") in printed
    assert max(map(len, printed.splitlines())) <= max(WIDTH, len(str(tmp_path)) + 40)


def test_a_ledger_that_others_can_read_is_named_as_such(client, tmp_path):
    client.ask("hello")
    (tmp_path / "turns.db").chmod(0o644)

    said = " ".join(" ".join(describe(client)).split())

    assert f"which others on this machine can read (chmod 600 {tmp_path / 'turns.db'})" in said


def test_the_history_of_ipython_and_the_outbox_are_named(
    postgres_server, box, tmp_path, monkeypatch
):
    monkeypatch.setenv("SWIFTASK_OUTBOX", str(tmp_path))
    with Swiftask(base_url=box.url, token=box.token, store=postgres_server.database()) as client:
        said = " ".join(" ".join(describe(client, tmp_path / "history.sqlite")).split())

    assert f"{tmp_path}/outbox-" in said
    assert "0 transactions" in said
    assert "history.sqlite: the source of each cell" in said


def test_the_report_opens_no_connection(box, client):
    list(describe(client))

    assert box.requests == []
