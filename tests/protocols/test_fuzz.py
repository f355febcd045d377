"""Arbitrary responses: each is decoded to an answer, or raises an error of the package."""

import asyncio
import contextlib
import gzip
import json
import math
import re
import sqlite3
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.answers.turn import ConversationId, Delta, Finish, Raw, Reply, Usage
from swiftask_jupyter.ledger.schema import is_suspect
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import MAX_BODY_BYTES
from swiftask_jupyter.protocols.errors import MAX_MESSAGE_CHARS, error_message
from swiftask_jupyter.protocols.http import MAX_LINE_BYTES, ResponseHead
from swiftask_jupyter.protocols.limits import parse_wait
from swiftask_jupyter.protocols.native import parse_upload_urls
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.protocols.registry import PROTOCOLS
from swiftask_jupyter.sandbox.agents import Agent
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.transport.client import MAX_ANSWER_BYTES, Transport

SECRET = "s3cr3t-t0ken"
MB = 1 << 20
DIALECTS = sorted(PROTOCOLS)
SSE, JSON, TEXT = "text/event-stream", "application/json", "text/plain"
fuzz = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)

WIRE = Path(__file__).with_name("wire")
BODIES = {
    path: path.read_bytes().partition(b"\n\n")[2]
    for path in sorted(WIRE.rglob("*.http"))
    if not path.stem.startswith(("error-4", "error-5"))
}
DOCUMENTED_KEYS = sorted(
    {key.decode() for body in BODIES.values() for key in re.findall(rb'"(\$?\w+)": ?', body)}
    | {"msg", "code", "$error", "url", "name"}
)
numbers = st.one_of(
    st.integers(),
    st.integers(10**17, 10**40),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0, -1, 2**53, 2**63, 1e400]),
)
words = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "Lu"]), max_size=4),
    st.sampled_from(["", "stop", "hi", SECRET, "\ud83d", "\ude00", "a\ud83d"]),
)
keys = st.sampled_from(DOCUMENTED_KEYS) | st.text(max_size=3)
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(keys, inside, max_size=6),
    max_leaves=20,
)
objects = st.dictionaries(keys, values, max_size=8)
media = st.sampled_from([SSE, JSON, TEXT, "text/html", "", "TEXT/EVENT-STREAM ; charset=x"])
heads = st.builds(
    lambda kind, more: ResponseHead(200, {**more, "content-type": kind}),
    media | st.text(max_size=20),
    st.dictionaries(
        st.sampled_from(["x-conversation-id", "x-ratelimit-limit", "retry-after"]),
        st.text(max_size=10),
    ),
)


def encode(value):
    return json.dumps(value).encode()


def frame(value, *, stream):
    """Return a value as the JSON of an answer, or as a line of a stream."""
    return encode(value) if not stream else b"data: " + encode(value) + b"\n\n"


def decode(dialect, head, pieces):
    """Decode as the transport does, check every event, and return the reply and the error."""
    decoder = PROTOCOLS[dialect]("https://host", Secret(SECRET)).decoder(head)
    reply, seen, error = Reply(agent="a"), [], None
    try:
        for events in (*map(decoder.feed, pieces), decoder.finish()):
            for event in events:
                seen.append(event)  # noqa: PERF402 - events before an error count
    except errors.SwiftaskError as caught:
        error = caught
    reply.apply(seen)
    for event in seen:
        check(event)
    if error is not None:
        assert SECRET not in str(error)
        assert len(str(error)) < 2 * MAX_MESSAGE_CHARS
        assert "\n" not in str(error)
    reply.status = "ok"
    assert isinstance(reply.text, str)
    assert isinstance(is_suspect(reply), bool)
    assert all(isinstance(file["url"], str) for file in reply.files)
    return reply, error


def check(event):
    """Check that an event has the declared types, and values that the ledger can store."""
    match event:
        case Delta(text):
            assert isinstance(text, str)
            assert text
        case Usage():
            for count in (
                event.input_tokens,
                event.output_tokens,
                event.total_tokens,
                event.reported_total,
            ):
                assert count is None or (type(count) is int and 0 <= count < 2**54)
            assert event.credits is None or type(event.credits) in {int, float}
        case Finish(reason):
            assert isinstance(reason, str)
        case ConversationId(identity):
            assert isinstance(identity, int | str)
        case Raw(fields):
            assert isinstance(fields, dict)
        case _:
            pytest.fail(f"no event: {event!r}")


def pieces_of(data, body):
    """Return bytes split at arbitrary positions."""
    at = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6), "splits"))
    return [body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True)]


@pytest.mark.parametrize("dialect", DIALECTS)
@fuzz
@given(heads, st.lists(st.binary(max_size=200), max_size=6))
def test_arbitrary_bytes_are_an_answer_or_an_error(dialect, head, pieces):
    decode(dialect, head, pieces)


