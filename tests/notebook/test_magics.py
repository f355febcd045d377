"""Loading the extension, its settings, and the help on the magic."""

import pytest
from traitlets import TraitError


def test_a_question_mark_shows_the_options(connected, capsys):
    connected.run_cell("%%swiftask?")

    assert "--dialect" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["--help", "-h"])
def test_help_is_shown_for_the_usual_words(shell, capsys, line):
    shell.run_line_magic("swiftask", line)
    shell.run_cell_magic("swiftask", line, "\n")

    assert capsys.readouterr().out.count("%swiftask doctor") == 2


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cache", "foo", "'strict'"),
        ("history_limit", -5, "should not be less than 0"),
        ("dialect", "french", "no dialect 'french'; there is: auto"),
    ],
)
def test_an_impossible_setting_is_refused_at_once(shell, name, value, message):
    magics = shell.magics_manager.registry["SwiftaskMagics"]

    with pytest.raises(TraitError, match=message):
        setattr(magics, name, value)


def test_unloading_removes_everything(kernel):
    kernel.run("%%swiftask echo\nhello")
    gone = kernel.run("%unload_ext swiftask_jupyter")
    missing = kernel.run("%%swiftask echo\nhello")
    threads = kernel.run(
        "import threading; [t.name for t in threading.enumerate() if 'swiftask' in t.name]"
    )
    kernel.run("%load_ext swiftask_jupyter")
    back = kernel.run("%%swiftask echo\nhello")

    assert gone.status == "ok"
    assert missing.status == "error"
    assert threads.texts() == ["[]"]
    assert back.texts()[0] == "hello"


def test_after_reloading_there_is_one_of_everything(kernel):
    kernel.run("%reload_ext swiftask_jupyter")
    kernel.run("%reload_ext swiftask_jupyter")

    count = kernel.run(
        "sum(type(c).__name__ == 'SwiftaskMagics' for c in get_ipython().configurables)"
    )

    assert count.texts() == ["1"]
    assert len(kernel.run("%%swiftask echo\nhello").outputs) == 2
