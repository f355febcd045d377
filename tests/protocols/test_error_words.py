"""The words of errors from many services, frameworks and gateways: the reader finds the reason."""

import json

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.protocols.errors import (
    MAX_MESSAGE_CHARS,
    error_message,
    has_embedded_error,
)
from swiftask_jupyter.protocols.http import ResponseHead
from swiftask_jupyter.protocols.registry import PROTOCOLS
from swiftask_jupyter.settings.secrets import Secret

RAW = json.dumps({"error": {"message": "too long by 5 tokens", "type": "invalid"}})
FORBIDDEN = {"type": "extra_forbidden", "loc": ["body", "top_k"], "msg": "Extra inputs", "input": 1}
SHAPES = {
    "NestJS": (
        {"statusCode": 400, "message": ["input must be a string"], "error": "Bad Request"},
        "input must be a string",
    ),
    "NestJS, not reduced": (
        {
            "error": "Bad Request",
            "message": [{"property": "n", "constraints": {"isInt": "n must be an integer"}}],
        },
        "n must be an integer",
    ),
    "OpenRouter, raw text": (
        {
            "error": {
                "message": "Provider returned error",
                "metadata": {"raw": "at most 1 image", "provider_name": "Some Provider"},
            }
        },
        "at most 1 image",
    ),
    "OpenRouter, raw JSON": (
        {"error": {"message": "Provider returned error", "metadata": {"raw": RAW}}},
        "too long by 5 tokens",
    ),
    "FastAPI": (
        {"detail": [{"loc": ["body", "n"], "msg": "Field required", "input": {"a": "our text"}}]},
        "n: Field required",
    ),
    "FastAPI, raised": ({"detail": "Not allowed here"}, "Not allowed here"),
    "Mistral": (
        {"object": "error", "message": {"detail": [FORBIDDEN]}, "type": "invalid_request_error"},
        "top_k: Extra inputs",
    ),
    "Spring": (
        {"timestamp": "2026-01-01T00:00", "status": 400, "error": "Bad Request", "message": ""},
        "Bad Request",
    ),
    "Spring, a problem": (
        {"type": "about:blank", "title": "Bad Request", "detail": "Failed to read request"},
        "Failed to read request",
    ),
    "ASP.NET": (
        {"title": "Validation errors occurred.", "errors": {"Input": ["Too long a text."]}},
        "Input: Too long a text.",
    ),
    "Django": ({"input": ["This field is required."]}, "input: This field is required."),
    "vLLM": (
        {"object": "error", "message": "no such LoRA", "type": "NotFoundError", "code": 404},
        "no such LoRA",
    ),
    "llama.cpp": (
        {"error": {"code": 500, "message": "bad grammar", "type": "server_error"}},
        "bad grammar",
    ),
    "Ollama": ({"error": "model 'x' is busy"}, "model 'x' is busy"),
    "LiteLLM": (
        {"error": {"message": f"litellm.BadRequestError: OpenAIException - {RAW}"}},
        "too long by 5 tokens",
    ),
    "Groq": (
        {
            "error": {
                "message": "Failed to generate JSON",
                "failed_generation": "half of the words of an answer",
            }
        },
        "Failed to generate JSON",
    ),
    "Azure": (
        {
            "error": {
                "message": "The response was filtered",
                "param": "prompt",
                "innererror": {
                    "code": "ResponsibleAIPolicyViolation",
                    "content_filter_result": {"hate": {"filtered": True, "severity": "high"}},
                },
            }
        },
        "prompt: The response was filtered",
    ),
    "Google": (
        [
            {
                "error": {
                    "message": "API key not valid.",
                    "details": [{"reason": "API_KEY_INVALID", "domain": "x"}],
                }
            }
        ],
        "API key not valid.",
    ),
    "Anthropic": (
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        "Overloaded",
    ),
    "MiniMax": ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, "login fail"),
    "Zhipu": ({"error": {"code": "1113", "message": "余额不足"}}, "余额不足"),
    "Cloudflare": (
        {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]},
        "Authentication error",
    ),
    "Apigee": (
        {"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.Invalid"}}},
        "Invalid ApiKey",
    ),
    "GraphQL": (
        {"errors": [{"message": "x", "extensions": {"response": {"message": ["n is too big"]}}}]},
        "n is too big",
    ),
    "OAuth": (
        {"error": "invalid_grant", "error_description": "The token is old"},
        "The token is old",
    ),
    "Zod": (
        {"message": json.dumps([{"path": ["input"], "message": "Required"}])},
        "input: Required",
    ),
    "a code alone": ({"error": {"code": "quota_exceeded"}}, "quota_exceeded"),
    "a gateway's page inside JSON": (
        {"message": "<html><head><title>502 Bad Gateway</title></head></html>"},
        "502 Bad Gateway",
    ),
    "markup in the words": ({"message": "<p>No <b>such</b> bot</p>"}, "No such bot"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_reason_is_found_in_the_shape_of(name):
    body, reason = SHAPES[name]

    assert error_message(json.dumps(body).encode()) == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>\r\n<head><title>504 Gateway Time-out</title></head>", "504 Gateway Time-out"),
        (b"<!DOCTYPE html><title>Access denied | x used Cloudflare</title>", "Access denied | x"),
        (b"<html><head><title>403</title></head><h1>Blocked &amp; logged</h1>", "Blocked & logged"),
        (b"<?xml version='1.0'?><Error><Code>C</Code><Message>Expired</Message>", "Expired"),
        (b"<html><body>x()</body></html>", "a web page without a title"),
        (b'data: {"error": {"message": "queue full now"}}\n\ndata: [DONE]', "queue full now"),
        (b'error: {"code": 500, "message": "bad grammar"}\n\n', "bad grammar"),
        (b'event: error\ndata: {"message": "out of memory"}\n\n', "out of memory"),
        (b"upstream connect error or disconnect/reset", "upstream connect error"),
        (b"error code: 1020", "error code: 1020"),
    ],
)
def test_the_reason_is_found_in_a_page_a_stream_and_a_plain_text(body, reason):
    assert error_message(body).startswith(reason)
    assert "<" not in error_message(body)


