"""The scheduler of a batch: retries, budgets, fatal errors, and what the ledger holds when."""

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.answers.turn import Reply, new_id
from swiftask_jupyter.batch.limiter import ConcurrencyLimiter
from swiftask_jupyter.batch.plan import RowPrompt
from swiftask_jupyter.batch.scheduler import Scheduler
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.turns.budget import parse_budget
from tests.support.frames import received_prompts, recorded_prompts

FRAME = pd.DataFrame({"text": ["one", "two", "three"]})
NOW = {"Retry-After": "0"}


def new_reply(row):
    return Reply(id=new_id(), session="batch-1", surface="batch", prompt=row.prompt.text)


@pytest.fixture
def scheduler(client):
    """Makes a scheduler of so many prompts."""
    connections = client.connections

    def make(count):
        return Scheduler(
            (RowPrompt(n, *connections.prepare(f"row {n}", None)) for n in range(count)),
            new_reply=new_reply, settle=lambda _row, _reply: None,
            transport=connections.transport, turns=client.runtime.ledger.turns,
            limiter=ConcurrencyLimiter(2), most_requests=4,
        )  # fmt: skip

    return make


def settled(client, scheduler):
    watch = client.connections.thread.stream(scheduler.settled())
    return [number for some in watch for number in some]


def test_every_prompt_ends_exactly_once(client, scheduler):
    assert sorted(settled(client, scheduler(7))) == list(range(7))


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status=status, headers=NOW) for status in (429, 502, 503, 520, 529)),
        Fault(reset_after=0),
        Fault(cut_after=0),
    ],
    ids=lambda fault: str(fault.status or fault.reset_after),
)
def test_a_row_is_sent_again_if_no_part_of_an_answer_has_arrived(client, box, fault):
    box.fail(fault)

    out = client.map(FRAME, "say {{text}}")

    assert list(out["status"]) == ["ok"] * 3
    assert sorted(out["attempts"]) == [1, 1, 2]
    assert [status for _, status in recorded_prompts(client.store)] == ["ok"] * 3


@pytest.mark.parametrize("status", [500, 504])
def test_a_row_that_may_have_been_answered_is_not_sent_again(client, box, status):
    box.fail(Fault(status=status, headers=NOW))

    out = client.map(FRAME, "say {{text}}")

    assert sorted(out["status"]) == ["error", "ok", "ok"]
    assert list(out["attempts"]) == [1, 1, 1]


def test_a_row_is_sent_no_more_often_than_tries_allows(client, box):
    box.fail(Fault(status=503, headers=NOW), times=None)

    out = client.map(pd.DataFrame({"text": ["a"]}), "say {{text}}", tries=3)

    assert (out["status"].iloc[0], out["attempts"].iloc[0]) == ("error", 3)
    assert len(received_prompts(box)) == 3


def test_a_row_whose_answer_broke_off_is_sent_again_only_by_retry_errors(client, box):
    frame = pd.DataFrame({"text": ["a rather long one"]})
    box.fail(Fault(cut_after=2))

    broken = client.map(frame, "{{text}}").iloc[0]
    same = client.map(frame, "{{text}}").iloc[0]
    again = client.map(frame, "{{text}}", retry="errors").iloc[0]

    assert (broken["status"], broken["answer"]) == ("error", "a rather")
    assert same[["status", "answer", "error"]].equals(broken[["status", "answer", "error"]])
    assert (again["status"], again["answer"]) == ("ok", "a rather long one")
    assert len(received_prompts(box)) == 2


def test_a_refused_token_stops_the_batch_and_the_next_run_sends_the_rest(client, box):
    frame = pd.DataFrame({"text": range(50)})
    box.fail(Fault(status=401), times=None)

    with pytest.raises(errors.Unauthorized):
        client.map(frame, "say {{text}}", concurrency=4)

    assert len(received_prompts(box)) <= 4
    box.clear_faults()
    assert list(client.map(frame, "say {{text}}")["status"]) == ["ok"] * 50


def test_a_used_up_subscription_stops_the_batch_and_the_next_run_sends_the_rest(client, box):
    frame = pd.DataFrame({"text": range(20)})
    box.fail(Fault(limit_reached=True, message="none left"), times=None)

    with pytest.raises(errors.RateLimited, match="the subscription's limit is reached"):
        client.map(frame, "say {{text}}", dialect="native", concurrency=2)

    assert len(box.requests) <= 2
    box.clear_faults()
    assert list(client.map(frame, "say {{text}}", dialect="native")["status"]) == ["ok"] * 20


def test_an_unknown_agent_stops_the_batch_and_the_nearest_name_is_suggested(client, box, capsys):
    with pytest.raises(errors.AgentNotFound, match="did you mean echo"):
        client.map(FRAME, "say {{text}}", agent="ecko", concurrency=1)

    assert capsys.readouterr().out.endswith("\nstopped; 0 of 3 rows are kept, 1 failed\n")
    assert len(received_prompts(box)) == 1


