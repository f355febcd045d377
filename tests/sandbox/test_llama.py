"""The agent `smollm2` with the real model; most tests are skipped if it is not installed."""

import json
import os
import subprocess
import sys

import pytest

from swiftask_jupyter.sandbox.agents import AgentInput
from swiftask_jupyter.sandbox.llama import DEFAULT_MAX_TOKENS, SYSTEM_MESSAGE, LlamaServer
from swiftask_jupyter.sandbox.model_weights import ModelUnavailable, unmet_requirement
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import COMPLETIONS, completion_request, http_client

needs_model = pytest.mark.skipif(
    unmet_requirement() is not None,
    reason=f"THE REAL MODEL IS NOT TESTED HERE: {unmet_requirement()}",
)


@pytest.fixture(scope="module")
def model_box():
    """A sandbox that has loaded the model."""
    with Sandbox(model=True, seed=1) as box:
        yield box


@pytest.fixture
def model_client(model_box):
    """An HTTP client of that sandbox with the account's API key."""
    with http_client(model_box) as client:
        yield client


@needs_model
def test_the_model_answers_and_reports_its_token_counts(model_client):
    body = completion_request(
        "smollm2", "What is the capital of France?", max_tokens=30, temperature=0
    )
    response = model_client.post(COMPLETIONS, json=body).json()

    assert "Paris" in response["choices"][0]["message"]["content"]
    usage = response["usage"]
    assert usage["prompt_tokens"] > 5
    assert 0 < usage["completion_tokens"] <= 30
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@needs_model
def test_tokens_are_streamed_up_to_the_limit(model_client):
    body = completion_request("smollm2", "Tell me a story.", max_tokens=12, stream=True)
    body["stream_options"] = {"include_usage": True}
    text = model_client.post(COMPLETIONS, json=body).text

    *chunks, done = [line[6:] for line in text.splitlines() if line]
    *pieces, finish, usage = map(json.loads, chunks)
    assert done == "[DONE]"
    assert len(pieces) > 6
    assert finish["choices"][0]["finish_reason"] == "length"
    assert usage["usage"]["completion_tokens"] == 12


@needs_model
def test_a_disconnect_stops_the_model_so_that_it_can_answer_again(model_box, model_client):
    """The model answers two prompts at once; three abandoned ones would block it."""
    for _ in range(3):
        body = completion_request("smollm2", "Count to one thousand.", stream=True)
        with model_client.stream("POST", COMPLETIONS, json=body) as response:
            lines = response.iter_lines()  # kept, because deleting it closes the connection
            next(lines)
        assert model_box.wait_for(lambda: model_box.open_streams == 0)
        assert model_box.requests[-1].disconnected

    assert (
        model_client.post(
            COMPLETIONS, json=completion_request("smollm2", "Hi", max_tokens=2)
        ).status_code
        == 200
    )


@needs_model
def test_a_prompt_longer_than_the_context_is_status_400(model_client):
    response = model_client.post(COMPLETIONS, json=completion_request("smollm2", "word " * 9000))

    assert response.status_code == 400
    assert "context" in response.json()["error"]["message"]


@needs_model
def test_the_same_seed_gives_the_same_answer(model_client):
    body = completion_request("smollm2", "Invent a name for a cat.", max_tokens=12)
    one, two = (model_client.post(COMPLETIONS, json=body).json()["choices"][0] for _ in range(2))

    assert one == two


@needs_model
def test_a_killed_model_is_started_again_for_the_next_prompt(model_box, model_client):
    model_client.post(COMPLETIONS, json=completion_request("smollm2", "Hi", max_tokens=1))
    model_box._state.llama._process.kill()
    model_box._state.llama._process.wait()

    assert (
        model_client.post(
            COMPLETIONS, json=completion_request("smollm2", "Hi", max_tokens=1)
        ).status_code
        == 200
    )


@needs_model
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_model_ends_with_its_process_and_survives_a_forked_child():
    code = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from swiftask_jupyter.sandbox import Sandbox
box = Sandbox(model=True).start()
child = os.fork()
if child == 0:
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), box._state.llama._process.poll())
print(box._state.llama._process.pid)
"""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    first, pid = done.stdout.splitlines()
    assert (done.returncode, first, done.stderr) == (0, "3 None", "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_the_request_adds_a_system_message_and_a_limit_where_the_prompt_has_none():
    question = {"role": "user", "content": "hi", "files": []}
    body = LlamaServer()._body(AgentInput((question,)))

    assert body["messages"] == (SYSTEM_MESSAGE, {"role": "user", "content": "hi"})
    assert body["max_tokens"] == DEFAULT_MAX_TOKENS
    assert "temperature" not in body
    assert "seed" not in body


def test_the_request_keeps_the_system_message_and_the_limits_of_the_prompt():
    system = {"role": "system", "content": "Be brief."}
    question = {"role": "user", "content": "hi"}
    body = LlamaServer(seed=3)._body(AgentInput((system, question), 5, 0.0))

    assert body["messages"] == (system, question)
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (5, 0.0, 3)


def test_without_weights_it_does_not_start(no_weights):
    with pytest.raises(ModelUnavailable, match="needs its weights"):
        LlamaServer().start()
