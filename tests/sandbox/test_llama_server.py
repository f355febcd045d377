"""Our client against llama.cpp's HTTP server with a real model.

That server is independent code: it shows that our client works with more than our own sandbox.
"""

import asyncio
import json
import secrets
import subprocess
import sys

import pytest

from swiftask_jupyter import Delta, Finish, Swiftask, Usage, errors
from swiftask_jupyter.ledger.schema import is_suspect
from swiftask_jupyter.sandbox import llama_process
from swiftask_jupyter.sandbox.model_weights import unmet_requirement, weights_path

MODEL = "SmolLM2"


@pytest.fixture(scope="module")
def llama():
    """The server in a child process: its URL and its API key."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed")
    if reason := unmet_requirement():
        pytest.skip(f"no model: {reason}")
    key = f"sk-{secrets.token_hex(16)}"
    process = subprocess.Popen(
        [sys.executable, "-P", llama_process.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    options = {"weights": str(weights_path()), "key": key, "threads": 1}
    try:
        process.stdin.write(json.dumps(options) + "\n")
        process.stdin.flush()
        response = json.loads(process.stdout.readline())
        assert "url" in response, response
        yield response["url"], key
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def llama_client(llama):
    """Our client of that server."""
    url, key = llama
    with Swiftask(base_url=url, token=key, agent=MODEL, dialect="openai") as client:
        yield client


def test_a_real_model_streams_and_reports_its_token_counts(llama_client):
    stream = llama_client.stream("Count from one to ten.", temperature=0, max_tokens=24)

    events = list(stream)

    pieces = [event.text for event in events if isinstance(event, Delta)]
    (usage,) = [event for event in events if isinstance(event, Usage)]
    assert len(pieces) > 5
    assert "".join(pieces) == stream.answer.text
    assert usage.source == "stream"
    assert usage.input_tokens > 5
    assert 5 < usage.output_tokens <= 24
    assert usage.total_tokens == usage.reported_total == usage.input_tokens + usage.output_tokens
    row = llama_client.usage().iloc[-1]
    assert (row["status"], row["output_tokens"]) == ("ok", usage.output_tokens)
    assert 0 < row["first_token_seconds"] <= row["seconds"]
    assert not is_suspect(stream.reply)


def test_a_reply_cut_at_max_tokens_has_the_finish_reason_length(llama_client):
    stream = llama_client.stream("Tell me a very long story.", temperature=0, max_tokens=6)
    events = list(stream)

    assert Finish("length") in events
    assert stream.answer.usage.output_tokens == 6
    assert stream.reply.finish_reason == "length"


def test_a_complete_reply_has_the_finish_reason_stop(llama_client):
    system = "You are a helpful assistant."  # the long default of its template misleads it
    question = "What is the capital of France?"
    answer = llama_client.ask(question, temperature=0, max_tokens=200, system=system)

    assert answer.reply.finish_reason == "stop"
    assert "Paris" in answer.text


def test_a_system_message_and_unicode_arrive(llama_client):
    brief, long = (
        llama_client.ask("héllo 🎉", temperature=0, max_tokens=4, system=system)
        for system in ("Be brief.", "Be brief. " * 20)
    )

    assert long.usage.input_tokens > brief.usage.input_tokens + 40
    assert brief.text


def test_a_wrong_key_raises_unauthorized(llama):
    url, key = llama
    with Swiftask(base_url=url, token="wr0ng-k3y", agent=MODEL, dialect="openai") as client:
        with pytest.raises(errors.Unauthorized) as caught:
            client.ask("hello")
        assert "wr0ng-k3y" not in str(caught.value)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "option",
    [{"temperature": "hot"}, {"max_tokens": "many"}, {"response_format": {"type": "nonsense"}}],
    ids=["temperature", "max_tokens", "response_format"],
)
def test_a_refused_option_raises_service_error_with_the_message_of_the_server(llama_client, option):
    with pytest.raises(errors.ServiceError) as caught:
        llama_client.ask("hello", **option)

    assert caught.value.status in {400, 500}
    assert len(str(caught.value)) > len("400: ")
    assert not isinstance(caught.value, errors.AgentNotFound)
    assert list(llama_client.usage()["status"])[-1] == "error"


def test_a_prompt_that_is_too_long_raises_bad_request_and_is_sent_once(llama_client):
    with pytest.raises(errors.BadRequest, match=r"(?i)context") as caught:
        llama_client.ask("word " * 12_000, max_tokens=4)

    assert caught.value.status == 400
    assert list(llama_client.usage()["attempts"]) == [1]


def test_a_stream_closed_early_does_not_block_the_next_prompt(llama_client):
    with llama_client.stream("Tell me a very long story.", max_tokens=2000) as stream:
        next(iter(stream))

    assert stream.reply.status == "interrupted"
    assert llama_client.ask("Say yes.", max_tokens=4).text


def test_several_prompts_at_once_are_all_answered(llama_client):
    async def ask_all():
        return await asyncio.gather(
            *(llama_client.ask_async(f"Say {n}.", temperature=0, max_tokens=6) for n in range(6))
        )

    answers = asyncio.run(ask_all())

    assert all(answer.text and answer.usage.output_tokens for answer in answers)


def test_a_response_without_streaming_is_read_too(llama_client):
    """Users can't turn off `stream`, so the test builds the request itself."""
    stream = llama_client.stream("Say yes.", temperature=0, max_tokens=6)
    streamed = stream.answer
    whole = unstreamed(llama_client, "Say yes.")

    assert whole.text == streamed.text
    assert whole.finish_reason == streamed.reply.finish_reason
    assert whole.usage.total_tokens == streamed.usage.total_tokens
    assert whole.usage.source == "api"


def unstreamed(client, text):
    """Ask without streaming, by the package's own request, decoder and transport."""
    from swiftask_jupyter.answers.turn import Reply
    from swiftask_jupyter.prompts.prompt import Prompt
    from swiftask_jupyter.protocols.openai import OpenAI
    from swiftask_jupyter.support.structs import replace
    from swiftask_jupyter.transport.client import Transport

    connection = client.connections.resolve()
    protocol = OpenAI(connection.root("/v1"), connection.token)
    request = protocol.request(Prompt(MODEL, text, options={"temperature": 0, "max_tokens": 6}))
    body = json.loads(request.content) | {"stream": False}
    del body["stream_options"]

    async def fetched():
        transport = Transport()
        try:
            return await transport.fetch(replace(request, content=json.dumps(body).encode()))
        finally:
            await transport.aclose()

    head, answer = asyncio.run(fetched())
    assert head.status == 200, answer
    decoder, reply = protocol.decoder(head), Reply(agent=MODEL)
    reply.apply(decoder.feed(answer))
    reply.apply(decoder.finish())
    return reply
