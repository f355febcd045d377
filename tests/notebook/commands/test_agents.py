"""`%swiftask ask`, `use` and `agents`."""

import pytest
from IPython.core.error import UsageError


def test_a_prompt_can_be_asked_in_one_line(connected):
    connected.user_ns["name"] = "Ada"

    answer = connected.run_line_magic("swiftask", 'ask "hello {{name}}?" echo')

    assert (answer.text, answer.agent) == ("hello Ada?", "echo")


def test_use_names_the_agent_for_the_cells_that_follow(connected):
    connected.run_line_magic("swiftask", "use echo")

    assert connected.run_cell_magic("swiftask", "", "hello\n").agent == "echo"
    assert connected.run_cell_magic("swiftask", "lorem ans <<", "hello\n") is None
    assert connected.user_ns["ans"].agent == "lorem"


def test_use_takes_no_empty_name(connected):
    with pytest.raises(UsageError, match="an agent's slug"):
        connected.run_line_magic("swiftask", 'use ""')


def test_agents_is_the_catalogue_as_a_frame(command):
    assert "echo" in list(command("agents")["slug"])
    assert list(command("agents ech")["slug"]) == ["echo"]
