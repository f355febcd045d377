"""The footer of an answer, and the record that a notebook keeps."""

import pytest

from swiftask_jupyter.answers.turn import TURN_MIME_TYPE, Delta, Reply, Usage
from swiftask_jupyter.notebook.mimebundle import footer
from tests.support.displays import stream_text


def test_the_record_holds_neither_prompt_nor_answer():
    end, *_ = stream_text("the answer", rate=100)

    record = next(iter(end.shown.values()))[TURN_MIME_TYPE]
    assert "the answer" not in str(record)
    assert set(record) == {
        "version", "turn", "session", "number", "cell", "slot", "surface", "agent",
        "host", "connection", "sandbox", "dialect",
        "at", "status", "finish_reason", "attempts", "seconds", "first_token_seconds", "usage",
        "cached", "request_sha256", "content_digest", "error",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"usage": Usage(150, 300, 450)}, "a · 2.1 s · 150→300 tokens · turn 3"),
        ({}, "a · 2.1 s · tokens not reported · turn 3"),
        ({"usage": Usage(None, 7)}, "a · 2.1 s · ?→7 tokens · turn 3"),
        ({"status": "interrupted"}, "a · 2.1 s · interrupted · turn 3"),
        (
            {"finish_reason": "length"},
            "a · 2.1 s · cut at its length limit · tokens not reported · turn 3",
        ),
        ({"seconds": 75.2}, "a · 1 min 15 s · tokens not reported · turn 3"),
        ({"seconds": 119.7}, "a · 2 min 0 s · tokens not reported · turn 3"),
        ({"seconds": 59.96}, "a · 1 min 0 s · tokens not reported · turn 3"),
    ],
)
def test_the_footer_has_agent_time_tokens_and_turn(fields, line):
    reply = Reply(agent="a", number=3, **{"status": "ok", "seconds": 2.1, **fields})
    reply.apply([Delta("text")])

    assert footer(reply) == line


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        (Usage(reported_total=1, source="stream"), "I am sorry, something went wrong."),
        (Usage(), '""'),
        (Usage(), ""),
    ],
)
def test_the_footer_warns_of_a_failure_in_disguise(usage, text):
    reply = Reply(agent="a", number=1, status="ok", usage=usage)
    reply.apply([Delta(text)])

    assert "a failure in disguise" in footer(reply)


def test_the_footer_says_that_a_filter_ended_an_answer_or_that_it_only_calls_tools():
    filtered = Reply(agent="a", number=1, status="ok", finish_reason="content_filter")
    filtered.apply([Delta("half")])
    calling = Reply(agent="a", number=1, status="ok", raw={"tool_calls": [{"id": "c"}]})

    assert "ended by content_filter" in footer(filtered)
    assert "calls of tools" in footer(calling)
