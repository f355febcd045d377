"""Every documented response and every known quirk, split everywhere; and the sandbox's own.

A transcript (`wire/<dialect>/<case>.http`) is one response as the documents print it: status
line, headers, a blank line, body. The sandbox was written from the same documents, independently
of the decoders: each response that it can be made to give is compared with the transcript.
"""

import http.client
import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Reply
from swiftask_jupyter.ledger.schema import is_suspect
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.protocols.registry import PROTOCOLS
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.settings.secrets import Secret
from tests.support.dialects import splits

WIRE = Path(__file__).with_name("wire")
NAMES = sorted(str(path.relative_to(WIRE).with_suffix("")) for path in WIRE.rglob("*.http"))
STORY = "Once upon a time… 🎉\n"
HELLO = "Hello there! How can I help?"
ANSWER = "Agent response here"
APOLOGY = "I'm sorry, something went wrong while I was answering. Please try again."
SWIFTASK = (150, 300, 450, 450, 45)
NO_USAGE = (None, None, None, None, None)


@dataclass(frozen=True)
class Expected:
    """What a transcript is decoded to; `message` is a part of the error's text."""

    text: str = ""
    usage: tuple = NO_USAGE  # input, output, total, reported total, credits
    conversation: int | str | None = None
    finish: str | None = None
    error: type | None = None
    message: str = ""
    raw: dict = field(default_factory=dict)


def total(reported):
    return (None, None, None, reported, None)


def stopped(text=STORY, **more):
    return Expected(text, **{"finish": "stop", **more})


def failed(error, message="", text="", **more):
    return Expected(text, error=error, message=message, **more)


