"""The line of `%%swiftask`: its words, options, fields and target."""

import pytest
from IPython.core.error import UsageError

from swiftask_jupyter import errors
from swiftask_jupyter.notebook.arguments import line_options, parse_line, split_words
from tests.support.cells import ledger_frame, posts


def test_a_quote_within_quotes_is_written_with_a_backslash():
    assert split_words(r'ask "a \"b\"" c') == ["ask", 'a "b"', "c"]
    assert split_words(r"""x='a "b"' ''""") == ['x=a "b"', ""]
    assert split_words(r'C:\new\dir "C:\my dir\" --last 2') == [
        "C:\\new\\dir", "C:\\my dir\\", "--last", "2",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="no closing quotation"):
        split_words('ask "hello')


def test_a_line_gives_agents_options_by_their_python_names_and_a_target():
    line = parse_line("echo lorem -c team --no-stream --last 2 -o a=1 -o b=2 --cache ans =<<")

    assert line.agents == ["echo", "lorem"]
    assert line.options == {
        "connection": "team", "stream": False, "last": 2, "fields": ["a=1", "b=2"], "cache": "on",
    }  # fmt: skip
    assert (line.target, line.shown) == ("ans", True)


@pytest.mark.parametrize("name", line_options())
def test_every_flag_of_the_list_is_parsed(name):
    option = line_options()[name]
    word = "a=1" if name == "fields" else next(iter(option.choices), "1")

    for flag in option.flags:
        [(given, value)] = parse_line(flag if option.const is not None else f"{flag} {word}")[
            1
        ].items()

        assert given == name
        if option.const is not None:
            assert value == option.const
        else:
            assert value == ([word] if option.repeats else option.parse(word))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("echo --dialct x", "did you mean --dialect"),
        ("echo --nonsense", "unknown option --nonsense"),
        ("echo 1x <<", "not a variable's name"),
        ("<<", "needs a variable's name"),
        ('echo "', "can't be read"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_in_one_line_and_recorded(connected, line, message):
    with pytest.raises(UsageError, match=message) as caught:
        connected.run_cell_magic("swiftask", line, "hello\n")

    assert "\n" not in str(caught.value)
    (row,) = ledger_frame().to_dict("records")
    assert row["status"] == "refused"
    assert message in row["error"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("echo ans << more", "belongs at the end of the line"),
        ('echo -o metadata={"a":1}', "in single quotes"),
        ("echo -o dry_run=true", "--dry-run"),
        ("echo -o session=other", "-s NAME in a cell"),
        ("echo -o tiemout=1", "did you mean timeout"),
        *[
            (f"echo -o {name}=1", f"-o {name} is no field of a request; ")
            for name in (
                "text",
                "agent",
                "aside",
                "self",
                "needs_token",
                "slot",
                "surface",
                "history",
                "fresh",
                "last",
                "cache",
                "replay",
                "files",
            )
        ],
    ],
)
def test_a_mistake_in_the_line_is_explained_and_nothing_is_sent(connected, box, line, says):
    with pytest.raises((UsageError, errors.Refused), match=says):
        connected.run_cell_magic("swiftask", line, "hello\n")
    assert posts(box) == []


def test_a_token_on_the_line_is_refused(connected):
    with pytest.raises(UsageError, match="unknown option --token"):
        connected.run_cell_magic("swiftask", "echo --token abc", "hello\n")


def test_ipython_does_not_expand_variables_in_the_line(connected):
    connected.user_ns["echo"] = "slow"

    with pytest.raises(UsageError, match="the line takes no variables"):
        connected.run_cell_magic("swiftask", "{echo}", "hello\n")
