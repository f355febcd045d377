"""The contract of a dialect: usage counts, JSON bodies, and requests that cannot be encoded."""

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Delta, Usage
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import JSONBodyDecoder, Protocol, plausible_usage
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.secrets import Secret


class EchoDecoder(JSONBodyDecoder):
    """Yields the field `text`."""

    def events(self, body):
        yield Delta(body["text"])


class Echo(Protocol):
    """A dialect that overrides only what it must."""

    name = "echo"
    base_path = "/echo"
    streams = takes_history = owns_conversation = False

    def request(self, prompt):
        return Request("POST", self.base_url, self.authorization(), prompt.text.encode())

    def decoder(self, head):
        return EchoDecoder(self, head)


@pytest.fixture
def protocol():
    return Echo("https://host/echo", Secret("s3cr3t-t0ken"))


def decode(protocol, body, media_type="application/json"):
    decoder = protocol.decoder(ResponseHead(200, {"content-type": media_type}))
    return [*decoder.feed(body), *decoder.finish()]


# Usage.


@pytest.mark.parametrize(
    ("counts", "has_text", "expected"),
    [
        ((5, 7, 12), True, Usage(5, 7, 12, 12, source="api")),
        ((5, 7, None), True, Usage(5, 7, 12, None, source="api")),
        ((10, 20, 7744), True, Usage(10, 20, 30, 7744, source="api")),
        ((0, 0, 0), True, Usage()),
        ((0, 0, 7744), True, Usage(reported_total=7744, source="api")),
        ((5, 0, 5), True, Usage(5, None, None, 5, source="api")),
        ((5, 0, 5), False, Usage(5, 0, 5, 5, source="api")),
        ((0, 0, 5), False, Usage(reported_total=5, source="api")),
        ((1.0, 2.9, None), True, Usage(1, 2, 3, source="api")),
        (("5", True, -1), True, Usage()),
        ((float("nan"), float("inf"), 10**400), True, Usage()),
    ],
)
def test_implausible_zeros_and_values_that_are_no_counts_are_left_out(counts, has_text, expected):
    assert plausible_usage(*counts, source="api", has_text=has_text) == expected


@pytest.mark.parametrize(("credits", "kept"), [(45, 45), (0, 0), (-1.5, -1.5), ("45", None)])
def test_credits_are_kept_as_reported_if_they_are_a_number(credits, kept):  # noqa: A002 - as the argument
    usage = plausible_usage(None, None, None, source="api", has_text=True, credits=credits)

    assert usage.credits == kept
    assert usage.source == ("none" if kept is None else "api")


# JSON bodies.


def test_a_json_object_becomes_events_wherever_a_byte_order_mark_may_stand(protocol):
    assert decode(protocol, b'{"text": "hi"}') == [Delta("hi")]
    assert decode(protocol, b'\xef\xbb\xbf{"text": "hi"}') == [Delta("hi")]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_an_error_that_names_its_type(protocol, body):
    with pytest.raises(errors.StreamError, match="not a JSON object but text/html; check"):
        decode(protocol, body, "text/html; charset=utf-8")


def test_an_error_about_the_type_shows_no_token_in_it(protocol):
    with pytest.raises(errors.StreamError) as caught:
        decode(protocol, b"", "text/s3cr3t-t0ken")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("body", [b'{"error": "no, s3cr3t-t0ken"}', b'{"$error": {"msg": "no"}}'])
def test_an_error_in_a_successful_response_is_raised_with_the_token_masked(protocol, body):
    with pytest.raises(errors.ServiceError, match="the service reported an error: no") as caught:
        decode(protocol, body)
    assert caught.value.status == 200
    assert "s3cr3t" not in str(caught.value)


# Requests and defaults.


def test_a_prompt_that_cannot_be_encoded_is_a_prompt_error(protocol):
    with pytest.raises(errors.PromptError, match="the request can't be written"):
        protocol.build_request(Prompt("a", "half an emoji \ud83d"))


def test_a_dialect_needs_no_preparation_no_fallback_and_no_remark_by_default(protocol):
    prompt = Prompt("a", "hi")
    steps = protocol.prepare(prompt)

    with pytest.raises(StopIteration) as stopped:
        next(steps)
    assert stopped.value.value is prompt
    assert protocol.fallback(errors.BadRequest("no", status=400)) is None
    assert protocol.remark(prompt) == ""


def test_an_error_response_has_the_advice_of_the_dialect(protocol):
    protocol.auth_advice = "ask Ada"

    error = protocol.error(ResponseHead(401, {}), b'{"error": "bad s3cr3t-t0ken"}', "a")

    assert isinstance(error, errors.Unauthorized)
    assert str(error).endswith("; ask Ada")
    assert "s3cr3t" not in str(error)
