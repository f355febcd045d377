"""`Swiftask` from Python: asking, streaming, errors, and what the ledger records."""

import asyncio
import threading

import pandas as pd
import pytest

from swiftask_jupyter import Delta, Finish, Sandbox, Swiftask, Usage, errors
from swiftask_jupyter.sandbox.faults import Fault


def test_an_answer_has_its_text_its_turn_its_usage_and_the_raw_response(client):
    answer = client.ask("hello")

    assert (answer.text, str(answer), len(answer)) == ("hello", "hello", 5)
    assert answer.turn == client.usage()["turn"].iloc[-1]
    assert answer.usage.source == "stream"
    assert answer.raw["model"] == "echo"
    assert "hello" in repr(answer)


def test_a_stream_yields_the_events_of_the_answer(client):
    stream = client.stream("hello there")

    events = list(stream)

    assert "".join(event.text for event in events if isinstance(event, Delta)) == "hello there"
    assert Finish("stop") in events
    assert any(isinstance(event, Usage) for event in events)
    assert stream.answer.text == "hello there"


def test_a_stream_left_early_is_closed_and_recorded_as_interrupted(client, box):
    with client.stream("hello", agent="slow") as stream:
        next(iter(stream))

    assert box.wait_for(lambda: box.requests[-1].disconnected)
    assert list(client.usage()["status"]) == ["interrupted"]


def test_a_running_loop_can_ask_and_stream(client):
    async def both():
        answer = await client.ask_async("one")
        events = [event async for event in client.stream_async("two")]
        return answer, events

    answer, events = asyncio.run(both())

    assert answer.text == "one"
    assert "".join(event.text for event in events if isinstance(event, Delta)) == "two"


def test_thirty_concurrent_calls_share_one_client(client):
    async def all_of_them():
        return await asyncio.gather(*(client.ask_async(f"number {n}") for n in range(30)))

    answers = asyncio.run(all_of_them())

    assert [answer.text for answer in answers] == [f"number {n}" for n in range(30)]
    assert len(set(client.usage()["turn"])) == 30


def test_a_cancelled_task_closes_its_stream_and_is_recorded_as_interrupted(client, box):
    async def cancelled():
        task = asyncio.create_task(client.ask_async("hello", agent="slow"))
        await asyncio.to_thread(box.wait_for, lambda: box.open_streams)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())

    assert box.wait_for(lambda: box.requests[-1].disconnected)
    client.close()  # waits until the cancelled turn is recorded
    assert list(client.usage()["status"]) == ["interrupted"]


def test_unknown_options_become_fields_of_the_request(client, box):
    client.ask("hello", temperature=0, max_tokens=5)

    body = box.requests[-1].json
    assert (body["temperature"], body["max_tokens"]) == (0, 5)


def test_a_base_url_may_end_in_an_api_path(box):
    for suffix in ("/v1", "/api/", ""):
        with Swiftask(base_url=box.url + suffix, token=box.token, agent="echo") as client:
            assert client.ask("hello").text == "hello"


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (Fault(status=401), errors.Unauthorized, "error"),
        (Fault(status=429), errors.RateLimited, "error"),
        (Fault(status=500), errors.ServiceUnavailable, "error"),
        (Fault(status=503), errors.ServiceUnavailable, "error"),
        (Fault(redirect="http://127.0.0.1:9/"), errors.BadRequest, "error"),
        (Fault(garbage_after=1), errors.StreamError, "error"),
        (Fault(cut_after=1), errors.StreamError, "error"),
        (Fault(reset_after=1), errors.StreamError, "error"),
        (Fault(error_after=1), errors.ServiceError, "error"),
    ],
)
def test_each_failure_raises_its_error_in_one_line_and_is_recorded(
    client, box, fault, kind, status
):
    box.fail(fault, times=None)

    with pytest.raises(kind) as caught:
        client.ask("a prompt of several pieces", dialect="openai")

    assert "\n" not in str(caught.value)
    (row,) = client.usage().to_dict("records")
    assert (row["status"], row["error"]) == (status, str(caught.value))
    box.clear_faults()
    assert client.ask("next").text == "next"


def test_a_stream_that_breaks_off_keeps_its_text(client, box):
    box.fail(Fault(cut_after=2))
    stream = client.stream("a prompt of several pieces")

    with pytest.raises(errors.StreamError):
        list(stream)
    assert stream.reply.text == "a prompt"


def test_a_stream_may_end_without_its_done_marker(client, box):
    box.fail(Fault(no_done=True))

    assert client.ask("hello").text == "hello"


def test_the_error_for_an_unknown_dialect_names_the_known_ones(client):
    with pytest.raises(errors.ConfigurationError, match="openai"):
        client.ask("hello", dialect="esperanto")


def test_a_lone_surrogate_in_a_prompt_is_refused(client):
    with pytest.raises(errors.PromptError, match="surrogate"):
        client.ask("hello \ud83d")


def test_a_lone_surrogate_in_a_slug_is_refused_by_calls_and_batches(client):
    for asks in (client.ask, lambda *asked: client.map(pd.DataFrame({"n": [1]}), *asked)):
        with pytest.raises(errors.PromptError, match="surrogates"):
            asks("hello", "\ud800")