def test_a_service_that_cannot_be_reached_stops_the_batch(box):
    box.stop()
    with (
        Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as client,
        pytest.raises(errors.ConnectionFailed, match="cannot reach"),
    ):
        client.map(FRAME, "say {{text}}", concurrency=1, tries=1)

    assert [status for _, status in recorded_prompts(client.store)] == ["error"]


def test_a_budget_is_kept_to_the_call_and_requests_in_flight_end(live, client, box, capsys):
    frame = pd.DataFrame({"n": range(9)})
    client.budgets.set(parse_budget("3 calls/hour"))

    with pytest.raises(errors.BudgetSpent, match="3 calls/hour"):
        client.map(frame, "row {{n}}", concurrency=8)

    assert capsys.readouterr().out.endswith("\nstopped; 3 of 9 rows are kept, 1 refused\n")
    assert sorted(received_prompts(box)) == ["row 0", "row 1", "row 2"]
    assert [status for _, status in recorded_prompts(client.store)] == ["ok"] * 3 + ["refused"]
    client.budgets.increase(parse_budget("20 calls/hour"))
    assert list(client.map(frame, "row {{n}}")["status"]) == ["ok"] * 9
    assert len(received_prompts(box)) == 9


def test_a_budget_that_cannot_be_read_ends_the_batch_and_leaves_no_row_running(
    client, box, monkeypatch
):
    frame, asked = pd.DataFrame({"n": range(9)}), []
    client.budgets.set(parse_budget("20 calls/hour"))

    def check(reply):
        asked.append(reply)
        if len(asked) == 3:
            raise errors.StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(client.budgets, "check", check)
        with pytest.raises(errors.StoreError, match="the disk is full"):
            client.map(frame, "row {{n}}")

    assert [status for _, status in recorded_prompts(client.store)] == ["ok", "ok", "refused"]
    assert list(client.map(frame, "row {{n}}")["status"]) == ["ok"] * 9
    assert len(received_prompts(box)) == 9


def test_an_answer_is_not_lost_if_one_write_to_the_ledger_fails(client, box, monkeypatch):
    frame, failed = pd.DataFrame({"n": range(9)}), []
    turns = client.runtime.ledger.turns
    real = turns.group

    def group(begun, ended):
        if ended and not failed:
            failed.extend(ended)
            raise errors.StoreError("the disk is full")
        real(begun, ended)

    monkeypatch.setattr(turns, "group", group)

    with pytest.raises(errors.StoreError, match="the disk is full"):
        client.map(frame, "row {{n}}", concurrency=1)

    assert [status for _, status in recorded_prompts(client.store)] == ["ok"]
    assert list(client.map(frame, "row {{n}}")["status"]) == ["ok"] * 9
    assert len(received_prompts(box)) == 9


def test_a_row_that_waits_for_its_retry_does_not_stay_running_if_the_ledger_fails(
    client, box, monkeypatch
):
    turns = client.runtime.ledger.turns
    real, calls = turns.group, []

    def group(begun, ended):
        calls.append(None)
        if len(calls) == 2:
            raise errors.StoreError("the disk is full")
        real(begun, ended)

    monkeypatch.setattr(turns, "group", group)
    box.fail(Fault(status=429, headers={"Retry-After": "0"}))

    with pytest.raises(errors.StoreError):
        client.map(pd.DataFrame({"n": range(2)}), "row {{n}}", concurrency=2)

    assert "running" not in {status for _, status in recorded_prompts(client.store)}


def test_a_row_that_waits_for_its_retry_when_the_batch_ends_is_sent_by_the_next_run(
    live, client, box
):
    frame = pd.DataFrame({"n": range(3)})
    client.budgets.set(parse_budget("2 calls/hour"))
    box.fail(Fault(status=429, delay=0.5, headers={"Retry-After": "0"}))

    with pytest.raises(errors.BudgetSpent):
        client.map(frame, "row {{n}}", concurrency=3)

    assert sorted(status for _, status in recorded_prompts(client.store)) == [
        "interrupted", "ok", "refused",
    ]  # fmt: skip
    client.budgets.increase(parse_budget("20 calls/hour"))
    assert list(client.map(frame, "row {{n}}")["status"]) == ["ok"] * 3


def test_a_row_is_in_the_ledger_before_it_is_sent(tmp_path):
    store, recorded = tmp_path / "turns.db", []

    def looking(messages):
        prompt = messages[-1]["content"]
        recorded.append((prompt, "running") in recorded_prompts(store))
        return "yes"

    with (
        Sandbox(agents={"looking": looking}) as box,
        Swiftask(base_url=box.url, token=box.token, agent="looking", store=store) as client,
    ):
        client.map(pd.DataFrame({"n": range(20)}), "row {{n}}")

    assert recorded == [True] * 20