CONV = {"conversation": "conv_abc123"}
TABLE = {
    "openai/stream": stopped(raw={"id": "chatcmpl-1", "model": "agent-slug"}),
    "openai/stream-usage-zeros": stopped(usage=total(7744)),
    "openai/stream-usage-counted": stopped(usage=(5, 7, 12, 12, None)),
    "openai/stream-content-null-or-absent": stopped(),
    "openai/stream-keep-alive": stopped(),
    "openai/stream-no-space-no-blank-lines": stopped(),
    "openai/stream-without-done": stopped(),
    "openai/stream-cut": failed(errors.StreamError, "cut", STORY),
    "openai/stream-cut-inside-a-line": failed(errors.StreamError, "made no sense", STORY),
    "openai/stream-finish-length": stopped(finish="length"),
    "openai/stream-character-cut-in-two": stopped("a \U0001f600 b"),
    "openai/stream-error-inside": failed(errors.ServiceError, "ran out of time", "Once"),
    "openai/stream-nonsense": failed(errors.StreamError, "made no sense", "Once"),
    "openai/stream-disguised-failure": stopped(APOLOGY, usage=total(1)),
    "openai/stream-empty-quotes": stopped('""', usage=total(1197)),
    "openai/stream-after-done": stopped(),
    "openai/whole": stopped("Hello! How can I help?"),
    "openai/whole-usage-zeros": stopped("Hello! How can I help?", usage=total(1200)),
    "openai/whole-out-of-credits": stopped("You have run out of credits."),
    "openai/whole-no-choices": failed(errors.StreamError, "no choices"),
    "openai/error-401": failed(errors.Unauthorized, "the API key is invalid or missing"),
    "openai/error-400-unknown-slug": failed(errors.AgentNotFound, '"agent-slgu" does not exist'),
    "openai/error-400-unknown-key": failed(errors.BadRequest, '"reasoning_effort" is not allowed'),
    "openai/error-429": failed(errors.RateLimited, "try again in 20 s"),
    "openai/error-503-page": failed(errors.ServiceUnavailable, "busy"),
    "native/introduction": Expected(ANSWER, SWIFTASK, 1001, raw={"botSlug": "agent-slug"}),
    "native/older-page-with-dollars": Expected(
        ANSWER, (150, 300, 450, None, 45), 1001, raw={"sourceMetadatas": []}
    ),
    "native/usage-detail": Expected(ANSWER, (150, 300, 450, None, 45), 1001),
    "native/text-alone": Expected(ANSWER),
    "native/session-as-a-string": Expected(ANSWER, SWIFTASK, "1001"),
    "native/files": Expected("", SWIFTASK, 1001),
    "native/picture-in-the-text": Expected(
        "Here: ![a cat](https://static.swiftask.ai/cat.png)", SWIFTASK, 1001
    ),
    "native/soft-error": failed(errors.ServiceError, "Voice 'X' not found"),
    "native/limit-reached": failed(errors.QuotaSpent, "You reached the limit"),
    "native/error-string-with-200": failed(errors.ServiceError, "what went wrong"),
    "native/error-object-with-200": failed(errors.ServiceError, "no such voice"),
    "native/error-400": failed(errors.BadRequest, '"input" must be a string'),
    "native/error-400-session-string": failed(errors.BadRequest, "Session ID must be a string"),
    "native/error-401": failed(errors.Unauthorized, "Unauthorized"),
    "native/error-404": failed(errors.AgentNotFound, "does not exist"),
    "native/error-500": failed(errors.ServiceUnavailable, "Internal Server Error"),
    "widget/answer": Expected(ANSWER, SWIFTASK, "user-session-123"),
    "widget/soft-error": failed(errors.ServiceError, "the agent is asleep"),
    "widget/error-400-session": failed(errors.BadRequest, '"sessionId" must be a string'),
    "widget/error-401": failed(errors.Unauthorized, "client token"),
    "chat/envelope": Expected(
        "AI agent's response text",
        total(150),
        "conv_abc123",
        raw={"metadata": {"model": "gpt-4", "tokens": 150}},
    ),
    "chat/stream": Expected(
        HELLO,
        raw={
            "limits": {
                "x-ratelimit-limit": "1000",
                "x-ratelimit-remaining": "999",
                "x-ratelimit-reset": "1786354000",
            }
        },
    ),
    "chat/stream-blank-lines": Expected(HELLO),
    "chat/stream-named-in-a-chunk": Expected(HELLO, **CONV),
    "chat/stream-named-in-a-header": Expected(HELLO, **CONV),
    "chat/stream-cut": failed(errors.StreamError, "cut", HELLO),
    "chat/stream-error-inside": failed(errors.ServiceError, "the agent broke", "Hello"),
    "chat/stream-nonsense": failed(errors.StreamError, "made no sense", "Hello"),
    "chat/envelope-error-with-200": failed(errors.ServiceError, "the agent broke"),
    "chat/error-400": failed(errors.BadRequest, "Message field is required"),
    "chat/error-401": failed(errors.Unauthorized, "Invalid or missing API token"),
    "chat/error-404": failed(errors.AgentNotFound, "Agent with slug 'support-agent' not found"),
    "chat/error-429": failed(errors.RateLimited, "Rate limit exceeded"),
    "agencii/completion": Expected("<string>", conversation="<string>", raw={"numMessages": 123}),
    "agencii/completion-with-nulls": Expected("Hey! 🎉", conversation="FVfA971B3fnBH4S1OKlo"),
    "agencii/text-only": Expected("Hey! How are yöu? 🎉\n\nThat's all."),
    "agencii/text-only-that-looks-like-an-error": Expected(
        '{"detail": "this is what I was asked to say"}'
    ),
    "agencii/no-message": failed(errors.StreamError, "no message", conversation=None),
    "agencii/error-400": failed(errors.BadRequest, "missing required fields"),
    "agencii/error-401": failed(errors.Unauthorized, "authorization token"),
    "agencii/error-404-renamed": failed(errors.AgentNotFound, "Not Found"),
    "agencii/error-500": failed(errors.ServiceUnavailable, "Internal server error."),
}
ANSWERED = [name for name in NAMES if "error-4" not in name and "error-5" not in name]
REFUSED = [name for name in NAMES if name not in ANSWERED]
STREAMED = [name for name in ANSWERED if "/stream" in name]


def transcript(name):
    """Return the head and the body of a transcript."""
    head, _, body = (WIRE / f"{name}.http").read_bytes().partition(b"\n\n")
    status, *fields = head.decode("ascii").splitlines()
    pairs = (line.split(": ", 1) for line in fields)
    return ResponseHead(int(status.split()[1]), {key.lower(): value for key, value in pairs}), body


def protocol_of(name):
    return PROTOCOLS[name.partition("/")[0]]("https://host", Secret("s3cr3t-t0ken"))


def decode(name, head, pieces):
    """Decode pieces of a body; return the reply, and the error or `None`."""
    decoder, reply = (
        protocol_of(name).decoder(head),
        Reply(agent="a", dialect=name.partition("/")[0]),
    )
    try:
        for piece in pieces:
            reply.apply(decoder.feed(piece))
        reply.apply(decoder.finish())
    except errors.SwiftaskError as error:
        return reply, error
    reply.status = "ok"
    return reply, None