@pytest.mark.parametrize("kind", [SSE, JSON])
@pytest.mark.parametrize("dialect", DIALECTS)
@fuzz
@given(st.data())
def test_arbitrary_json_is_an_answer_or_an_error(dialect, kind, data):
    given_ = data.draw(st.lists(objects | values, min_size=1, max_size=4))
    stream = kind == SSE
    body = b"".join(frame(each, stream=stream) for each in (given_ if stream else given_[:1]))
    head = ResponseHead(200, {"content-type": kind})
    whole, error = decode(dialect, head, [body])
    cut, cut_error = decode(dialect, head, pieces_of(data, body))

    assert (cut.text, repr(cut.usage), cut.finish_reason) == (
        whole.text,
        repr(whole.usage),
        whole.finish_reason,
    )
    assert type(cut_error) is type(error)


def answers(dialect):
    """Return a strategy of answers with the documented keys and arbitrary values."""
    choice = st.fixed_dictionaries(
        {},
        optional={
            "delta": st.fixed_dictionaries({}, optional={"content": values}) | values,
            "message": st.fixed_dictionaries({}, optional={"content": values}) | values,
            "finish_reason": values,
        },
    )
    usage = st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["prompt_tokens", "completion_tokens", "total_tokens"], values)
    )
    native = st.fixed_dictionaries(
        {"text": words},
        optional=dict.fromkeys(
            ["sessionId", "totalBotUsage", "tokenUsage", "usageDetail", "files", "botSlug"], values
        ),
    )
    return {
        "openai": st.fixed_dictionaries(
            {"choices": st.lists(choice | values, max_size=3)},
            optional={"usage": usage | values, "id": values, "model": values},
        ),
        "native": native,
        "widget": native,
        "chat": st.fixed_dictionaries(
            {"chunk": values},
            optional={
                "data": st.fixed_dictionaries(
                    {"response": words}, optional={"conversationId": values, "metadata": objects}
                ),
                "conversationId": values,
            },
        ),
        "agencii": st.fixed_dictionaries(
            {"message": st.fixed_dictionaries({"content": words}) | values},
            optional={"chatId": values, "numMessages": values},
        ),
    }[dialect]


@pytest.mark.parametrize("kind", [SSE, JSON])
@pytest.mark.parametrize("dialect", DIALECTS)
@fuzz
@given(st.data())
def test_arbitrary_values_under_documented_keys_are_an_answer_or_an_error(dialect, kind, data):
    found = data.draw(st.lists(answers(dialect), min_size=1, max_size=4))
    stream = kind == SSE
    body = b"".join(frame(each, stream=stream) for each in (found if stream else found[:1]))

    decode(dialect, ResponseHead(200, {"content-type": kind}), pieces_of(data, body))


@settings(fuzz, max_examples=600)
@given(st.data())
def test_a_mutated_transcript_is_an_answer_or_an_error(data):
    path = data.draw(st.sampled_from(sorted(BODIES)))
    body = bytearray(BODIES[path])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body)))
        match data.draw(st.integers(0, 4)):
            case 0:
                body[at : at + data.draw(st.integers(1, 30))] = b""
            case 1:
                body[at:at] = data.draw(st.binary(min_size=1, max_size=8))
            case 2:
                body[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
            case 3:
                body[at:at] = body[: data.draw(st.integers(0, len(body)))]
            case 4:
                del body[at:]
    kind = SSE if path.stem.startswith("stream") else TEXT if "text-only" in path.stem else JSON

    decode(
        path.parent.name, ResponseHead(200, {"content-type": kind}), pieces_of(data, bytes(body))
    )


def deep(levels):
    """Return JSON that is nested deeper than parsers accept."""
    return [
        b"[" * levels,
        b"[" * levels + b"]" * levels,
        b'{"error":' * levels + b'"x"' + b"}" * levels,
        b'{"choices":' * levels + b"1" + b"}" * levels,
    ]


@pytest.mark.parametrize("levels", [90, 700, 980, 100_000])
@pytest.mark.parametrize("kind", [SSE, JSON])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_json_of_any_depth_is_an_answer_or_an_error(dialect, kind, levels):
    for body in deep(levels):
        data = b"data: " + body + b"\n\n" if kind == SSE else body
        decode(dialect, ResponseHead(200, {"content-type": kind}), [data])
        assert error_message(body)


# Error bodies.

statuses = st.integers(300, 599)


@pytest.mark.parametrize("dialect", DIALECTS)
@fuzz
@given(statuses, heads, st.binary(max_size=300) | (objects | values).map(encode))
def test_an_arbitrary_error_body_is_one_short_line_without_the_token(dialect, status, head, body):
    protocol = PROTOCOLS[dialect]("https://host", Secret(SECRET))

    error = protocol.error(ResponseHead(status, head.headers), body, "agent")

    assert isinstance(error, errors.ServiceError)
    assert error.status == status
    message = str(error)
    assert SECRET not in message
    assert "\n" not in message
    assert len(message) < 6 * MAX_MESSAGE_CHARS  # an invisible character is written out
    assert protocol.fallback(error) is None or status in {400, 404}


@fuzz
@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["error", "message", "detail"]))
def test_a_token_is_masked_wherever_it_is_in_an_error(before, after, key):
    message = f"{before}{SECRET}{after}"

    for body in (
        message.encode(errors="replace"),
        encode({key: message}),
        encode({key: {"msg": message}}),
    ):
        assert SECRET not in error_message(body, Secret(SECRET))


