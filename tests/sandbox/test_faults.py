"""Every fault can be had by whoever chooses a slug, a header, or how the sandbox is made."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.ledger.schema import is_suspect
from swiftask_jupyter.sandbox.faults import NAMED_FAULTS, Fault


def ask(box, slug="echo", header=None, path=None):
    """POST a question as curl does; return status, headers and body."""
    connection = http.client.HTTPConnection(urlsplit(box.url).netloc, timeout=30)
    headers = {"Authorization": f"Bearer {box.token}", "Content-Type": "application/json"}
    if header is not None:
        headers["X-Sandbox-Fault"] = header
    body = {"model": slug, "messages": [{"role": "user", "content": "hello"}]}
    native = {"input": "hello"}
    connection.request(
        "POST",
        path or "/v1/chat/completions",
        json.dumps(native if path else body),
        headers,
    )
    response = connection.getresponse()
    status, given, said = response.status, response.headers, response.read()
    connection.close()
    return status, given, said


@pytest.mark.parametrize("path", [None, "/api/ai/{}"], ids=["openai", "native"])
def test_an_agent_named_for_a_status_answers_it(box, path):
    slug = "fault-429"

    status, headers, _ = ask(box, slug, path=path and path.format(slug))

    assert (status, headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize("name", NAMED_FAULTS)
def test_every_named_fault_has_its_agent_and_can_be_asked_for_by_header(box, name):
    assert box.client_token(f"fault-{name}")
    if NAMED_FAULTS[name].status is not None:
        status, _, _ = ask(box, header=name)
        assert status == NAMED_FAULTS[name].status


def test_a_header_takes_a_faults_fields(box):
    wanted = {"status": 503, "message": "come back", "headers": {"Retry-After": "7"}}

    status, headers, body = ask(box, header=json.dumps(wanted))

    assert (status, headers["Retry-After"]) == (503, "7")
    assert b"come back" in body


@pytest.mark.parametrize("header", ["nonsense", "{", '{"nonsense": 1}', '{"usage": "much"}'])
def test_a_header_that_makes_no_sense_is_told_so(box, header):
    status, _, body = ask(box, header=header)

    assert status == 400
    assert b"error" in body


def test_a_header_is_for_its_own_request_alone(box):
    assert ask(box, header="500")[0] == 500
    assert ask(box)[0] == 200


def test_faults_given_at_the_start_meet_the_first_questions():
    with Sandbox(faults=["429", Fault(text="no more credits")]) as box:
        first, second, third = ask(box), ask(box), ask(box)

    assert first[0] == 429
    assert json.loads(second[2])["choices"][0]["message"]["content"] == "no more credits"
    assert json.loads(third[2])["choices"][0]["message"]["content"] == "hello"


def test_a_fault_can_be_served_at_a_rate():
    with Sandbox(seed=7) as box:
        box.fail(Fault(disguised=True, probability=0.5), times=None)
        totals = [json.loads(ask(box)[2])["usage"]["total_tokens"] for _ in range(40)]

    assert 8 < totals.count(1) < 32


def test_agents_that_only_go_wrong_are_in_no_catalogue(box):
    with Swiftask(base_url=box.url, token=box.token) as client:
        assert len(client.agents("fault-*")) == 0
    assert not [slug for slug in box.agents if slug.startswith("fault-")]


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
def test_a_cell_can_meet_a_fault_by_its_slug(box, monkeypatch, agent, error):
    monkeypatch.setattr("swiftask_jupyter.turns.retry.FIRST_DELAY_SECONDS", 0.0)
    with (
        Swiftask(base_url=box.url, token=box.token, dialect="openai") as client,
        pytest.raises(error),
    ):
        client.ask("hello there", agent)


def test_an_answer_of_another_kind_is_an_answer(box):
    with Swiftask(base_url=box.url, token=box.token, dialect="openai") as client:
        assert client.ask("hello", "fault-out-of-credits").text == "You have run out of credits."
        assert is_suspect(client.ask("hello", "fault-disguised").reply)
        assert client.ask("hello", "fault-no-done").text == "hello"
        counted = client.ask("hello there", "fault-counted-usage").usage
        assert (counted.input_tokens, counted.output_tokens) == (2, 2)