def check(name, head, pieces):
    expected = TABLE[name]
    reply, error = decode(name, head, pieces)
    usage = reply.usage
    assert type(error) is (expected.error or type(None)), error
    assert expected.message in str(error or "")
    assert reply.text == expected.text
    assert (
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.reported_total,
        usage.credits,
    ) == expected.usage
    assert (reply.conversation, reply.finish_reason) == (expected.conversation, expected.finish)
    assert expected.raw.items() <= reply.raw.items()
    return reply


def test_every_transcript_is_in_the_table_and_nothing_else():
    assert sorted(TABLE) == NAMES


@pytest.mark.parametrize("name", ANSWERED)
def test_an_answer_is_decoded_as_expected_wherever_it_is_split(name):
    head, body = transcript(name)

    for pieces in splits(body):
        check(name, head, pieces)


@pytest.mark.parametrize("end", [b"\r\n", b"\r"], ids=["CRLF", "CR"])
@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_is_decoded_the_same_with_any_line_ending(name, end):
    head, body = transcript(name)

    for pieces in splits(body.replace(b"\n", end)):
        check(name, head, pieces)


@pytest.mark.parametrize("name", [each for each in ANSWERED if "text-only" not in each])
def test_a_byte_order_mark_changes_nothing(name):
    head, body = transcript(name)
    marked = b"\xef\xbb\xbf" + body

    for pieces in ([marked], [marked[at : at + 1] for at in range(len(marked))]):
        check(name, head, pieces)


@pytest.mark.parametrize("name", REFUSED)
def test_an_error_response_is_the_expected_error_with_its_message(name):
    head, body = transcript(name)

    error = protocol_of(name).error(head, body, "agent")

    assert type(error) is TABLE[name].error
    assert TABLE[name].message in str(error)
    assert error.status == head.status


@pytest.mark.parametrize("name", ANSWERED)
def test_a_truncated_answer_is_an_error_unless_its_text_is_complete(name):
    """A truncated answer is never taken for a different, complete one."""
    head, body = transcript(name)
    whole, _ = decode(name, head, [body])

    for at in range(len(body)):
        reply, error = decode(name, head, [body[:at]])
        assert whole.text.startswith(reply.text.rstrip("\ufffd"))
        if error is None and "text-only" not in name:
            assert reply.text == whole.text


def test_only_the_failures_reported_as_successes_are_suspect():
    suspects = set()
    for name in ANSWERED:
        head, body = transcript(name)
        reply, error = decode(name, head, [body])
        if error is None and is_suspect(reply):
            suspects.add(name)

    assert suspects == {"openai/stream-disguised-failure", "openai/stream-empty-quotes"}


def test_files_are_found_in_the_list_and_in_the_text():
    for name in ("native/files", "native/picture-in-the-text"):
        head, body = transcript(name)
        (file,) = decode(name, head, [body])[0].files
        assert file["url"] == "https://static.swiftask.ai/cat.png"


# The same responses from the sandbox.


@dataclass(frozen=True)
class SandboxCase:
    """How to make the sandbox respond as a transcript does."""

    fault: Fault | None = None
    agent: str = "echo"
    fields: dict = field(default_factory=dict)
    usage: bool = False
    good_token: bool = True
    text_only: bool = False


