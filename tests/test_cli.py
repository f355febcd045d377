"""The command line: its commands, what they print and their exit status."""

import pytest

from swiftask_jupyter.cli import DEMO_PROMPT, main


def test_an_impossible_port_is_a_clear_error(capsys):
    assert main(["sandbox", "--port", "99999999"]) == 1

    assert capsys.readouterr().err.startswith("can't listen on port 99999999 of 127.0.0.1 (")


@pytest.mark.parametrize("arguments", [[], ["dream"], ["sandbox", "--port", "many"]])
def test_a_command_line_that_makes_no_sense_is_answered_with_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: swiftask-jupyter")


def test_doctor_succeeds_if_no_check_fails(box, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    monkeypatch.setenv("SWIFTASK_AGENT_SLUG", "echo")

    assert main(["doctor"]) == 0
    assert "ok   answer      echo" in capsys.readouterr().out


def test_doctor_fails_if_a_check_fails(box, monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)

    assert main(["doctor"]) == 1
    assert "FAIL answer      not asked: no token" in capsys.readouterr().out


def test_without_the_model_the_demo_is_answered_by_lorem_and_leaves_no_trace(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("SWIFTASK_MODELS", str(tmp_path))

    assert main(["demo"]) == 0

    printed = capsys.readouterr().out
    assert "the lorem agent answers instead" in printed
    assert f"lorem is asked: {DEMO_PROMPT}" in printed
    assert printed.splitlines()[-1].split()[3:5] == ["lorem", "ok"]
    assert not (tmp_path / "turns.db").exists()


def test_an_error_is_one_line_and_fails_the_command(monkeypatch, capsys):
    monkeypatch.setenv("SWIFTASK_STORE", "mysql://ada:s3cret@db/turns")

    assert main(["doctor"]) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("ConfigurationError: ")
    assert shown.err.count("\n") == 1
    assert "s3cret" not in shown.err
