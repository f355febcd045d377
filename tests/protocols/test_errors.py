"""The errors of a service: messages found in bodies, the class for a status, and waits."""

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.protocols.errors import (
    embedded_error,
    error_for_status,
    error_message,
    has_embedded_error,
)
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.settings.secrets import Secret

TOKEN = "s3cr3t-t0ken"


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "no such thing"}',
        b'{"error": {"message": "no such thing", "code": 1}}',
        b'{"$error": {"$message": "no such thing"}}',
        b'{"message": "no such thing"}',
        b'{"detail": "no such thing"}',
        b'{"detail": [{"loc": ["body"], "msg": "no such thing"}]}',
        b'{"data": null, "error": {"name": "X", "message": "no such thing", "details": {}}}',
        b"no such thing",
    ],
)
def test_the_message_of_every_documented_error_body_is_found(body):
    assert error_message(body) == "no such thing"


@pytest.mark.parametrize(
    "body", [b"", b"<html><h1>502</h1>", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 10_000]
)
def test_the_message_of_an_unknown_error_body_is_at_most_500_characters(body):
    assert isinstance(error_message(body), str)
    assert len(error_message(body)) <= 500


def test_a_token_is_masked_before_a_long_message_is_cut():
    body = b"x" * 495 + TOKEN.encode()

    assert TOKEN[:5] not in error_message(body, Secret(TOKEN))


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, '"reasoning_effort" is not allowed', errors.BadRequest),
        (400, "unknown model 'x'", errors.AgentNotFound),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "", errors.Unauthorized),
        (404, "", errors.AgentNotFound),
        (307, "", errors.BadRequest),
        (429, "slow down", errors.RateLimited),
        (500, "", errors.ServiceUnavailable),
        (503, "", errors.ServiceUnavailable),
        (418, "teapot", errors.BadRequest),
    ],
)
def test_each_status_gives_an_error_with_advice(status, message, kind):
    error = error_for_status(ResponseHead(status, {}), message, "my-agent")

    assert type(error) is kind
    assert error.status == status
    assert bool(error.advice) == (kind is not errors.BadRequest or status < 400)


def test_a_rate_limit_error_says_how_many_seconds_to_wait():
    error = error_for_status(ResponseHead(429, {"retry-after": "7"}), "slow down", "a")

    assert "try again in 7 s" in str(error)
    assert error.retry_after == 7


def test_a_conversation_that_is_too_long_is_not_reported_as_an_unknown_agent():
    message = "This model's maximum context length is 4097 tokens: invalid request"

    error = error_for_status(ResponseHead(400, {}), message, "echo")

    assert type(error) is errors.BadRequest
    assert "--last N or --fresh" in str(error)


def test_an_error_about_something_else_is_not_reported_as_an_unknown_agent():
    fields = error_for_status(
        ResponseHead(400, {}), '"files" and "input": both are invalid', "echo"
    )
    agent = error_for_status(ResponseHead(400, {}), "no such agent", "echo")
    other = error_for_status(ResponseHead(404, {}), "no such conversation", "")

    assert [type(each) for each in (fields, agent, other)] == [
        errors.BadRequest, errors.AgentNotFound, errors.BadRequest,
    ]  # fmt: skip
    assert "slug" not in str(other)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": "no"}, True),
        ({"$error": {}}, False),
        ({"error": None}, False),
        (["error"], False),
    ],
)
def test_an_error_embedded_in_a_body_is_recognized(body, expected):
    assert has_embedded_error(body) is expected


def test_an_embedded_error_has_the_message_and_the_status_of_the_response():
    body = b'{"error": {"message": "out of memory, ' + TOKEN.encode() + b'"}}'

    error = embedded_error(Secret(TOKEN), ResponseHead(200, {}), body)

    assert str(error).startswith("the service reported an error: out of memory")
    assert TOKEN not in str(error)
    assert error.status == 200
