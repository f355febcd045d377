"""The loop that sends many prompts: budgets, and the order of what is written."""

import tracemalloc

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.answers.reply import Standing
from swiftask_jupyter.batch.batch import Batch
from swiftask_jupyter.batch.limiter import ConcurrencyLimiter
from swiftask_jupyter.batch.options import BatchSettings
from swiftask_jupyter.batch.plan import RowPrompt
from swiftask_jupyter.batch.scheduler import Office, Scheduler
from swiftask_jupyter.ledger.history import EarlierRows
from swiftask_jupyter.ledger.turns import Place
from swiftask_jupyter.sandbox.faults import Fault
from swiftask_jupyter.turns.budget import parse
from tests.support.frames import prompts_of, written

PLACE = Place(None, "batch-1")


@pytest.fixture
def office(client):
    means = client.means

    return Office(
        means.transport, means.ledger.turns, PLACE, Standing(surface="batch"),
        ConcurrencyLimiter(2), 4, lambda _question, _reply: None,
    )  # fmt: skip


@pytest.fixture
def questions(client):
    def make(count):
        for number in range(count):
            yield RowPrompt(number, *client.means.prepare(f"row {number}", None))

    return make


def settled(client, dispatch):
    return [number for some in client.means.thread.stream(dispatch.settled()) for number in some]


def test_every_prompt_is_settled_once(client, office, questions):
    assert sorted(settled(client, Scheduler(office, questions(7)))) == list(range(7))


def test_a_budget_is_kept_to_the_call_and_what_is_under_way_ends(client, box, capsys):
    frame = pd.DataFrame({"n": range(9)})
    client.budgets.set(parse("3 calls/hour"))

    with pytest.raises(errors.BudgetSpent, match="3 calls/hour"):
        client.map(frame, "row {{n}}", concurrency=8)

    assert capsys.readouterr().out.endswith("\nstopped; 3 of 9 rows are kept, 1 refused\n")
    assert sorted(prompts_of(box)) == ["row 0", "row 1", "row 2"]
    assert [status for _, status in written(client.store)] == ["ok"] * 3 + ["refused"]
    client.budgets.increase(parse("20 calls/hour"))
    assert list(client.map(frame, "row {{n}}")["status"]) == ["ok"] * 9
    assert len(prompts_of(box)) == 9


def test_a_budget_that_cant_be_looked_up_ends_the_batch_and_no_row_is_left_running(
    client, box, monkeypatch
):
    frame, asked = pd.DataFrame({"n": range(9)}), []
    client.budgets.set(parse("20 calls/hour"))

    def check(reply, _place):
        asked.append(reply)
        if len(asked) == 3:
            raise errors.StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(client.budgets, "check", check)
        with pytest.raises(errors.StoreError, match="the disk is full"):
            client.map(frame, "row {{n}}")

    assert [status for _, status in written(client.store)] == ["ok", "ok", "refused"]
    assert list(client.map(frame, "row {{n}}")["status"]) == ["ok"] * 9
    assert len(prompts_of(box)) == 9


def test_an_answer_is_not_lost_because_the_ledger_could_not_be_written_once(
    client, box, monkeypatch
):
    frame, failed = pd.DataFrame({"n": range(9)}), []
    turns = client.means.ledger.turns
    real = turns.group

    def group(begun, ended):
        if ended and not failed:
            failed.extend(ended)
            raise errors.StoreError("the disk is full")
        real(begun, ended)

    monkeypatch.setattr(turns, "group", group)

    with pytest.raises(errors.StoreError, match="the disk is full"):
        client.map(frame, "row {{n}}", concurrency=1)

    assert [status for _, status in written(client.store)] == ["ok"]
    assert list(client.map(frame, "row {{n}}")["status"]) == ["ok"] * 9
    assert len(prompts_of(box)) == 9


def test_what_waited_to_be_sent_again_is_written_off_where_the_ledger_fails(
    client, box, monkeypatch
):
    turns = client.means.ledger.turns
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

    assert "running" not in {status for _, status in written(client.store)}


def test_a_row_that_would_be_sent_again_when_the_batch_ends_is_left_to_the_next_run(client, box):
    frame = pd.DataFrame({"n": range(3)})
    client.budgets.set(parse("2 calls/hour"))
    box.fail(Fault(status=429, delay=0.5, headers={"Retry-After": "0"}))

    with pytest.raises(errors.BudgetSpent):
        client.map(frame, "row {{n}}", concurrency=3)

    assert sorted(status for _, status in written(client.store)) == [
        "interrupted", "ok", "refused",
    ]  # fmt: skip
    client.budgets.increase(parse("20 calls/hour"))
    assert list(client.map(frame, "row {{n}}")["status"]) == ["ok"] * 3


def test_a_row_stands_in_the_ledger_before_it_is_asked(tmp_path):
    store, standing = tmp_path / "turns.db", []

    def looking(messages):
        asked = messages[-1]["content"]
        standing.append((asked, "running") in written(store))
        return "yes"

    with (
        Sandbox(agents={"looking": looking}) as box,
        Swiftask(base_url=box.url, token=box.token, agent="looking", store=store) as client,
    ):
        client.map(pd.DataFrame({"n": range(20)}), "row {{n}}")

    assert standing == [True] * 20


def test_a_plan_of_many_files_holds_few_of_them_at_once(client, tmp_path, monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.batch.plan.CHUNK_BYTES", 2_000_000)
    for n in range(20):
        (tmp_path / f"{n}.bin").write_bytes(bytes([n]) * 1_000_000)
    frame = pd.DataFrame({"f": [tmp_path / f"{n}.bin" for n in range(20)]})
    wishes = BatchSettings(files="f", options={"dialect": "native"})
    real, held = EarlierRows.known, []

    def known(self, keys):
        held.append(tracemalloc.get_traced_memory()[0])
        return real(self, keys)

    monkeypatch.setattr(EarlierRows, "known", known)
    tracemalloc.start()
    batch = Batch(client.means, None, frame, "look", wishes)
    tracemalloc.stop()

    assert batch._plan.pending == list(range(20))
    assert max(held) < 10_000_000


def test_a_plan_of_many_rows_makes_no_prompt_before_it_is_wanted(client):
    batch = Batch(client.means, None, pd.DataFrame({"n": range(50)}), "{{n}}", BatchSettings())

    questions = batch._plan.questions(batch._plan.pending)

    assert next(questions).prompt.text == "0"
    assert iter(questions) is questions
