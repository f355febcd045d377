"""A reply in a terminal."""

import io
import sys

from swiftask_jupyter.answers.turn import Delta, Reply
from swiftask_jupyter.notebook.terminal import TerminalDisplay
from swiftask_jupyter.transport.httpx_pool import progress_bar


def test_a_terminal_never_receives_control_characters(connected, capsys):
    connected.run_cell_magic("swiftask", "echo", "\x1b]0;owned\x07 \x1b[31mred \u202e\n")

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "␛[31mred" in printed


def test_the_progress_of_an_upload_is_overwritten_by_the_answer(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    display = TerminalDisplay(reply := Reply(agent="echo", number=1), shown=True)
    reply.progress = f"sending big.bin {progress_bar(3 << 20, 6 << 20)}"
    display.show([])
    reply.apply([Delta("done")])
    display.show([Delta("done")])

    half = "█" * 10 + "░" * 10
    assert terminal.getvalue() == f"\rsending big.bin {half} 3 of 6 MB\x1b[K\r\x1b[Kdone"


def test_an_answer_that_goes_into_a_variable_prints_its_footer_only(capsys):
    reply = Reply(agent="echo", number=1, status="ok")
    reply.apply([Delta("hello")])
    display = TerminalDisplay(reply, shown=False)

    display.show([Delta("hello")])
    display.finish()

    assert capsys.readouterr().out.startswith("echo · ")
