"""`%swiftask`, `config`, `login`, `doctor` and `client`."""

import json
import os

import pytest
from IPython.core.error import StdinNotImplementedError

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.sandbox.faults import Fault


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


def test_doctor_reports_success_and_that_answers_stream(connected, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "lorem")

    connected.run_line_magic("swiftask", "doctor")

    printed = capsys.readouterr().out
    assert "FAIL" not in printed
    assert "ok   streaming   first text after" in printed


HEALTHY = {  # configurations, and what the doctor reports of each
    "lorem by chat": "streaming   chat streams from a conversation's second turn on",
    "image by native": "ok   answer      image by native",
    "echo by openai": "ok   answer      echo by openai",  # in one piece, and no proxy is near
}


@pytest.mark.parametrize("asked", HEALTHY)
def test_doctor_reports_no_failure_of_a_healthy_configuration(
    connected, box, monkeypatch, capsys, asked
):
    agent, _, dialect = asked.split()
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", agent)
    monkeypatch.setenv("SWIFTASK_DIALECT", dialect)
    box.fail(Fault(status=404), path="/public/bots", times=None)

    for calls in ("0 calls", "1 call"):
        connected.run_line_magic("swiftask", "doctor")

        printed = capsys.readouterr().out
        assert "FAIL" not in printed
        assert "catalogue   the catalogue answered 404; agents can be asked without one" in printed
        assert f"turns.db, {calls}\n" in printed
        assert HEALTHY[asked] in printed


def test_doctor_sends_a_request_even_if_the_cache_is_on(connected, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "lorem")
    monkeypatch.setenv("SWIFTASK_CACHE", "on")

    for _ in range(2):
        connected.run_line_magic("swiftask", "doctor")

        assert "ok   streaming   first text after" in capsys.readouterr().out


def test_doctor_reports_a_malformed_proxy_and_continues(connected, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_BASE_URL", "http://service.invalid")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:port")

    connected.run_line_magic("swiftask", "doctor")

    assert "proxy       set to what is no address" in capsys.readouterr().out


UNUSABLE = {  # stores, and why
    os.sep: "unable to open database file",
    "postgresql://ada:s3cret@127.0.0.1:1/turns": "Connection refused",
}


@pytest.mark.parametrize("store", UNUSABLE)
def test_doctor_reports_why_the_ledger_is_unusable_and_continues(
    connected, monkeypatch, capsys, tmp_path, store
):
    monkeypatch.setenv("SWIFTASK_STORE", store)
    monkeypatch.setenv("SWIFTASK_OUTBOX", str(tmp_path))
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "lorem")

    for _ in range(2):
        connected.run_line_magic("swiftask", "doctor")

        printed = capsys.readouterr().out
        assert UNUSABLE[store] in printed.partition("FAIL ledger")[2].partition("\n")[0]
        assert " answer  " in printed
        assert "s3cret" not in printed


def test_doctor_reports_failures(shell, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_BASE_URL", "http://127.0.0.1:9")

    shell.run_line_magic("swiftask", "doctor")

    printed = capsys.readouterr().out
    assert "FAIL catalogue   cannot reach 127.0.0.1:9" in printed
    assert "FAIL answer      not asked: no token" in printed


HOSTILE = "echo\n\x1b]0;owned\x07\x1b[31m\u202e"


def test_control_characters_in_a_projects_settings_do_not_reach_the_terminal(
    connected, tmp_path, monkeypatch, capsys
):
    (tmp_path / "pyproject.toml").write_text(f"[tool.swiftask]\nagent = {json.dumps(HOSTILE)}")
    monkeypatch.chdir(tmp_path)
    lines = [f'use "{HOSTILE}"', f'session "{HOSTILE}"', "session list", "",  "config",
             f'budget 5 calls/day --agent "{HOSTILE}"']  # fmt: skip
    printed = []

    connected.run_line_magic("swiftask", "config")
    for line in lines:
        printed.append(capsys.readouterr().out)
        connected.run_line_magic("swiftask", line)
    with pytest.raises(errors.SwiftaskError):
        connected.run_cell_magic("swiftask", "", "hello\n")
    printed.append(capsys.readouterr().out)

    assert not [mark for mark in "\x1b\x07\u202e" for each in printed if mark in each]
    assert [each.count("echo ␛]0;owned") for each in printed] == [1, 1, 1, 1, 2, 1, 2]
    assert printed[-1].count("\n") == 2


def test_client_is_the_client_of_the_cells(connected):
    client = connected.run_line_magic("swiftask", "client")

    assert isinstance(client, Swiftask)
    assert client is connected.magics_manager.registry["SwiftaskMagics"].client
