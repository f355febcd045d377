"""Every fault can be requested by a slug, by a header, or in Python."""

import http.client
import json
from urllib.parse import urlsplit

import httpx
import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.ledger.schema import is_suspect
from swiftask_jupyter.sandbox.faults import NAMED_FAULTS, Fault
from tests.support.sandbox_requests import (
    COMPLETIONS,
    HELLO,
    completion_request,
    stream_completion,
    stream_text,
)


def post_prompt(box, slug="echo", header=None, path=None):
    """Send a prompt as curl would; return the status, the headers and the body."""
    connection = http.client.HTTPConnection(urlsplit(box.url).netloc, timeout=30)
    headers = {"Authorization": f"Bearer {box.token}", "Content-Type": "application/json"}
    if header is not None:
        headers["X-Sandbox-Fault"] = header
    body = {"input": "hello"} if path else completion_request(slug)
    connection.request("POST", path or COMPLETIONS, json.dumps(body), headers)
    response = connection.getresponse()
    status, headers, content = response.status, response.headers, response.read()
    connection.close()
    return status, headers, content


@pytest.mark.parametrize("path", [None, "/api/ai/{}"], ids=["openai", "native"])
def test_the_agent_of_a_fault_answers_with_it(box, path):
    slug = "fault-429"

    status, headers, _ = post_prompt(box, slug, path=path and path.format(slug))

    assert (status, headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize("name", NAMED_FAULTS)
def test_every_named_fault_has_an_agent_and_a_header_value(box, name):
    assert box.client_token(f"fault-{name}")
    if NAMED_FAULTS[name].status is not None:
        status, _, _ = post_prompt(box, header=name)
        assert status == NAMED_FAULTS[name].status


def test_the_header_accepts_the_fields_of_a_fault_as_json(box):
    fields = {"status": 503, "message": "come back", "headers": {"Retry-After": "7"}}

    status, headers, body = post_prompt(box, header=json.dumps(fields))

    assert (status, headers["Retry-After"]) == (503, "7")
    assert b"come back" in body


@pytest.mark.parametrize("header", ["nonsense", "{", '{"nonsense": 1}', '{"usage": "much"}'])
def test_an_invalid_header_is_status_400(box, header):
    status, _, body = post_prompt(box, header=header)

    assert status == 400
    assert b"error" in body


def test_the_header_affects_its_own_request_only(box):
    assert post_prompt(box, header="500")[0] == 500
    assert post_prompt(box)[0] == 200


def test_faults_passed_to_the_sandbox_affect_the_first_prompts():
    with Sandbox(faults=["429", Fault(text="no more credits")]) as box:
        first, second, third = post_prompt(box), post_prompt(box), post_prompt(box)

    assert first[0] == 429
    assert json.loads(second[2])["choices"][0]["message"]["content"] == "no more credits"
    assert json.loads(third[2])["choices"][0]["message"]["content"] == "hello"


def test_a_fault_can_be_served_with_a_probability():
    with Sandbox(seed=7) as box:
        box.fail(Fault(disguised=True, probability=0.5), times=None)
        totals = [json.loads(post_prompt(box)[2])["usage"]["total_tokens"] for _ in range(40)]

    assert 8 < totals.count(1) < 32


@pytest.mark.parametrize(
    ("agent", "error"),
    [
        ("fault-401", errors.Unauthorized),
        ("fault-404", errors.AgentNotFound),
        ("fault-html", errors.ServiceUnavailable),
        ("fault-cut", errors.StreamError),
        ("fault-garbage", errors.StreamError),
        ("fault-error-inside", errors.ServiceError),
        ("fault-redirect", errors.BadRequest),
    ],
)
def test_a_client_meets_a_fault_by_its_slug(box, monkeypatch, agent, error):
    monkeypatch.setattr("swiftask_jupyter.turns.retry.FIRST_DELAY_SECONDS", 0.0)
    with (
        Swiftask(base_url=box.url, token=box.token, dialect="openai") as client,
        pytest.raises(error),
    ):
        client.ask("hello there", agent)


def test_faults_without_an_error_are_read_as_answers(box):
    with Swiftask(base_url=box.url, token=box.token, dialect="openai") as client:
        assert client.ask("hello", "fault-out-of-credits").text == "You have run out of credits."
        assert is_suspect(client.ask("hello", "fault-disguised").reply)
        assert client.ask("hello", "fault-no-done").text == "hello"
        counted = client.ask("hello there", "fault-counted-usage").usage
        assert (counted.input_tokens, counted.output_tokens) == (2, 2)


@pytest.mark.parametrize(
    ("shape", "where"),
    [
        ("string", lambda r: r.json()["error"]),
        ("object", lambda r: r.json()["error"]["message"]),
        ("message", lambda r: r.json()["message"]),
        ("detail", lambda r: r.json()["detail"]),
        ("data", lambda r: r.json()["error"]["message"] if r.json()["data"] is None else ""),
        ("text", lambda r: r.text),
        ("html", lambda r: r.text.split("<h1>")[1].split("</h1>")[0]),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_any_status_can_have_any_error_shape(box, account, status, shape, where):
    fault = Fault(status=status, shape=shape, message="too much", headers={"Retry-After": "7"})
    box.fail(fault)
    response = account.post(COMPLETIONS, json=HELLO)

    assert response.status_code == status
    assert response.headers["retry-after"] == "7"
    assert where(response) == "too much"
    assert account.post(COMPLETIONS, json=HELLO).status_code == 200


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_response_is_incomplete(box, account, stream):
    box.fail(Fault(cut_after=2))
    with pytest.raises(httpx.RemoteProtocolError):
        account.post(COMPLETIONS, json=HELLO | {"stream": stream})

    assert box.wait_for(lambda: box.open_streams == 0) is True
    assert box.requests[-1].disconnected is False


def test_a_reset_fault_resets_the_connection(box, account):
    box.fail(Fault(reset_after=1))
    with pytest.raises(httpx.ReadError):
        account.post(COMPLETIONS, json=HELLO | {"stream": True})


def test_a_failure_can_be_disguised_as_success(box, account):
    """Measured: 200, finish_reason stop, an apology, usage 0, 0 and 1."""
    box.fail(Fault(disguised=True))
    response = account.post(COMPLETIONS, json=HELLO).json()

    assert response["choices"][0]["finish_reason"] == "stop"
    assert tuple(response["usage"].values()) == (0, 0, 1)
    assert "Hello" not in response["choices"][0]["message"]["content"]


def test_a_reply_can_be_two_quotation_marks(box, account):
    box.fail(Fault(empty=True))
    assert account.post(COMPLETIONS, json=HELLO).json()["choices"][0]["message"]["content"] == '""'


def test_any_body_can_replace_the_response(box, account):
    box.fail(Fault(body="<b>down</b>", content_type="text/html", status=502))
    response = account.post(COMPLETIONS, json=HELLO)

    assert (response.status_code, response.text) == (502, "<b>down</b>")
    assert response.headers["content-type"] == "text/html"


def test_a_request_can_be_redirected(box, account):
    box.fail(Fault(redirect="http://127.0.0.1:1/elsewhere"))
    response = account.post(COMPLETIONS, json=HELLO)

    assert response.status_code == 307
    assert response.headers["location"] == "http://127.0.0.1:1/elsewhere"


def test_a_response_can_be_delayed_and_sent_without_pauses(box, account):
    box.fail(Fault(delay=0.2, burst=True))
    chunks = stream_completion(account, completion_request("slow"))
    request = box.requests[-1]

    assert stream_text(chunks).split()[-1] == "word650"
    assert request.first_byte - request.arrived >= 0.2


def test_faults_are_served_in_order_by_agent_and_number_of_times(box, account):
    box.fail(Fault(status=503), agent="echo", times=2)
    box.fail(Fault(status=429))
    slugs = ["lorem", "echo", "echo", "echo"]

    statuses = [
        account.post(COMPLETIONS, json=completion_request(slug, max_tokens=1)).status_code
        for slug in slugs
    ]
    assert statuses == [429, 503, 503, 200]


def test_clearing_the_faults_drops_those_not_yet_served(box, account):
    box.fail(Fault(status=503), times=None)
    box.clear_faults()

    assert account.post(COMPLETIONS, json=HELLO).status_code == 200


def test_a_field_with_an_unknown_choice_is_refused_at_once():
    with pytest.raises(ValueError, match="shape must be one of object, string"):
        Fault(shape="round")
