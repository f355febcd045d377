"""`%%swiftask --over`: a prompt for every row, from a cell."""

import pandas as pd
import pytest
from IPython.core.error import UsageError

from swiftask_jupyter.errors import PromptError
from tests.support.frames import received_prompts


@pytest.fixture
def ask_rows(echoing):
    """`ask_rows(line, text)` runs a cell of a shell that has a frame `df` with two rows."""
    echoing.user_ns["df"] = pd.DataFrame({"text": ["one", "two"]})
    return lambda line, text: echoing.run_cell_magic("swiftask", line, text)


def test_a_cell_asks_for_each_row_and_shows_the_frame(ask_rows):
    out = ask_rows("--over df", "say {{text}}\n")

    assert list(out["answer"]) == ["say one", "say two"]


def test_the_frame_goes_into_a_variable(ask_rows, shell):
    assert ask_rows("--over df out <<", "say {{text}}") is None
    assert list(shell.user_ns["out"]["answer"]) == ["say one", "say two"]
    assert ask_rows("--over df out =<<", "say {{text}}") is shell.user_ns["out"]


def test_a_name_that_is_no_column_is_a_variable(ask_rows, shell):
    shell.user_ns.update(word="shout", text="never this")

    out = ask_rows("--over df", "{{word}} {{text}}")

    assert list(out["answer"]) == ["shout one", "shout two"]


def test_the_options_of_map_and_of_the_request_can_be_set(ask_rows, box):
    out = ask_rows(
        'echo --over df --schema "x: int" -o prefix=my_ -o pilot=1 -o confirm=false'
        " -o temperature=0 --system short",
        '{"x": 5} {{text}}',
    )

    assert list(out["my_status"]) == ["ok", "ok"]
    assert list(out["my_x"]) == [5, 5]
    assert box.requests[-1].json["temperature"] == 0
    assert box.requests[-1].json["messages"][0]["content"] == "short"


def test_a_schema_may_be_a_variable(ask_rows, shell):
    shell.user_ns["kinds"] = {"x": "int32"}

    out = ask_rows("--over df --schema kinds", '{"x": 5} {{text}}')

    assert str(out["x"].dtype) == "int32"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--over fd", "no variable fd; did you mean df"),
        ("--over df --fresh", "--fresh does not go with --over"),
        ("--over df -a file.txt", "--attach does not go with --over"),
        ("echo lorem --over df", "--over asks one agent"),
    ],
)
def test_an_option_that_does_not_go_with_rows_is_an_error_of_one_line(ask_rows, box, line, said):
    with pytest.raises(UsageError, match=said):
        ask_rows(line, "say {{text}}")
    assert received_prompts(box) == []


@pytest.mark.parametrize("name", ["frame", "text", "agent", "slot"])
def test_a_parameter_of_map_is_no_field_of_the_request(ask_rows, box, name):
    with pytest.raises(PromptError, match=f"-o {name} is no field of a request"):
        ask_rows(f"--over df -o {name}=1", "say {{text}}")
    assert received_prompts(box) == []
