"""The dialect `openai` on a real socket, against what its documents say and measurements show."""

import json
import shlex

import httpx
import pytest

from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import (
    COMPLETIONS,
    HELLO,
    INCLUDE_USAGE,
    completion_request,
    http_client,
    run_curl,
    stream_completion,
    stream_events,
    stream_text,
)


def test_a_completion_has_the_documented_shape(account):
    response = account.post(COMPLETIONS, json=HELLO)

    assert response.status_code == 200
    choice = response.json()["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Hello there, friend 🌱"}
    assert choice["finish_reason"] == "stop"


def test_the_request_that_the_documented_sdks_send_works_with_curl(box):
    command = ["curl", box.url + COMPLETIONS, "-H", f"Authorization: Bearer {box.token}"]
    command += ["-H", "Content-Type: application/json"]
    body = completion_request(text="Hello, how can you help me?")
    _, response = run_curl(shlex.join([*command, "-d", json.dumps(body)]))

    message = json.loads(response)["choices"][0]["message"]["content"]
    assert message == "Hello, how can you help me?"


def test_a_stream_sends_text_then_finish_reason_then_usage_then_done(account):
    response = account.post(COMPLETIONS, json=HELLO | {"stream": True} | INCLUDE_USAGE)

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["transfer-encoding"] == "chunked"
    *pieces, finish, usage, done = stream_events(response.text)
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    assert stream_text(pieces) == "Hello there, friend 🌱"
    assert finish["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop"}
    assert usage["choices"] == []
    assert done == "[DONE]"


def test_usage_is_zero_except_for_the_total(account):
    """Measured: prompt and completion tokens 0 on every turn, the total non-zero."""
    whole = account.post(COMPLETIONS, json=HELLO).json()["usage"]
    usage = stream_completion(account, HELLO | INCLUDE_USAGE)[-2]["usage"]

    assert whole == usage
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (0, 0)
    assert usage["total_tokens"] > 1


def test_a_stream_without_include_usage_has_no_usage_event(account):
    assert all(each == "[DONE]" or each["choices"] for each in stream_completion(account, HELLO))


@pytest.mark.parametrize(("usage", "counts"), [("counted", (3, 3, 6)), ("none", None)])
def test_the_usage_option_counts_words_or_reports_nothing(usage, counts):
    with Sandbox(usage=usage) as box, http_client(box) as client:
        body = completion_request(text="one two three")
        whole = client.post(COMPLETIONS, json=body).json().get("usage")
        stream = stream_completion(client, body | INCLUDE_USAGE)

    assert (whole and tuple(whole.values())) == counts
    assert any(each != "[DONE]" and not each["choices"] for each in stream) is bool(counts)


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic x", "Bearer x y", "Bearer \u00e9"])
def test_a_missing_or_wrong_token_is_status_401(box, header):
    headers = {} if header is None else {"Authorization": header.encode()}
    response = httpx.post(box.url + COMPLETIONS, json=HELLO, headers=headers, trust_env=False)

    assert response.status_code == 401
    assert "error" in response.json()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "nobody"}, "nobody"),
        ({"reasoning_effort": "low"}, '"reasoning_effort" is not allowed'),
        ({"messages": []}, '"messages" must'),
        ({"messages": [{"role": "user"}]}, '"messages" must'),
        ({"messages": [{"role": "king", "content": "x"}]}, '"messages" must'),
        ({"stream": "yes"}, '"stream" must be a boolean'),
        ({"max_tokens": 0}, '"max_tokens" must'),
        ({"temperature": True}, '"temperature" must'),
        ({"model": 3}, '"model" must be a string'),
    ],
)
def test_an_invalid_field_is_status_400_with_a_reason(account, change, words):
    """Documented: an unknown slug is 400, not 404. Measured: unknown keys are "not allowed"."""
    response = account.post(COMPLETIONS, json=HELLO | change)

    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_a_json_object_is_status_400(account, body):
    assert account.post(COMPLETIONS, content=body).status_code == 400


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_required_field_is_named(account, missing):
    body = {key: value for key, value in HELLO.items() if key != missing}
    response = account.post(COMPLETIONS, json=body)

    assert response.json()["error"]["message"] == f'"{missing}" is required'


def test_every_known_field_is_accepted(account):
    extra = {"temperature": 0.5, "max_tokens": 100, "stateless": True, "stream": False}
    assert account.post(COMPLETIONS, json=HELLO | extra | INCLUDE_USAGE).status_code == 200


def test_the_model_list_has_eight_entries_with_or_without_a_token(box, account):
    with_key = account.get("/v1/models").json()
    without = httpx.get(box.url + "/v1/models", trust_env=False).json()

    assert with_key == without
    assert len(with_key["data"]) == 8
    assert "echo" not in {each["id"] for each in with_key["data"]}


def test_pieces_are_sent_as_soon_as_they_exist(account):
    with account.stream(
        "POST", COMPLETIONS, json=completion_request("slow", stream=True)
    ) as response:
        first = next(response.iter_lines())

    assert json.loads(first[6:])["choices"][0]["delta"]["content"] == "word1 "


def test_an_agent_that_is_not_for_chat_gets_a_generic_answer(account):
    """Measured: /v1 does not refuse such an agent, but it does not do its job."""
    body = {"model": "image", "messages": [{"role": "user", "content": "a cat"}]}
    response = account.post("/v1/chat/completions", json=body)

    assert response.status_code == 200
    assert "![" not in response.json()["choices"][0]["message"]["content"]


def test_a_stream_can_end_with_an_error(box, account):
    box.fail(Fault(error_after=1))
    first, error = stream_completion(account, HELLO)

    assert stream_text([first]) == "Hell"
    assert error["error"]["message"]


def test_a_stream_can_contain_invalid_json(box, account):
    box.fail(Fault(garbage_after=1))
    lines = account.post(COMPLETIONS, json=HELLO | {"stream": True}).text.split("\n\n")

    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[1][6:])
    assert json.loads(lines[2][6:])["choices"]


def test_a_stream_can_end_without_done(box, account):
    box.fail(Fault(no_done=True))
    chunks = stream_completion(account, HELLO)

    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