@pytest.mark.parametrize("dialect", ["openai", "chat"])
@fuzz
@given(st.integers(0, 100))
def test_no_part_of_a_token_is_shown_where_an_unreadable_line_is_shortened(dialect, at):
    decoder = PROTOCOLS[dialect]("https://host", Secret(SECRET)).decoder(
        ResponseHead(200, {"content-type": SSE})
    )

    with pytest.raises(errors.StreamError) as caught:
        list(decoder.feed(b"data: {" + b"x" * at + SECRET.encode() + b"\n"))

    assert SECRET[:3] not in str(caught.value)


@fuzz
@given(st.binary(max_size=100) | objects.map(encode))
def test_an_arbitrary_answer_of_the_signing_route_is_two_urls_or_an_error(body):
    with contextlib.suppress(errors.StreamError):
        put, named = parse_upload_urls(body)
        assert put
        assert isinstance(named, str)


# Retry-After.

months = st.dates().map("{:%b}".format) | st.just("Foo")
dates = st.builds(
    lambda day, month, year, hour, zone: f"Sun, {day:02} {month} {year} {hour:02}:00:00 {zone}",
    st.integers(0, 40),
    months,
    st.integers(0, 12000),
    st.integers(0, 99),
    st.sampled_from(["GMT", "+0000", "-0000", "+9999", "-2359", "+2359", "EST", "", "x"]),
)
retries = st.one_of(
    st.text(max_size=30),
    dates,
    numbers.map(str),
    st.from_regex(r"[0-9eE_.+\-xna²\u0661]{1,12}", fullmatch=True),
    st.sampled_from(["1e400", "9" * 400, "nan", "-1", "0", "+5", "1_0", "²", "", "inf", "0x10"]),
)


@settings(fuzz, max_examples=2000)
@given(retries)
def test_an_arbitrary_retry_after_is_a_wait_or_none(header):
    now = datetime(2026, 1, 1, tzinfo=UTC)

    wait = parse_wait(header, now)

    assert wait is None or (isinstance(wait, float) and wait >= 0)


@fuzz
@given(retries)
def test_an_arbitrary_retry_after_keeps_the_error_readable(header):
    head = ResponseHead(429, {"retry-after": header})

    error = OpenAI("https://host", Secret(SECRET)).error(head, b'{"error": "slow down"}', "a")

    assert "slow down" in str(error)
    assert error.retry_after is None or math.isfinite(error.retry_after) or error.retry_after > 0


# Limits.