SANDBOX_CASES = {
    "openai/stream": SandboxCase(),
    "openai/stream-usage-zeros": SandboxCase(usage=True),
    "openai/stream-usage-counted": SandboxCase(Fault(usage="counted"), usage=True),
    "openai/stream-without-done": SandboxCase(Fault(no_done=True)),
    "openai/stream-cut": SandboxCase(Fault(cut_after=3)),
    "openai/stream-finish-length": SandboxCase(fields={"max_tokens": 1}),
    "openai/stream-error-inside": SandboxCase(Fault(error_after=1)),
    "openai/stream-disguised-failure": SandboxCase(Fault(disguised=True), usage=True),
    "openai/stream-empty-quotes": SandboxCase(Fault(empty=True), usage=True),
    "openai/whole": SandboxCase(Fault(usage="none")),
    "openai/whole-usage-zeros": SandboxCase(),
    "openai/error-401": SandboxCase(good_token=False),
    "openai/error-400-unknown-slug": SandboxCase(agent="agent-slgu"),
    "openai/error-400-unknown-key": SandboxCase(fields={"reasoning_effort": "low"}),
    "openai/error-429": SandboxCase(
        Fault(status=429, shape="string", headers={"Retry-After": "20"})
    ),
    "openai/error-503-page": SandboxCase(Fault(status=503, shape="html")),
    "native/introduction": SandboxCase(),
    "native/older-page-with-dollars": SandboxCase(
        Fault(dollar_keys=True, usage_shape="usageDetail")
    ),
    "native/usage-detail": SandboxCase(Fault(usage_shape="usageDetail")),
    "native/session-as-a-string": SandboxCase(Fault(session_type="string")),
    "native/files": SandboxCase(agent="image"),
    "native/picture-in-the-text": SandboxCase(agent="image-markdown"),
    "native/soft-error": SandboxCase(Fault(soft_error=True)),
    "native/limit-reached": SandboxCase(Fault(limit_reached=True)),
    "native/error-string-with-200": SandboxCase(Fault(status=200, shape="string")),
    "native/error-400": SandboxCase(fields={"input": 5}),
    "native/error-401": SandboxCase(good_token=False),
    "native/error-404": SandboxCase(agent="agent-slgu"),
    "native/error-500": SandboxCase(Fault(status=500, shape="text")),
    "widget/answer": SandboxCase(),
    "widget/soft-error": SandboxCase(Fault(soft_error=True)),
    "widget/error-400-session": SandboxCase(fields={"sessionId": 5}),
    "widget/error-401": SandboxCase(good_token=False),
    "chat/envelope": SandboxCase(),
    "chat/stream": SandboxCase(),
    "chat/stream-blank-lines": SandboxCase(Fault(blank_lines=True)),
    "chat/stream-named-in-a-chunk": SandboxCase(Fault(conversation_id_in="chunk")),
    "chat/stream-named-in-a-header": SandboxCase(Fault(conversation_id_in="header")),
    "chat/stream-cut": SandboxCase(Fault(cut_after=3)),
    "chat/stream-error-inside": SandboxCase(Fault(error_after=1)),
    "chat/envelope-error-with-200": SandboxCase(Fault(status=200, shape="data")),
    "chat/error-400": SandboxCase(fields={"message": ""}),
    "chat/error-401": SandboxCase(good_token=False),
    "chat/error-404": SandboxCase(agent="support-agent"),
    "chat/error-429": SandboxCase(Fault(rate_limit=0)),
    "agencii/completion": SandboxCase(),
    "agencii/completion-with-nulls": SandboxCase(),
    "agencii/text-only": SandboxCase(text_only=True),
    "agencii/error-400": SandboxCase(fields={"apiIntegrationId": 5}),
    "agencii/error-401": SandboxCase(good_token=False),
    "agencii/error-404-renamed": SandboxCase(Fault(status=404)),
    "agencii/error-500": SandboxCase(Fault(status=500)),
}
# Transcripts that the sandbox cannot be made to produce, and why.
NOT_IN_SANDBOX = {
    "openai/stream-content-null-or-absent": "it gives every chunk its content",
    "openai/stream-keep-alive": "it sends no comments",
    "openai/stream-no-space-no-blank-lines": "it writes plain server-sent events here",
    "openai/stream-cut-inside-a-line": "it truncates between events",
    "openai/stream-character-cut-in-two": "its pieces are whole characters",
    "openai/stream-nonsense": "a line that is not JSON has no structure to compare",
    "openai/stream-after-done": "it sends nothing after its end",
    "openai/whole-out-of-credits": "the same structure as `whole`",
    "openai/whole-no-choices": "it always answers",
    "native/text-alone": "it sends every documented key",
    "native/error-400-session-string": "its message is Joi's",
    "native/error-object-with-200": "its error objects carry OpenAI's keys",
    "chat/stream-nonsense": "a line that is not JSON has no structure to compare",
    "agencii/text-only-that-looks-like-an-error": "the same structure as `text-only`",
    "agencii/no-message": "it always answers",
}


