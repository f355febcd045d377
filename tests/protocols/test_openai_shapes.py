"""The shapes that OpenAI-compatible services send: contents, choices, tool calls, JSON."""

import json

import pytest

from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.protocols.openai_shapes import (
    Message,
    ToolCalls,
    is_incomplete,
    lenient_chunk,
    part_text,
)
from swiftask_jupyter.settings.secrets import Secret


def decode(media_type, body):
    """Decode a body, and return the reply."""
    head = ResponseHead(200, {"content-type": media_type})
    decoder, reply = OpenAI("https://host/v1", Secret("s3cr3t")).decoder(head), Reply(agent="a")
    reply.apply(decoder.feed(body))
    reply.apply(decoder.finish())
    return reply


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("four", "four"),
        (["fo", "ur"], "four"),
        ([{"type": "text", "text": "fo"}, {"type": "output_text", "text": "ur"}], "four"),
        ([{"type": "text", "text": {"value": "four", "annotations": []}}], "four"),
        ({"type": "text", "text": "four"}, "four"),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "four"}], "four"),
        ([{"type": "reasoning", "text": "hm"}, {"text": "four"}], "four"),
        ([{"type": "refusal", "refusal": "no"}], "no"),
        ([{"type": "image_url", "image_url": {"url": "u"}}, None, 5], ""),
        (None, ""),
        ([[[[["too deep"]]]]], ""),
    ],
)
def test_the_text_of_a_content_is_found_in_any_shape(content, text):
    assert part_text(content) == text


def test_a_chunk_of_unexpected_types_keeps_what_fits():
    chunk = lenient_chunk({"id": 5, "choices": [None, {"index": "0", "delta": {"content": ["x"]}}]})

    assert (chunk.id, len(chunk.choices), chunk.choices[0].index) == (None, 1, None)
    assert chunk.choices[0].delta.content == "x"


def test_the_pieces_of_tool_calls_are_joined():
    calls = ToolCalls()
    calls.add(Message(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f"}}]))
    calls.add(Message(tool_calls=[{"index": 1, "function": {"name": "g", "arguments": "{}"}}]))
    calls.add(Message(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}, "odd"]))
    calls.add(Message(tool_calls=[{"index": 0, "id": None, "function": {"arguments": ":1}"}}]))

    first, second = calls.listed()
    assert (first["id"], first["function"]) == ("c", {"name": "f", "arguments": '{"a":1}'})
    assert second["function"] == {"name": "g", "arguments": "{}"}


@pytest.mark.parametrize("media_type", ["text/event-stream", "application/json"])
@pytest.mark.parametrize(
    "called",
    [
        {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
        {"function_call": {"name": "f", "arguments": "{}"}},
    ],
)
def test_an_answer_of_tool_calls_alone_keeps_them_in_raw(media_type, called):
    is_stream = media_type == "text/event-stream"
    choice = {"delta" if is_stream else "message": called, "finish_reason": "tool_calls"}
    body = json.dumps({"choices": [choice]}).encode()

    reply = decode(media_type, b"data: " + body + b"\n\n" if is_stream else body)

    assert (reply.text, reply.finish_reason) == ("", "tool_calls")
    assert [call["function"]["name"] for call in reply.raw["tool_calls"]] == ["f"]


@pytest.mark.parametrize(
    ("data", "incomplete"),
    [
        (b'{"choices":[{"delta":', True),
        (b"{", True),
        (b'{"a": "half a te', True),
        (b'{"a": 1,', True),
        (b"{oops", False),
        (b'{"a": 1}', False),
        (b"half a text", False),
        (b"\xff\xfe", False),
        (b"[" * 100_000, False),
    ],
)
def test_the_beginning_of_an_object_is_told_from_nonsense(data, incomplete):
    assert is_incomplete(data) is incomplete
