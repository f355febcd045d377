"""The agents that a user passes: every kind of callable, their files, counts and errors."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from swiftask_jupyter.sandbox.agents import Agent, File, TokenCounts, to_agent
from swiftask_jupyter.sandbox.server import Sandbox
from tests.support.sandbox_requests import (
    COMPLETIONS,
    HELLO,
    ask_native,
    completion_request,
    http_client,
    stream_completion,
    stream_events,
    stream_text,
)


async def async_generator(_messages):
    for number in range(3):
        yield str(number)


async def coroutine(_messages):
    return ["a", "b"]


def generator(messages):
    yield from (each["content"] for each in messages)


@pytest.mark.parametrize(
    ("agent", "answer"),
    [
        (lambda _: ["a", "b"], "ab"),
        (lambda _: "ab", "ab"),
        ("ab", "ab"),
        (async_generator, "012"),
        (coroutine, "ab"),
        (generator, "hello"),
        (lambda _: iter(()), ""),
        (lambda _: ["ab", TokenCounts(5, 7)], "ab"),
    ],
)
def test_an_agent_can_be_any_callable_that_returns_text(agent, answer):
    with Sandbox(agents={"mine": agent}) as box, http_client(box) as client:
        whole = client.post(COMPLETIONS, json=completion_request("mine")).json()
        chunks = stream_completion(client, completion_request("mine"))

    assert whole["choices"][0]["message"]["content"] == stream_text(chunks) == answer
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


def test_the_token_counts_of_an_agent_are_reported():
    agents = {"mine": lambda _: ["ab", TokenCounts(5, 7, "length")]}
    with Sandbox(agents=agents) as box, http_client(box) as client:
        answer = client.post(COMPLETIONS, json=completion_request("mine")).json()

    assert tuple(answer["usage"].values()) == (5, 7, 12)
    assert answer["choices"][0]["finish_reason"] == "length"


def test_an_agent_can_yield_files_and_token_counts():
    table = File(b"a,b\n", "text/csv", "table 1.csv")
    agents = {"mine": lambda _: ["here", table, TokenCounts(150, 300)]}
    with Sandbox(agents=agents) as box, http_client(box) as client:
        answer = ask_native(client, "mine").json()
        served = httpx.get(answer["files"][0]["url"], trust_env=False)

    assert (answer["text"], answer["files"][0]["name"]) == ("here", "table 1.csv")
    assert answer["tokenUsage"] == {"inputTokens": 150, "outputTokens": 300, "totalTokens": 450}
    assert answer["totalBotUsage"] == 45
    assert served.content == b"a,b\n"


def failing(_messages):
    yield "so far"
    raise SystemExit("so bad\nand more")


@pytest.mark.parametrize("agent", [failing, lambda _: 1 / 0, lambda _: [3], lambda _: 3])
def test_an_exception_in_an_agent_is_reported_and_the_server_continues(agent):
    with Sandbox(agents={"mine": agent}) as box, http_client(box) as client:
        whole = client.post(COMPLETIONS, json=completion_request("mine"))
        stream = client.post(COMPLETIONS, json=completion_request("mine", stream=True))

        assert client.post(COMPLETIONS, json=HELLO).status_code == 200
    assert whole.status_code == 500
    assert "\n" not in whole.json()["error"]["message"]
    if agent is failing:
        assert stream_events(stream.text)[-1]["error"]["message"] == "SystemExit: so bad"
    else:
        assert stream.status_code == 500


def test_a_blocking_agent_does_not_delay_other_requests():
    asleep = threading.Event()

    def blocking(_messages):
        asleep.wait(30)
        return "woken"

    with (
        Sandbox(agents={"mine": blocking}) as box,
        http_client(box) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(client.post, COMPLETIONS, json=completion_request("mine"))
        assert box.wait_for(lambda: box.open_streams == 1)
        with http_client(box) as other:
            assert other.post(COMPLETIONS, json=HELLO).status_code == 200
        asleep.set()
        assert waiting.result().json()["choices"][0]["message"]["content"] == "woken"


def test_a_generator_is_closed_when_the_client_disconnects():
    closed = threading.Event()

    def endless(_messages):
        try:
            while True:
                yield "again "
        finally:
            closed.set()

    with Sandbox(agents={"mine": endless}) as box, http_client(box) as client:
        with client.stream(
            "POST", COMPLETIONS, json=completion_request("mine", stream=True)
        ) as answer:
            lines = answer.iter_lines()  # kept, because deleting it closes the connection
            next(lines)

        assert closed.wait(10)


def test_an_agent_that_takes_the_prompt_gets_its_limits_and_keeps_them_itself():
    prompts = []

    def answer(prompt):
        prompts.append(prompt)
        return "one two three"

    agents = {"mine": Agent(answer, takes_prompt=True)}
    body = completion_request("mine", "hi", max_tokens=1, temperature=0.5)
    with Sandbox(agents=agents) as box, http_client(box) as client:
        reply = client.post(COMPLETIONS, json=body).json()["choices"][0]

    (prompt,) = prompts
    assert prompt.messages == ({"role": "user", "content": "hi"},)
    assert (prompt.max_tokens, prompt.temperature) == (1, 0.5)
    assert reply["message"]["content"] == "one two three"


@pytest.mark.parametrize("value", [3, None, ["text"]])
def test_only_a_callable_a_text_or_an_agent_is_accepted(value):
    with pytest.raises(TypeError, match="a callable, a text or an Agent"):
        to_agent(value)
