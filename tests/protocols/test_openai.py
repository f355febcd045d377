"""The OpenAI-compatible dialect: its requests and answers byte by byte."""

import json

import pytest

from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.errors import ServiceError, StreamError
from swiftask_jupyter.prompts.prompt import Message, Prompt
from swiftask_jupyter.protocols.http import MAX_LINE_BYTES, ResponseHead
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.settings.secrets import Secret
from tests.support.dialects import splits

STREAM = ResponseHead(200, {"content-type": "text/event-stream; charset=utf-8"})
JSON = ResponseHead(200, {"content-type": "application/json"})


def chunk(**fields):
    return b"data: " + json.dumps(fields, ensure_ascii=False).encode() + b"\n\n"


def delta(text, **more):
    return chunk(id="c1", model="m", choices=[{"index": 0, "delta": {"content": text}, **more}])


END = chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
# As captured from the live service: no choices, token counts of 0, and a total that is not 0.
ZEROS = (
    b'data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,'
    b'"total_tokens":7744}}\n\n'
)
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def protocol():
    return OpenAI("https://host/v1", Secret("s3cr3t"))


def decode(protocol, head, pieces):
    decoder = protocol.decoder(head)
    reply = Reply(agent="a")
    for piece in pieces:
        reply.apply(decoder.feed(piece))
    reply.apply(decoder.finish())
    return reply


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_stream_is_decoded_the_same_wherever_it_is_split(protocol, end):
    data = chunk(choices=[{"delta": {"role": "assistant", "content": None}}]) + delta("Été ")
    data += b": keep-alive\n\nevent: message\n" + delta("🎉\n\n") + END + ZEROS + DONE

    for pieces in splits(data.replace(b"\n", end)):
        reply = decode(protocol, STREAM, pieces)
        assert (reply.text, reply.finish_reason) == ("Été 🎉\n\n", "stop")
        assert reply.usage.reported_total == 7744
        assert reply.raw == {"id": "c1", "model": "m"}


def test_zero_tokens_count_as_missing_and_the_total_as_reported(protocol):
    usage = decode(protocol, STREAM, [delta("hi") + END + ZEROS + DONE]).usage

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (None, None, None)
    assert (usage.reported_total, usage.source) == (7744, "stream")


def test_reported_tokens_are_added_up(protocol):
    usage_event = chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 7})

    usage = decode(protocol, STREAM, [delta("hi") + END + usage_event + DONE]).usage

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (5, 7, 12)


def test_a_stream_without_usage_reports_none(protocol):
    usage = decode(protocol, STREAM, [delta("hi") + END + DONE]).usage

    assert (usage.input_tokens, usage.total_tokens, usage.source) == (None, None, "none")


