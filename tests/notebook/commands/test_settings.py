"""`%swiftask`, `config`, `login` and `client`."""

import json

import pytest
from IPython.core.error import StdinNotImplementedError, UsageError

from swiftask_jupyter import Swiftask, errors


def test_the_status_names_the_sandbox_only_while_it_is_asked(connected, capsys):
    def sends_to():
        connected.run_line_magic("swiftask", "")
        return capsys.readouterr().out.partition("sends to  ")[2].partition("\n")[0]

    connected.run_line_magic("swiftask", "sandbox")
    assert sends_to().startswith("the sandbox, at http://127.0.0.1:")
    connected.run_line_magic("config", "SwiftaskMagics.base_url = 'https://other.example'")

    assert sends_to() == "https://other.example"


def test_the_status_shows_the_address_and_never_the_token(connected, box, capsys):
    connected.run_line_magic("swiftask", "")

    printed = capsys.readouterr().out
    assert box.url in printed
    assert box.token not in printed
    assert "SWIFTASK" not in printed


def test_config_lists_each_setting_and_where_it_comes_from(connected, box, capsys):
    connected.run_line_magic("swiftask", "config")

    printed = capsys.readouterr().out
    assert f"base_url      {box.url}  (SWIFTASK_BASE_URL in the environment)" in printed
    assert "token         set  (SWIFTASK_API_KEY in the environment)" in printed
    assert box.token not in printed


def test_config_lists_the_settings_that_are_not_of_the_connection(connected, capsys):
    connected.run_line_magic("config", "SwiftaskMagics.history_limit = 900")

    capsys.readouterr()
    connected.run_line_magic("swiftask", "config")
    found = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())

    assert found["cache"] == "off  (default)"
    assert found["history_limit"] == "900  (%config SwiftaskMagics)"
    assert found["nested"] == "off  (default)"
    assert found["store"].endswith("turns.db  (SWIFTASK_STORE in the environment)")


def test_login_asks_unseen_and_the_token_is_used(shell, box, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setattr("getpass.getpass", lambda _: f" {box.token} ")

    shell.run_line_magic("swiftask", "login")

    assert shell.run_cell_magic("swiftask", "echo", "hello\n").text == "hello"
    assert "until this kernel ends" in capsys.readouterr().out


def test_a_login_is_for_its_host_alone(shell, box, monkeypatch):
    monkeypatch.setenv("SWIFTASK_BASE_URL", "http://localhost:9")
    monkeypatch.setattr("getpass.getpass", lambda _: box.token)
    shell.run_line_magic("swiftask", "login")
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)

    with pytest.raises(errors.ConfigurationError, match="no token"):
        shell.run_cell_magic("swiftask", "echo", "hello\n")


@pytest.mark.parametrize(
    ("failure", "raised", "message"),
    [
        (EOFError, errors.ConfigurationError, "nobody can type here; set SWIFTASK_API_KEY"),
        (StdinNotImplementedError, errors.ConfigurationError, "nobody can type here"),
        (KeyboardInterrupt, errors.Interrupted, "nothing is changed"),
    ],
)
def test_a_login_that_nobody_can_type_is_an_error_of_one_line(
    shell, monkeypatch, failure, raised, message
):
    def unable(_):
        raise failure

    monkeypatch.setattr("getpass.getpass", unable)

    with pytest.raises(raised, match=message) as caught:
        shell.run_line_magic("swiftask", "login")
    assert caught.value.__suppress_context__


HOSTILE = "echo\n\x1b]0;owned\x07\x1b[31m\u202e"


def test_control_characters_in_a_projects_settings_do_not_reach_the_terminal(
    connected, tmp_path, monkeypatch, capsys
):
    (tmp_path / "pyproject.toml").write_text(f"[tool.swiftask]\nagent = {json.dumps(HOSTILE)}")
    monkeypatch.chdir(tmp_path)
    lines = [f'session "{HOSTILE}"', "session list", "",  "config",
             f'budget 5 calls/day --agent "{HOSTILE}"']  # fmt: skip
    printed = []

    connected.run_line_magic("swiftask", "config")
    for line in lines:
        printed.append(capsys.readouterr().out)
        connected.run_line_magic("swiftask", line)
    with pytest.raises(UsageError) as refused:
        connected.run_line_magic("swiftask", f'use "{HOSTILE}"')
    printed.append(str(refused.value))
    with pytest.raises(errors.SwiftaskError):
        connected.run_cell_magic("swiftask", "", "hello\n")
    printed.append(capsys.readouterr().out)

    assert not [mark for mark in "\x1b\x07\u202e" for each in printed if mark in each]
    assert [each.count("echo ␛]0;owned") for each in printed] == [1, 1, 1, 2, 1, 0, 2]
    assert printed[-1].count("\n") == 2


def test_client_is_the_client_of_the_cells(connected):
    client = connected.run_line_magic("swiftask", "client")

    assert isinstance(client, Swiftask)
    assert client is connected.magics_manager.registry["SwiftaskMagics"].client
