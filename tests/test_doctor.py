"""`doctor`: what it reports of healthy and of unusable settings."""

import os

import pytest

from swiftask_jupyter.sandbox.faults import Fault


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
    monkeypatch.setenv("SWIFTASK_BASE_URL", "https://service.invalid")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:port")

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
