"""OpenAI's SDK as a client of the sandbox; the documents recommend this SDK.

It is independent code: if it reads the sandbox as our client does, both are probably right.
"""

import asyncio

import pytest

from swiftask_jupyter import Sandbox
from swiftask_jupyter.sandbox.agents import Agent, TokenCounts
from swiftask_jupyter.sandbox.faults import Fault

MESSAGES = [{"role": "user", "content": "Hello, how can you help me?"}]
TEXT = MESSAGES[0]["content"]


@pytest.fixture
def openai():
    """The module of the SDK; the package itself does not need it."""
    return pytest.importorskip("openai", reason="the openai SDK is not installed")


@pytest.fixture
def sdk_client(openai, box):
    """The client that the documents show, but without retries."""
    with openai.OpenAI(api_key=box.token, base_url=f"{box.url}/v1", max_retries=0) as client:
        yield client


def test_the_sdk_reads_a_whole_completion(sdk_client):
    answer = sdk_client.chat.completions.create(model="echo", messages=MESSAGES)

    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", TEXT)
    assert (choice.finish_reason, answer.model) == ("stop", "echo")
    assert answer.object == "chat.completion"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (0, 0)
    assert answer.usage.total_tokens > 0


def test_the_sdk_reads_a_stream_as_the_documents_show(sdk_client):
    stream = sdk_client.chat.completions.create(model="echo", messages=MESSAGES, stream=True)

    chunks = list(stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "stop"]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_the_sdk_reads_the_usage_event_without_choices(sdk_client):
    stream = sdk_client.chat.completions.create(
        model="echo", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )

    *text_chunks, last = list(stream)

    assert last.choices == []
    assert last.usage.total_tokens > 0
    assert "".join(chunk.choices[0].delta.content or "" for chunk in text_chunks) == TEXT


def test_the_raw_lines_of_the_sdk_end_with_done(sdk_client):
    with sdk_client.chat.completions.with_streaming_response.create(
        model="echo", messages=MESSAGES, stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]

    assert lines[-1] == "data: [DONE]"
    assert response.headers["content-type"].startswith("text/event-stream")


def test_the_async_sdk_works_with_and_without_streaming(openai, box):
    async def both():
        async with openai.AsyncOpenAI(
            api_key=box.token, base_url=f"{box.url}/v1", max_retries=0
        ) as client:
            create = client.chat.completions.create
            whole = await create(model="echo", messages=MESSAGES, temperature=0.5, max_tokens=2)
            stream = await create(model="echo", messages=MESSAGES, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return whole.choices[0], "".join(pieces)

    whole, streamed = asyncio.run(both())

    assert (whole.message.content.strip(), whole.finish_reason) == ("Hello, how", "length")
    assert streamed == TEXT


def test_the_sdk_can_close_a_stream_early(sdk_client, box):
    with sdk_client.chat.completions.create(model="slow", messages=MESSAGES, stream=True) as stream:
        next(iter(stream))

    assert box.wait_for(lambda: box.requests[-1].disconnected)


def test_the_sdk_lists_the_models(sdk_client):
    assert len(sdk_client.models.list().data) == 8


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_reports_a_wrong_key(openai, box, stream):
    with (
        openai.OpenAI(api_key="wr0ng", base_url=f"{box.url}/v1", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="echo", messages=MESSAGES, stream=stream)
    assert caught.value.status_code == 401
    assert "API key" in caught.value.body["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_reports_an_unknown_model_and_an_unknown_field(openai, sdk_client, stream):
    with pytest.raises(openai.BadRequestError, match="does not exist"):
        sdk_client.chat.completions.create(model="nobody", messages=MESSAGES, stream=stream)
    with pytest.raises(openai.BadRequestError, match=r"reasoning_effort.* is not allowed"):
        sdk_client.chat.completions.create(
            model="echo", messages=MESSAGES, stream=stream, reasoning_effort="low"
        )


def test_the_sdk_reports_too_many_requests_and_can_retry(openai, sdk_client, box):
    box.fail(Fault(status=429, headers={"Retry-After": "0"}))
    with pytest.raises(openai.RateLimitError) as caught:
        sdk_client.chat.completions.create(model="echo", messages=MESSAGES)
    assert caught.value.response.headers["retry-after"] == "0"

    box.fail(Fault(status=429, headers={"Retry-After": "0", "retry-after-ms": "1"}))
    retrying = sdk_client.with_options(max_retries=1)
    answer = retrying.chat.completions.create(model="echo", messages=MESSAGES)
    assert answer.choices[0].message.content == TEXT
    assert len(box.requests) == 3


def test_the_sdk_raises_an_error_inside_a_stream(openai, sdk_client, box):
    box.fail(Fault(error_after=1))
    stream = sdk_client.chat.completions.create(model="echo", messages=MESSAGES, stream=True)

    with pytest.raises(openai.APIError, match="the sandbox was asked to fail"):
        list(stream)


@pytest.mark.parametrize("fault", [Fault(), Fault(usage="counted"), Fault(no_done=True)])
def test_the_sdk_and_our_client_read_the_same(sdk_client, box, client, fault):
    box.fail(fault, times=None)
    stream = sdk_client.chat.completions.create(
        model="lorem",
        messages=MESSAGES,
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


def test_the_sdk_reads_the_token_counts_of_an_agent(openai):
    agents = {"counts": Agent(lambda _: ["hi", TokenCounts(3, 1, "length")], nonblocking=True)}
    with (
        Sandbox(agents=agents) as box,
        openai.OpenAI(api_key=box.token, base_url=f"{box.url}/v1", max_retries=0) as client,
    ):
        answer = client.chat.completions.create(model="counts", messages=MESSAGES)

    assert answer.usage.total_tokens == 4
    assert answer.choices[0].finish_reason == "length"