def feed(decoder, piece, limit):
    """Feed the same piece until the decoder raises; fail if it accepts more than the limit."""
    for _ in range(limit // len(piece) + 1):
        list(decoder.feed(piece))
    pytest.fail("the decoder accepted more than the limit")


@pytest.mark.parametrize("size", [64, 4096, 1 << 16, MB])
@pytest.mark.parametrize("dialect", ["openai", "chat"])
def test_an_endless_line_is_an_error_in_bounded_memory(dialect, size):
    decoder = PROTOCOLS[dialect]("https://host", Secret(SECRET)).decoder(
        ResponseHead(200, {"content-type": SSE})
    )
    tracemalloc.start()
    try:
        with pytest.raises(errors.StreamError, match="MB"):
            feed(decoder, b"x" * size, MAX_LINE_BYTES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MAX_LINE_BYTES


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_endless_body_is_an_error(dialect):
    decoder = PROTOCOLS[dialect]("https://host", Secret(SECRET)).decoder(
        ResponseHead(200, {"content-type": JSON})
    )
    with pytest.raises(errors.StreamError, match="MB"):
        feed(decoder, b" " * MB, MAX_BODY_BYTES)


def stream_length(protocol, agent):
    """Ask one prompt through the transport; return the characters that arrived, and the error."""

    async def run():
        transport, characters = Transport(), 0
        try:
            async with contextlib.aclosing(
                transport.stream(protocol, Prompt(agent, "go on"))
            ) as answer:
                async for events in answer:
                    characters += sum(len(each.text) for each in events if isinstance(each, Delta))
        except errors.SwiftaskError as error:
            return characters, error
        finally:
            await transport.aclose()
        return characters, None

    return asyncio.run(run())


def endless(_messages):
    while True:
        yield "x" * MB


def test_an_endless_answer_is_an_error_and_closes_the_connection():
    with Sandbox(agents={"endless": Agent(endless)}) as box:
        characters, error = stream_length(OpenAI(f"{box.url}/v1", Secret(box.token)), "endless")

        assert isinstance(error, errors.StreamError)
        assert str(MAX_ANSWER_BYTES >> 20) in str(error)
        assert MAX_ANSWER_BYTES * 0.9 < characters <= MAX_ANSWER_BYTES
        assert box.wait_for(lambda: box.requests[-1].disconnected)


@pytest.mark.parametrize("dialect", ["openai", "native", "chat", "agencii"])
def test_a_small_body_that_expands_to_a_huge_one_is_an_error(box, dialect):
    bomb = gzip.compress(b" " * (80 * MB), 9)
    box.fail(Fault(body=bomb, headers={"Content-Encoding": "gzip"}))
    kind = PROTOCOLS[dialect]
    token = box.agencii_token if dialect == "agencii" else box.token
    agent = box.integration_id("echo") if dialect == "agencii" else "echo"

    _, error = stream_length(kind(box.url + kind.base_path, Secret(token)), agent)

    assert isinstance(error, errors.StreamError)


def test_a_body_that_is_not_in_its_encoding_is_an_error(box, client):
    box.fail(Fault(body=b"not gzip", headers={"Content-Encoding": "gzip"}))

    with pytest.raises((errors.StreamError, errors.ConnectionFailed)):
        client.ask("hello")


# Through the whole client: what odd values leave in the ledger.

ODD = [
    {"text": "hi", "totalBotUsage": 10**30},
    {"text": "hi", "totalBotUsage": -(2**63) - 1},
    {"text": "hi", "totalBotUsage": float("nan")},
    {"text": "hi", "totalBotUsage": float("inf")},
    {"text": "hi", "tokenUsage": {"inputTokens": 2**53 - 1, "outputTokens": 2**53 - 1}},
    {"text": "half a character \ud83d", "sessionId": "\ud83d", "botSlug": "\ud83d"},
    {"text": "nul \0 and more", "sessionId": 10**30},
    {"text": "hi", "sessionId": True},
    {"text": "hi", "files": [{"url": "\ud83d"}, {"url": []}, 5]},
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_odd_fields_of_a_native_answer_lose_neither_the_answer_nor_its_row(box, odd):
    box.fail(Fault(body=json.dumps(odd)))
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client:
        answer = client.ask("hello")

        assert answer.text.startswith(odd["text"][:2])
        assert list(client.usage()["status"]) == ["ok"]


@pytest.mark.parametrize(
    "reason", ["\ud83d", "\0", "x" * MB, "stop\nnow"], ids=["half", "nul", "long", "lines"]
)
def test_an_odd_finish_reason_loses_neither_the_answer_nor_its_row(box, client, reason):
    body = {"choices": [{"message": {"content": "hi"}, "finish_reason": reason}]}
    box.fail(Fault(body=json.dumps(body)))

    assert client.ask("hello").text == "hi"
    assert list(client.usage()["status"]) == ["ok"]


@pytest.mark.parametrize("session", [True, False, 1.5, [], {}, "", None])
def test_a_session_id_of_an_unexpected_type_is_ignored(box, session):
    box.fail(Fault(body=json.dumps({"text": "hi", "sessionId": session})))
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client:
        client.ask("one")
        client.ask("two")

    assert "sessionId" not in box.requests[-1].json


@pytest.mark.parametrize(
    "url",
    ["http://[", "x", "/a", "http://", "http://127.0.0.1:99999/", "ftp://127.0.0.1/", "\0",
     "\ud83d", "http://127.0.0.1:9/\n", "http://:9/", "//127.0.0.1", "http://127.0.0.1:x/", " "],
)  # fmt: skip
@pytest.mark.parametrize("key", ["url", "signedUrl"])
def test_an_invalid_signed_url_is_an_error_and_a_row(box, monkeypatch, key, url):
    monkeypatch.setattr("swiftask_jupyter.conversation.running_turn.retry_delay", lambda *_: None)
    box.fail(Fault(body=json.dumps({key: url})), path="/widget/get-signed-url")
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client:
        with pytest.raises(errors.SwiftaskError):
            client.ask("look", files=[("a.txt", b"1")])
        assert list(client.usage()["status"]) == ["error"]


def test_sqlite_rejects_the_values_that_are_tested_here():
    with contextlib.closing(sqlite3.connect(":memory:")) as rows:
        with pytest.raises(OverflowError):
            rows.execute("SELECT ?", (2**63,))
        with pytest.raises(UnicodeEncodeError):
            rows.execute("SELECT ?", ("\ud83d",))
