"""`%swiftask sandbox`."""

import sys

import pytest
from IPython.core.error import UsageError

from swiftask_jupyter import errors


def test_the_sandbox_answers_without_any_setting(shell, capsys):
    shell.run_line_magic("swiftask", "sandbox")
    first = shell.run_cell_magic("swiftask", "echo", "hello\n")
    shell.run_line_magic("swiftask", "sandbox")
    second = shell.run_cell_magic("swiftask", "echo", "again\n")

    assert (first.text, second.text) == ("hello", "again")
    assert "sandbox at http://127.0.0.1:" in capsys.readouterr().out


def test_the_sandbox_ends_on_request(connected, box, capsys):
    with pytest.raises(UsageError, match="no sandbox runs"):
        connected.run_line_magic("swiftask", "sandbox off")
    connected.run_line_magic("swiftask", "sandbox")
    sandbox = connected.magics_manager.registry["SwiftaskMagics"].context.sandbox
    asked = len(box.requests)
    with pytest.raises(UsageError, match="%swiftask sandbox off, first"):
        connected.run_line_magic("swiftask", "login")
    with pytest.raises(UsageError, match="takes off or nothing, not 'on'"):
        connected.run_line_magic("swiftask", "sandbox on")

    connected.run_line_magic("swiftask", "sandbox off")
    answer = connected.run_cell_magic("swiftask", "echo", "hello\n")

    assert answer.text == "hello"
    assert len(box.requests) > asked
    assert "stopped" in repr(sandbox)
    assert "has ended" in capsys.readouterr().out


def test_a_missing_server_package_is_an_error_of_one_line(shell, monkeypatch):
    monkeypatch.setitem(sys.modules, "tornado.web", None)

    with pytest.raises(errors.ConfigurationError, match="pip install") as caught:
        shell.run_line_magic("swiftask", "sandbox")
    assert caught.value.__suppress_context__