def test_several_reasons_are_told_together_and_the_rest_is_counted():
    items = [{"loc": ["body", f"f{n}"], "msg": f"bad {n}"} for n in range(8)]

    message = error_message(json.dumps({"detail": items}).encode())

    assert message.startswith("f0: bad 0; f1: bad 1; ")
    assert message.endswith("(and 3 more)")


def test_a_long_message_says_that_it_was_cut():
    assert error_message(b"x y " * 500).endswith("…")
    assert len(error_message(b"x y " * 500)) == MAX_MESSAGE_CHARS < 500


def test_a_reason_deeper_than_four_levels_is_not_searched():
    body = {"a": {"b": {"c": {"d": {"e": {"message": "too deep"}}}}}, "message": "near"}

    assert error_message(json.dumps(body).encode()) == "near"


@pytest.mark.parametrize("dialect", PROTOCOLS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_page_is_no_reason_to_change_the_token(dialect, status):
    protocol = PROTOCOLS[dialect]("https://host", Secret("s3cr3t"))
    page = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head>"

    error = protocol.error(ResponseHead(status, {}), page, "agent")

    assert str(error).startswith(f"{status}: Just a moment...; a gateway sent this page")
    assert "token" not in str(error)


def test_the_status_is_not_told_twice():
    protocol = PROTOCOLS["openai"]("https://host", Secret("s3cr3t"))

    error = protocol.error(ResponseHead(502, {}), b"<title>502 Bad Gateway</title>", "agent")

    assert str(error).startswith("502 Bad Gateway;")
    assert type(error) is errors.ServiceUnavailable


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"object": "error", "message": "no such model"}, True),
        ({"type": "error", "error": {"message": "Overloaded"}}, True),
        ({"code": 500, "message": "out of memory"}, True),
        ({"statusCode": "502", "message": "bad"}, True),
        ({"detail": "no such bot"}, True),
        ({"success": False, "result": None}, True),
        ({"errors": [{"message": "no"}]}, True),
        ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, True),
        ({"base_resp": {"status_code": 0}, "choices": [{}]}, False),
        ({"code": 0, "msg": "ok", "data": {"response": "hi"}}, False),
        ({"message": {"content": "hi"}, "chatId": "c", "status": "completed"}, False),
        ({"choices": [{"message": {}}], "detail": "low", "errors": []}, False),
        ({"text": "hi", "sessionId": 500}, False),
    ],
)
def test_an_error_with_a_good_status_is_told_from_an_answer(body, expected):
    assert has_embedded_error(body) is expected