def sandbox_response(box, name, setup):
    """Send the sandbox a request without the package's own code; return head and body."""
    dialect, _, case = name.partition("/")
    streamed = case.startswith("stream")
    text = "Once upon a time"
    if setup.fault:
        box.fail(setup.fault)
    token = box.agencii_token if dialect == "agencii" else box.token
    path, body = {
        "openai": lambda: (
            "/v1/chat/completions",
            {
                "model": setup.agent,
                "messages": [{"role": "user", "content": text}],
                "stream": streamed,
                **({"stream_options": {"include_usage": True}} if setup.usage else {}),
            },
        ),
        "native": lambda: (f"/api/ai/{setup.agent}", {"input": text}),
        "widget": lambda: (
            "/api/widget/ai?clientToken="
            + (box.client_token(setup.agent) if setup.good_token else "wr0ng"),
            {"input": text, "sessionId": "user-session-123"},
        ),
        "chat": lambda: (f"/v1/api/chat/{setup.agent}", {"message": text, "stream": streamed}),
        "agencii": lambda: (
            "/get_completion",
            {
                "message": text,
                "apiIntegrationId": box.integration_id(setup.agent, text_only=setup.text_only),
                **({} if case.endswith("nulls") else {"aliasChatId": "custom-identifier"}),
            },
        ),
    }[dialect]()
    headers = {"Content-Type": "application/json"}
    if dialect != "widget":
        headers["Authorization"] = f"Bearer {token if setup.good_token else 'wr0ng'}"
    connection = http.client.HTTPConnection(urlsplit(box.url).netloc, timeout=30)
    try:
        connection.request("POST", path, json.dumps({**body, **setup.fields}), headers)
        response = connection.getresponse()
        try:
            data = response.read()
        except http.client.IncompleteRead as cut:
            data = cut.partial
        fields = {key.lower(): value for key, value in response.getheaders()}
        return ResponseHead(response.status, fields), data
    finally:
        connection.close()


def shape(value, at=""):
    """Return the type at every path of a JSON value; `None` for null, which matches any type."""
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", type(None): None}
    if isinstance(value, dict):
        inside = [shape(each, f"{at}.{key}") for key, each in value.items()]
        return {at: "object"} | {key: kind for each in inside for key, kind in each.items()}
    if isinstance(value, list):
        inside = [shape(each, f"{at}[]") for each in value if isinstance(each, dict)]
        return {at: "array"} | {key: kind for each in inside for key, kind in each.items()}
    return {at: kinds[type(value)]}


def fits(shown, seen):
    """Tell whether every path of one shape is in the other, with the same type."""
    return all(
        at in seen and (kind == seen[at] or None in (kind, seen[at])) for at, kind in shown.items()
    )


def line_shapes(body):
    """Return the different kinds of lines in a stream, in the order of their first occurrence."""
    found = []
    for line in body.decode().splitlines():
        data = line.removeprefix("data: ")
        kind = (
            data if data in {"", "[DONE]"} else "data: " + " ".join(sorted(shape(json.loads(data))))
        )
        if kind not in found:
            found.append(kind)
    return found


def test_every_transcript_is_compared_with_the_sandbox_or_says_why_not():
    assert sorted([*SANDBOX_CASES, *NOT_IN_SANDBOX]) == NAMES


@pytest.mark.parametrize("name", SANDBOX_CASES)
def test_the_sandbox_responds_as_the_documents_print(box, name):
    head, body = transcript(name)
    sandbox_head, sandbox_body = sandbox_response(box, name, SANDBOX_CASES[name])

    assert (sandbox_head.status, sandbox_head.media_type) == (head.status, head.media_type)
    assert head.headers.keys() - sandbox_head.headers.keys() == set()
    if head.media_type == "text/event-stream":
        assert line_shapes(sandbox_body) == line_shapes(body)
    elif head.media_type == "application/json":
        shown, seen = shape(json.loads(body)), shape(json.loads(sandbox_body))
        assert fits(shown, seen), (shown, seen)
        assert seen.keys() <= documented(name, dollars="dollars" in name)


def documented(name, *, dollars):
    """Return every path in the dialect's transcripts: of its errors, or else of its answers."""
    dialect = name.partition("/")[0]
    kin = {dialect, "native"} if dialect == "widget" else {dialect}
    places = set()
    for each in NAMES:
        head, body = transcript(each)
        same = (each in REFUSED) == (name in REFUSED) or ("error" in each and "error" in name)
        if each.partition("/")[0] in kin and same and head.media_type == "application/json":
            places |= shape(json.loads(body)).keys()
    plain = {place.replace("$", "") for place in places}
    return {place and place.replace(".", ".$", 1) for place in plain} if dollars else plain


@pytest.mark.parametrize("name", [each for each in SANDBOX_CASES if each in ANSWERED])
def test_a_response_of_the_sandbox_is_decoded_like_its_transcript(box, name):
    head, body = sandbox_response(box, name, SANDBOX_CASES[name])
    reply, error = decode(name, head, [body])
    expected = TABLE[name]

    assert type(error) is (expected.error or type(None))
    assert reply.finish_reason == expected.finish
    assert (reply.conversation is None) == (expected.conversation is None)
    known = [count is not None for count in expected.usage]
    usage = reply.usage
    counts = usage.input_tokens, usage.output_tokens, usage.total_tokens
    assert [count is not None for count in (*counts, usage.reported_total)] == known[:4]