def test_an_empty_answer_may_have_zero_output_tokens(protocol):
    usage_event = chunk(
        choices=[], usage={"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}
    )

    usage = decode(protocol, STREAM, [END + usage_event + DONE]).usage

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (5, 0, 5)


def test_a_stream_may_lack_its_done_line_after_a_finish_reason(protocol):
    assert decode(protocol, STREAM, [delta("hi") + END]).text == "hi"
    assert decode(protocol, STREAM, [delta("hi") + END[:-2]]).finish_reason == "stop"


def test_a_truncated_stream_is_an_error_and_keeps_its_text(protocol):
    decoder, reply = protocol.decoder(STREAM), Reply(agent="a")
    reply.apply(decoder.feed(delta("half an ans")))

    with pytest.raises(StreamError, match="cut"):
        reply.apply(decoder.finish())
    assert reply.text == "half an ans"


def test_half_a_surrogate_pair_waits_for_the_other_half(protocol):
    def escaped(text):
        return b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % text

    decoder = protocol.decoder(STREAM)

    assert list(decoder.feed(escaped(rb"\ud83d"))) == []
    assert [event.text for event in decoder.feed(escaped(rb"\ude00"))] == ["😀"]


def test_text_before_an_unreadable_line_is_kept(protocol):
    decoder, reply = protocol.decoder(STREAM), Reply(agent="a")

    with pytest.raises(StreamError, match="made no sense"):
        reply.apply(decoder.feed(delta("kept") + b"data: {oops s3cr3t\n\n" + delta("not read")))
    assert reply.text == "kept"


def test_an_error_about_an_unreadable_line_shows_no_token(protocol):
    with pytest.raises(StreamError) as caught:
        list(protocol.decoder(STREAM).feed(b"data: {oops s3cr3t\n"))
    assert "s3cr3t" not in str(caught.value)


def test_an_error_inside_the_stream_is_raised_with_its_message(protocol):
    data = delta("a") + chunk(error={"message": "out of memory, s3cr3t"})

    with pytest.raises(ServiceError, match="out of memory") as caught:
        decode(protocol, STREAM, [data])
    assert "s3cr3t" not in str(caught.value)


def test_an_endless_line_ends_in_an_error(protocol):
    decoder = protocol.decoder(STREAM)
    pieces = [b"x" * (1 << 20)] * ((MAX_LINE_BYTES >> 20) + 1)

    with pytest.raises(StreamError, match="MB"):
        [list(decoder.feed(piece)) for piece in pieces]


def test_a_json_answer_is_decoded_if_the_service_did_not_stream(protocol):
    body = json.dumps(
        {
            "id": "c1",
            "choices": [{"message": {"content": "whole"}, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        }
    ).encode()

    for pieces in splits(body):
        reply = decode(protocol, JSON, pieces)
        assert (reply.text, reply.finish_reason, reply.usage.source) == ("whole", "length", "api")


@pytest.mark.parametrize("body", [b"<html>login</html>", b"", b"{}", b'"text"', b"[" * 100_000])
def test_a_body_that_is_no_answer_is_an_error(protocol, body):
    with pytest.raises(StreamError):
        decode(protocol, ResponseHead(200, {"content-type": "text/html"}), [body])


def test_the_request_is_the_documented_one(protocol):
    prompt = Prompt("my-agent", "now", (Message("user", "then"),), options={"temperature": 0})

    request = protocol.request(prompt)

    assert (request.method, request.url) == ("POST", "https://host/v1/chat/completions")
    assert request.headers["Authorization"] == "Bearer s3cr3t"
    assert json.loads(request.content) == {
        "model": "my-agent",
        "messages": [{"role": "user", "content": "then"}, {"role": "user", "content": "now"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
    }


def test_a_request_does_not_show_its_token(protocol):
    assert "s3cr3t" not in repr(protocol.request(Prompt("a", "hi")))
    assert "s3cr3t" not in f"{protocol.token!r} {protocol.token}"


def test_a_surrogate_pair_split_over_two_chunks_is_joined(protocol):
    first, second = (
        b'data: {"choices":[{"delta":{"content":"a \\ud83d"}}]}\n',
        b'data: {"choices":[{"delta":{"content":"\\ude00 b"}}]}\n',
    )

    assert decode(protocol, STREAM, [first + second + END]).text == "a \U0001f600 b"
    assert decode(protocol, STREAM, [first + END]).text == "a \ufffd"


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 5},
        {"model": ["m"]},
        {"choices": [{"delta": {"content": "hi"}, "finish_reason": 5}]},
        {"choices": [], "usage": {"prompt_tokens": 1.5, "completion_tokens": "2"}},
        {"choices": "none", "usage": 7},
    ],
)
def test_a_field_of_an_unexpected_type_does_not_lose_the_answer(protocol, odd):
    assert decode(protocol, STREAM, [delta("hi"), chunk(**odd), END, DONE]).text.startswith("hi")


@pytest.mark.parametrize("line", [b"data: [DONE] \n", b"data:\ndata: [DONE]\n", b"data:[DONE]\n"])
def test_the_done_line_is_recognized_with_any_spaces(protocol, line):
    assert decode(protocol, STREAM, [delta("hi") + line]).text == "hi"


def test_a_byte_order_mark_is_not_part_of_the_first_line(protocol):
    data = b"\xef\xbb\xbf" + delta("hi") + END

    for pieces in splits(data):
        assert decode(protocol, STREAM, pieces).text == "hi"