def test_the_usage_frame_has_the_same_columns_and_dtypes_when_it_is_empty(client):
    empty = client.usage()
    client.ask("hello")
    full = client.usage()

    assert list(empty.columns) == [
        "turn", "at", "notebook", "session", "number", "cell", "slot", "surface", "agent",
        "host", "connection", "sandbox", "dialect", "status", "finish_reason", "attempts",
        "seconds", "first_token_seconds",
        "input_tokens", "output_tokens", "total_tokens", "reported_total", "credits",
        "usage_source", "cached", "key", "error",
    ]  # fmt: skip
    assert list(map(str, empty.dtypes)) == list(map(str, full.dtypes))
    assert isinstance(full["at"].dtype, pd.DatetimeTZDtype)
    assert full["input_tokens"].dtype == "Int64"
    assert full["input_tokens"].isna().all()
    assert full["reported_total"].iloc[0] > 0
    assert 0 < full["first_token_seconds"].iloc[0] <= full["seconds"].iloc[0]


def test_reported_tokens_are_in_the_usage_frame():
    with (
        Sandbox(usage="counted") as box,
        Swiftask(base_url=box.url, token=box.token, agent="echo") as client,
    ):
        client.ask("one two three")
        (row,) = client.usage().to_dict("records")

    assert (row["input_tokens"], row["output_tokens"], row["total_tokens"]) == (3, 3, 6)


def test_a_client_can_be_used_again_after_close(client):
    client.ask("one")
    client.close()

    assert client.ask("two").text == "two"


def test_the_attributes_of_a_client_do_not_show_its_token(client, box):
    connections = client.connections
    shown = f"{client!r}{client.__dict__}{connections.resolve()!r}{connections.overrides!r}"

    assert box.token not in shown


def test_a_proxy_is_not_used_for_loopback(box, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Swiftask(base_url=box.url, token=box.token, agent="echo") as client:
        assert client.ask("hello").text == "hello"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"base_url": "", "token": "s3cr3t"}, "base_url is empty"),
        ({"token": " "}, "token is empty"),
        ({"connection": ""}, "connection is empty"),
        ({"token": 5}, "token must be text, not int"),
        ({"base_url": 5}, "base_url must be text, not int"),
        ({"agent": object()}, "agent must be text, not object"),
    ],
)
def test_an_argument_that_would_silently_select_the_default_is_refused(wanted, message):
    with pytest.raises(errors.ConfigurationError, match=message) as caught:
        Swiftask(**wanted)
    assert "s3cr3t" not in str(caught.value)


def test_a_removed_ledger_is_created_anew_with_one_remark(client):
    first = client.ask("one")
    client.store.unlink()
    second, third = client.ask("two"), client.ask("three")

    assert first.reply.remarks == third.reply.remarks == []
    assert second.reply.remarks == [
        f"the ledger {client.store} was taken away, and a new one begun"
    ]
    assert client.usage()["status"].tolist() == ["ok", "ok"]


@pytest.mark.parametrize("prompt", [None, 5, b"x", ["hello"]])
def test_a_prompt_that_is_not_a_string_is_refused_in_one_line(client, prompt):
    with pytest.raises(errors.PromptError, match="the prompt must be text, not"):
        client.ask(prompt)
    assert list(client.usage()["status"]) == ["refused"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"files": 5}, "files must be a list, not int"),
        ({"files": "report.pdf"}, "files must be a list, not str"),
        ({"files": pd.DataFrame({"a": [1]})}, "files must be a list, not DataFrame"),
        ({"agent": 5}, "agent must be text, not int"),
        ({"system": object()}, "system must be text, not object"),
        ({"dialect": 5}, "dialect must be text, not int"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_in_one_line(client, box, options, message):
    with pytest.raises(errors.Refused, match=message):
        client.ask("hello", **options)
    assert not box.requests


def test_the_repr_of_a_client_names_its_host_and_agent(client, box):
    assert repr(client) == "<Swiftask 127.0.0.1, agent: echo>"
    assert box.token not in repr(client)


def test_the_answer_of_a_failed_stream_raises_its_error_again(client, box):
    box.fail(Fault(cut_after=1))
    stream = client.stream("hello world")

    with pytest.raises(errors.StreamError):
        list(stream)
    with pytest.raises(errors.StreamError):
        _ = stream.answer


def test_closing_the_client_ends_a_stream_in_another_thread_with_an_error(box):
    client = Swiftask(base_url=box.url, token=box.token, agent="slow", dialect="openai")
    begun, ended = threading.Event(), []

    def read():
        try:
            for _ in client.stream("hello"):
                begun.set()
        except BaseException as error:  # noqa: BLE001 - the test compares whatever was raised
            ended.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait(30)
    client.close()
    thread.join(30)

    assert [type(error) for error in ended] == [errors.ConnectionFailed]


def test_an_answer_is_returned_although_the_ledger_cannot_be_completed(client, monkeypatch):
    def full(*_):
        raise errors.StoreError("the disk is full")

    statuses = []
    session = client.session()
    session.watchers.append(lambda turn: statuses.append(turn.reply.status))
    monkeypatch.setattr(client.runtime.ledger.turns, "complete", full)

    answer = session.ask("hello")

    assert answer.text == "hello"
    assert statuses == ["running", "ok"]
    assert "not in the ledger: the disk is full" in answer.reply.remarks[-1]
