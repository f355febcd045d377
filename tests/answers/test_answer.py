"""`Answer`: the value that `ask` returns."""

import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.answers.answer import answer_from
from swiftask_jupyter.answers.turn import Delta, Raw, Reply


def finished(text, **raw):
    """The answer that a finished reply with this text amounts to."""
    reply = Reply(agent="echo", status="ok")
    reply.apply([Delta(text), Raw(raw)])
    return answer_from(reply)


def test_an_answer_can_be_read_as_json_code_and_frame(box):
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as client:
        answer = client.ask('```json\n[{"a": 1}]\n```')

    assert answer.json() == [{"a": 1}]
    assert answer.code() == '[{"a": 1}]\n'
    assert list(answer.frame()["a"]) == [1]


@pytest.mark.parametrize("method", ["json", "frame"])
def test_an_empty_answer_holds_no_json_and_no_table(method):
    with pytest.raises(errors.AnswerError):
        getattr(finished(""), method)()


def test_an_answer_behaves_like_its_text():
    answer = finished("hello")

    assert (str(answer), len(answer), f"{answer:>7}") == ("hello", 5, "  hello")


def test_the_repr_shortens_a_long_text():
    assert repr(finished("hello")) == "<Answer of echo: 'hello'>"
    assert repr(finished("x" * 100)) == f"<Answer of echo: '{'x' * 59}…'>"


@pytest.mark.parametrize(
    ("raw", "sources"),
    [
        ({}, ()),
        ({"sourceMetadatas": None}, ()),
        ({"sourceMetadatas": [{"page": 1}, "a.pdf"]}, ({"page": 1}, "a.pdf")),
    ],
)
def test_sources_are_the_listed_ones_or_empty(raw, sources):
    assert finished("hello", **raw).sources == sources
