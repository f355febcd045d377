"""One run of an agent, without a server: pieces, limits, usage and stream faults."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from swiftask_jupyter.sandbox.agent_run import APOLOGY, AgentRun, DropConnection, StreamFault
from swiftask_jupyter.sandbox.agents import Agent, AgentInput, File, TokenCounts
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.sandbox.state import create_state
from tests.support.sandbox_requests import completion_request, stream_completion, stream_text


@pytest.fixture
def start_run():
    """A function that returns a run of an agent that yields the given pieces."""
    state = create_state(None, "zero", None, 1, 1000)
    with ThreadPoolExecutor(1) as executor:
        state.agent_threads = executor

        def start(*pieces, text="hello there", fault=None, max_tokens=None, usage=None):
            agent = Agent(lambda _: pieces, nonblocking=True)
            prompt = AgentInput(({"role": "user", "content": text},), max_tokens)
            return AgentRun(state, agent, prompt, fault, store_file=lambda _: "URL", usage=usage)

        yield start


def collect(run):
    """Start a run, and return all that it yields."""

    async def collected():
        return [piece async for piece in run.pieces()]

    return asyncio.run(collected())


def test_max_tokens_cuts_the_reply_and_reports_length(account):
    chunks = stream_completion(
        account, completion_request(text="one two  three four", max_tokens=3)
    )
    uncut = stream_completion(account, completion_request(text="one two  three", max_tokens=3))

    assert stream_text(chunks) == "one two  three "
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert uncut[-2]["choices"][0]["finish_reason"] == "stop"


def test_a_word_spread_over_several_pieces_counts_once(start_run):
    run = start_run("one t", "wo", " three", max_tokens=2)

    assert "".join(collect(run)) == "one two "
    assert run.finish_reason == "length"


@pytest.mark.parametrize(
    ("fault", "usage", "expected"),
    [
        (None, "counted", (2, 3, 5)),
        (None, "none", None),
        (None, None, (0, 0, 1006)),
        (Fault(usage="counted"), "none", (2, 3, 5)),
        (Fault(disguised=True), "none", (0, 0, 1)),
    ],
)
def test_usage_is_reported_in_the_mode_of_the_fault_or_else_of_the_dialect(
    start_run, fault, usage, expected
):
    run = start_run("one ", "two three", fault=fault, usage=usage)
    collect(run)

    reported = run.usage()
    assert (reported and tuple(reported.values())) == expected


def test_the_agents_own_counts_replace_the_mode_unless_a_fault_sets_one(start_run):
    counts = TokenCounts(5, 7, "length")
    own, forced = start_run("a", counts), start_run("a", counts, fault=Fault(usage="zero"))
    for run in (own, forced):
        collect(run)

    assert own.usage() == {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    assert own.finish_reason == "length"
    assert forced.usage()["prompt_tokens"] == 0


def test_a_file_is_listed_or_linked_in_the_text(start_run):
    listed = File(b"abc", "text/plain", "a.txt")
    linked = File(b"", "image/png", "b.png", in_text=True)
    run = start_run("see ", listed, linked)

    assert "".join(collect(run)) == "see ![b.png](URL)"
    assert run.files == [{"url": "URL", "name": "a.txt", "type": "text/plain", "size": 3}]


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_stream_fault_comes_after_its_number_of_pieces(start_run, after):
    garbage = collect(start_run("a", "b", fault=Fault(garbage_after=after)))
    error = collect(start_run("a", "b", fault=Fault(error_after=after)))

    assert garbage.index(StreamFault.GARBAGE) == after
    assert [each for each in garbage if isinstance(each, str)] == ["a", "b"]
    assert error == [*["a", "b"][:after], StreamFault.ERROR]


@pytest.mark.parametrize(
    ("fault", "reset"), [(Fault(cut_after=1), False), (Fault(reset_after=1), True)]
)
def test_a_dropped_connection_is_raised_after_its_number_of_pieces(start_run, fault, reset):
    run = start_run("a", "b", fault=fault)
    pieces = []

    async def collected():
        async for piece in run.pieces():
            pieces.append(piece)  # noqa: PERF401 - those before the exception matter

    with pytest.raises(DropConnection) as caught:
        asyncio.run(collected())

    assert (pieces, caught.value.reset) == (["a"], reset)


@pytest.mark.parametrize(
    ("fault", "text"),
    [(Fault(disguised=True), APOLOGY), (Fault(empty=True), '""'), (Fault(text="other"), "other")],
)
def test_a_fault_can_replace_the_text(start_run, fault, text):
    assert collect(start_run("a", "b", fault=fault)) == [text]
