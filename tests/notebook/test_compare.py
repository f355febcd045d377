"""Several agents asked at once: their answers side by side, and one of them picked."""

import re

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.cells import contents, posts


def test_several_agents_answer_side_by_side(kernel, box):
    kernel.run("%%swiftask echo\nhello", cell="c1")
    ran = kernel.run("%%swiftask echo mirror lorem\ntwo", cell="c2")
    shape = kernel.run("_.frame()[['agent', 'status']].values.tolist(), _['echo'].text")

    assert ran.status == "ok"
    [shown] = ran.outputs
    assert [record["agent"] for record in shown["data"][TURN_MIME_TYPE]] == [
        "echo",
        "mirror",
        "lorem",
    ]
    assert shown["data"]["text/html"].count("<table>") == 1
    assert shape.texts() == ["([['echo', 'ok'], ['mirror', 'ok'], ['lorem', 'ok']], 'two')"]
    assert all(
        [each["content"] for each in seen.json["messages"]] == ["hello", "hello", "two"]
        for seen in posts(box)[1:]
    )
    kernel.run("%%swiftask echo\nthree", cell="c3")
    assert contents(box) == ["hello", "hello", "three"]
    assert kernel.run("%swiftask pick echo", cell="c4").status == "ok"
    kernel.run("%%swiftask echo\nfour", cell="c4")
    assert contents(box)[::2] == ["hello", "three", "two", "four"]


def test_a_compared_variable_shows_its_columns_in_a_later_cell(kernel):
    made = kernel.run("%%swiftask echo lorem cmp <<\nhello")
    later = kernel.run("cmp")

    assert "hello" not in made.texts()[0]
    [shown] = later.outputs
    assert shown["data"]["text/html"].count('<div style="flex') == 2
    assert shown["data"]["text/plain"].startswith("echo:\nhello\necho · ")


def test_the_files_of_compared_answers_are_shown(kernel):
    ran = kernel.run("%%swiftask image echo\na cat")

    [shown] = ran.outputs
    [url] = re.findall(r'<a href="(http[^"]*/files/[^"]*)"', shown["data"]["text/html"])
    assert f"- file: picture.png {url}\nimage · " in shown["data"]["text/plain"]


def test_no_files_are_shown_if_the_answers_go_into_a_variable(kernel):
    ran = kernel.run("%%swiftask image echo cmp <<\na cat")

    assert "picture.png" not in str(ran.outputs)


def test_an_agent_that_was_not_asked_is_an_error_that_lists_the_others(ask):
    compared = ask("echo lorem", "hello")

    with pytest.raises(errors.ConfigurationError, match=r"'nope' is not .*echo, lorem"):
        compared["nope"]


def test_an_agent_asked_twice_that_fails_twice_is_an_error(ask, box):
    box.fail(Fault(status=400), agent="echo", times=None)

    with pytest.raises(errors.BadRequest):
        ask("echo echo", "hello")


def test_an_agent_that_fails_leaves_the_others_shown_and_fails_the_cell(kernel):
    ran = kernel.run("%%swiftask echo fault-400 both <<\nhello")

    assert ran.status == "error"
    assert ran.error.startswith("ServiceError: 1 of 2 answered; fault-400: 400: ")
    assert [record["status"] for record in ran.outputs[0]["data"][TURN_MIME_TYPE]] == [
        "ok",
        "error",
    ]
    assert kernel.run("both['echo'].text").texts() == ["'hello'"]


def test_an_interrupt_stops_all_the_agents(kernel, box):
    asked = kernel.send("%%swiftask slow lorem\nhello")
    assert box.wait_for(lambda: len(posts(box)) == 2 and posts(box)[-1].first_byte)
    kernel.interrupt()
    ran = kernel.finish(asked)

    assert ran.error.startswith("Interrupted: stopped; ")
    assert box.wait_for(lambda: box.open_streams == 0)
    statuses = [record["status"] for record in ran.outputs[0]["data"][TURN_MIME_TYPE]]
    assert statuses[0] == "interrupted"


def test_a_terminal_prints_the_answers_one_after_the_other(ask, capsys, box):
    box.fail(Fault(status=500), agent="mirror", times=None)

    compared = ask("echo lorem", "hello")

    said = capsys.readouterr().out
    assert said.startswith("echo:\nhello\necho · ")
    assert "lorem:\n# The garden" in said
    assert repr(compared) == "<Comparison of echo, lorem>"
    assert len(compared) == 2


def test_a_terminal_prints_compared_answers_once_in_each_cell(shell, ask, capsys):
    shell.run_cell("%%swiftask echo lorem\nhello", store_history=True)
    assert capsys.readouterr().out.count("echo:\nhello\n") == 1

    shell.run_cell("%%swiftask echo lorem cmp <<\nhello", store_history=True)
    assert "echo:" not in capsys.readouterr().out
    shell.run_cell("cmp", store_history=True)
    assert "echo:\nhello\necho · " in capsys.readouterr().out


def test_an_agent_compared_with_itself_is_picked_by_its_turns_number(ask, command, capsys):
    ask("echo echo", "hello")

    command("pick 1")

    assert capsys.readouterr().out.endswith("turn 1 of echo is in the conversation: hello\n")
    assert command("history")["number"].tolist() == [1]
