"""Two peers that no one here wrote: OpenAI's own SDK as a client, llama.cpp's server as a service.

The SDK asks the sandbox as the documents tell users to; our client asks a real model. Where the
two agree with us, we are not only in agreement with ourselves.
"""

import asyncio
import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from swiftask_jupyter import Delta, Finish, Sandbox, Swiftask, Usage, errors, sandbox
from swiftask_jupyter.ledger.schema import is_suspect
from swiftask_jupyter.sandbox.agents import Agent, TokenCounts
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.model import unmet_requirement

SAID = [{"role": "user", "content": "Hello, how can you help me?"}]
TEXT = SAID[0]["content"]


@pytest.fixture
def sdk():
    """The stock SDK; it is a peer to test against, and no dependency of ours."""
    return pytest.importorskip("openai", reason="the openai SDK is not installed")


@pytest.fixture
def stock(sdk, box):
    """The SDK's client as the documents make it, but that it does not ask again by itself."""
    with sdk.OpenAI(api_key=box.token, base_url=f"{box.url}/v1", max_retries=0) as client:
        yield client


def test_the_sdk_reads_a_whole_completion(stock):
    answer = stock.chat.completions.create(model="echo", messages=SAID)

    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", TEXT)
    assert (choice.finish_reason, answer.model) == ("stop", "echo")
    assert answer.object == "chat.completion"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (0, 0)
    assert answer.usage.total_tokens > 0


def test_the_sdk_reads_a_stream_as_the_documents_show(stock):
    stream = stock.chat.completions.create(model="echo", messages=SAID, stream=True)

    chunks = list(stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "stop"]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_the_sdk_sees_the_usage_event_that_crashes_the_documents_sample(stock):
    stream = stock.chat.completions.create(
        model="echo", messages=SAID, stream=True, stream_options={"include_usage": True}
    )

    *spoken, last = list(stream)

    assert last.choices == []
    assert last.usage.total_tokens > 0
    assert "".join(chunk.choices[0].delta.content or "" for chunk in spoken) == TEXT


def test_the_sdks_raw_lines_end_with_done(stock):
    with stock.chat.completions.with_streaming_response.create(
        model="echo", messages=SAID, stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]

    assert lines[-1] == "data: [DONE]"
    assert response.headers["content-type"].startswith("text/event-stream")


def test_the_async_sdk_asks_and_streams(sdk, box):
    async def both():
        async with sdk.AsyncOpenAI(
            api_key=box.token, base_url=f"{box.url}/v1", max_retries=0
        ) as client:
            create = client.chat.completions.create
            whole = await create(model="echo", messages=SAID, temperature=0.5, max_tokens=2)
            stream = await create(model="echo", messages=SAID, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return whole.choices[0], "".join(pieces)

    whole, streamed = asyncio.run(both())

    assert (whole.message.content.strip(), whole.finish_reason) == ("Hello, how", "length")
    assert streamed == TEXT


def test_the_sdk_may_leave_a_stream(stock, box):
    with stock.chat.completions.create(model="slow", messages=SAID, stream=True) as stream:
        next(iter(stream))

    assert box.wait_for(lambda: box.requests[-1].disconnected)


def test_the_sdk_lists_the_models(stock):
    assert len(stock.models.list().data) == 8


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_knows_a_wrong_key(sdk, box, stream):
    with (
        sdk.OpenAI(api_key="wr0ng", base_url=f"{box.url}/v1", max_retries=0) as client,
        pytest.raises(sdk.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="echo", messages=SAID, stream=stream)
    assert caught.value.status_code == 401
    assert "API key" in caught.value.body["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_knows_an_unknown_model_and_an_unknown_key(sdk, stock, stream):
    with pytest.raises(sdk.BadRequestError, match="does not exist"):
        stock.chat.completions.create(model="nobody", messages=SAID, stream=stream)
    with pytest.raises(sdk.BadRequestError, match=r"reasoning_effort.* is not allowed"):
        stock.chat.completions.create(
            model="echo", messages=SAID, stream=stream, reasoning_effort="low"
        )


def test_the_sdk_knows_too_many_requests_and_asks_again_if_told(sdk, stock, box):
    box.fail(Fault(status=429, headers={"Retry-After": "0"}))
    with pytest.raises(sdk.RateLimitError) as caught:
        stock.chat.completions.create(model="echo", messages=SAID)
    assert caught.value.response.headers["retry-after"] == "0"

    box.fail(Fault(status=429, headers={"Retry-After": "0", "retry-after-ms": "1"}))
    patient = stock.with_options(max_retries=1)
    answer = patient.chat.completions.create(model="echo", messages=SAID)
    assert answer.choices[0].message.content == TEXT
    assert len(box.requests) == 3


def test_the_sdk_raises_what_comes_inside_a_stream(sdk, stock, box):
    box.fail(Fault(error_after=1))
    stream = stock.chat.completions.create(model="echo", messages=SAID, stream=True)

    with pytest.raises(sdk.APIError, match="the sandbox was asked to fail"):
        list(stream)


@pytest.mark.parametrize("fault", [Fault(), Fault(usage="counted"), Fault(no_done=True)])
def test_the_sdk_and_our_client_read_the_same(stock, box, client, fault):
    box.fail(fault, times=None)
    stream = stock.chat.completions.create(
        model="lorem",
        messages=SAID,
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=40,
    )
    text, finish, usage = "", None, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish

    ours = client.ask(TEXT, "lorem", max_tokens=40)

    assert (ours.text, ours.reply.finish_reason) == (text, finish)
    assert ours.usage.reported_total == usage.total_tokens
    assert (ours.usage.input_tokens or 0) == usage.prompt_tokens
    assert (ours.usage.output_tokens or 0) == usage.completion_tokens


def test_the_sdk_sees_an_agents_own_counts(sdk):
    agents = {"counts": Agent(lambda _: ["hi", TokenCounts(3, 1, "length")], nonblocking=True)}
    with (
        Sandbox(agents=agents) as box,
        sdk.OpenAI(api_key=box.token, base_url=f"{box.url}/v1", max_retries=0) as client,
    ):
        answer = client.chat.completions.create(model="counts", messages=SAID)

    assert answer.usage.total_tokens == 4
    assert answer.choices[0].finish_reason == "length"


# A server that no one here wrote.

MODEL = "SmolLM2"


@pytest.fixture(scope="module")
def llama():
    """llama.cpp's own HTTP server in a child process: its address and its key."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed")
    if reason := unmet_requirement():
        pytest.skip(f"no model: {reason}")
    key = f"sk-{secrets.token_hex(16)}"
    script = Path(sandbox.__file__).with_name("llama_process.py")
    process = subprocess.Popen(
        [sys.executable, "-P", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    order = {"weights": str(sandbox.weights_path()), "key": key, "threads": 1}
    try:
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        reply = json.loads(process.stdout.readline())
        assert "url" in reply, reply
        yield reply["url"], key
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def smol(llama):
    url, key = llama
    with Swiftask(base_url=url, token=key, agent=MODEL, dialect="openai") as client:
        yield client


def test_a_real_model_streams_to_our_client_with_its_own_counts(smol):
    stream = smol.stream("Count from one to ten.", temperature=0, max_tokens=24)

    events = list(stream)

    pieces = [event.text for event in events if isinstance(event, Delta)]
    (usage,) = [event for event in events if isinstance(event, Usage)]
    assert len(pieces) > 5
    assert "".join(pieces) == stream.answer.text
    assert usage.source == "stream"
    assert usage.input_tokens > 5
    assert 5 < usage.output_tokens <= 24
    assert usage.total_tokens == usage.reported_total == usage.input_tokens + usage.output_tokens
    row = smol.usage().iloc[-1]
    assert (row["status"], row["output_tokens"]) == ("ok", usage.output_tokens)
    assert 0 < row["first_token_seconds"] <= row["seconds"]
    assert not is_suspect(stream.reply)


def test_a_limit_is_kept_and_called_length(smol):
    stream = smol.stream("Tell me a very long story.", temperature=0, max_tokens=6)
    events = list(stream)

    assert Finish("length") in events
    assert stream.answer.usage.output_tokens == 6
    assert stream.reply.finish_reason == "length"


def test_an_answer_that_ends_by_itself_is_called_stop(smol):
    system = "You are a helpful assistant."  # with its template's own it wanders off
    question = "What is the capital of France?"
    answer = smol.ask(question, temperature=0, max_tokens=200, system=system)

    assert answer.reply.finish_reason == "stop"
    assert "Paris" in answer.text


def test_a_system_message_and_unicode_arrive(smol):
    brief, long = (
        smol.ask("héllo 🎉", temperature=0, max_tokens=4, system=system)
        for system in ("Be brief.", "Be brief. " * 20)
    )

    assert long.usage.input_tokens > brief.usage.input_tokens + 40
    assert brief.text


def test_its_wrong_key_is_our_unauthorized(llama):
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
def test_its_refusal_of_an_option_is_a_service_error_in_its_words(smol, option):
    with pytest.raises(errors.ServiceError) as caught:
        smol.ask("hello", **option)

    assert caught.value.status in {400, 500}
    assert len(str(caught.value)) > len("400: ")
    assert not isinstance(caught.value, errors.AgentNotFound)
    assert list(smol.usage()["status"])[-1] == "error"


def test_a_prompt_too_long_for_it_is_a_bad_request_that_says_so_and_is_sent_once(smol):
    with pytest.raises(errors.BadRequest, match=r"(?i)context") as caught:
        smol.ask("word " * 12_000, max_tokens=4)

    assert caught.value.status == 400
    assert list(smol.usage()["attempts"]) == [1]


def test_leaving_early_leaves_it_free_for_the_next(smol):
    with smol.stream("Tell me a very long story.", max_tokens=2000) as stream:
        next(iter(stream))

    assert stream.reply.status == "interrupted"
    assert smol.ask("Say yes.", max_tokens=4).text


def test_several_at_once_are_all_answered(smol):
    async def all_of_them():
        return await asyncio.gather(
            *(smol.ask_async(f"Say {n}.", temperature=0, max_tokens=6) for n in range(6))
        )

    answers = asyncio.run(all_of_them())

    assert all(answer.text and answer.usage.output_tokens for answer in answers)


def test_its_unstreamed_answer_is_read_too(smol):
    """`stream` is not the user's to set: so the request is written by hand."""
    stream = smol.stream("Say yes.", temperature=0, max_tokens=6)
    streamed = stream.answer
    whole = unstreamed(smol, "Say yes.")

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
