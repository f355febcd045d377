"""The plan of a batch: which rows are sent, and which the ledger answers."""

import tracemalloc

import pandas as pd
import pytest

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.batch.batch import Batch
from swiftask_jupyter.batch.options import BatchSettings
from swiftask_jupyter.ledger.history import BatchRowLookup
from tests.support.frames import received_prompts

FRAME = pd.DataFrame({"text": ["one", "two", "three"]}, index=[7, 7, -1])
REPEATED = pd.DataFrame({"text": ["one", "two", "two"]})


@pytest.fixture
def strict_client(box, monkeypatch):
    """A client without a token whose environment sets the strict cache."""
    monkeypatch.setenv("SWIFTASK_CACHE", "strict")
    with Swiftask(base_url=box.url, agent="echo", dialect="openai") as client:
        yield client


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_store(request, tmp_path, monkeypatch):
    """The address of an empty ledger: a file, and then in PostgreSQL."""
    monkeypatch.setenv("SWIFTASK_OUTBOX", str(tmp_path / "out"))
    if request.param == "sqlite":
        return tmp_path / "shared.db"
    return request.getfixturevalue("postgres_server").database()


def test_equal_prompts_are_sent_once_and_their_cost_counts_once(client, box):
    frame = pd.DataFrame({"text": ["a", "b", "a", "a"]})

    out = client.map(frame, "say {{text}}")

    assert sorted(received_prompts(box)) == ["say a", "say b"]
    assert list(out["answer"]) == ["say a", "say b", "say a", "say a"]
    assert out["tokens"].sum() == 8
    assert list(out["attempts"]) == [1, 1, 0, 0]


def test_a_row_with_a_missing_value_or_an_empty_prompt_is_not_sent(client, box):
    frame = pd.DataFrame({"text": ["a", None, " "]})

    out = client.map(frame, "{{text}}")

    assert list(out["status"]) == ["ok", "refused", "refused"]
    assert list(out["error"].fillna("")) == [
        "", "no value for {{text}}", "the prompt is empty; write it below the magic line",
    ]  # fmt: skip
    assert received_prompts(box) == ["a"]


def test_a_row_that_contains_the_token_is_not_sent(client, box):
    out = client.map(pd.DataFrame({"text": ["a", f"my {box.token}"]}), "say {{text}}")

    assert list(out["status"]) == ["ok", "refused"]
    assert received_prompts(box) == ["say a"]


def test_if_no_row_can_be_sent_the_batch_is_refused(client, box):
    with pytest.raises(errors.PromptError, match="no value for"):
        client.map(pd.DataFrame({"a": [None, None]}), "say {{a}}")
    with pytest.raises(errors.PromptError, match="no column"):
        client.map(pd.DataFrame({"a": [1]}), "say {{b}}")
    assert received_prompts(box) == []


def test_a_row_that_was_answered_is_not_sent_again_by_another_client_either(client, box):
    first = client.map(FRAME, "say {{text}}")
    more = pd.concat([FRAME, pd.DataFrame({"text": ["four"]})])

    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as other:
        second = other.map(more, "say {{text}}")

    assert len(received_prompts(box)) == 4
    assert second.iloc[:3].equals(first)


@pytest.mark.parametrize(
    "change", [{"agent": "mirror"}, {"temperature": 0}, {"system": "be kind"}, {"retry": "all"}]
)
def test_a_row_is_sent_again_with_another_agent_option_or_retry(client, box, change):
    client.map(FRAME, "say {{text}}")
    client.map(FRAME, "say {{text}}", **change)

    assert len(received_prompts(box)) == 6


def test_a_row_whose_answer_is_only_a_file_is_not_sent_again(client, box):
    frame = pd.DataFrame({"text": ["a cat"]})

    first = client.map(frame, "{{text}}", agent="image", dialect="native")
    second = client.map(frame, "{{text}}", agent="image", dialect="native")

    assert (first["status"].iloc[0], first["answer"].isna().iloc[0]) == ("ok", True)
    assert second.equals(first)
    assert sum(seen.path.startswith("/api/ai") for seen in box.requests) == 1


def test_rows_in_a_shared_ledger_are_not_sent_again_by_another_user(box, shared_store):
    def new_client():
        return Swiftask(
            base_url=box.url, token=box.token, agent="echo", dialect="openai", store=shared_store
        )

    with new_client() as one, new_client() as other:
        first = one.map(FRAME, "say {{text}}", schema="x: str?")
        second = other.map(FRAME, "say {{text}}", schema="x: str?")
        failed = other.map(pd.DataFrame({"t": ["bad"]}), "{{t}}", agent="choosy")
        statuses = other.usage()["status"].tolist()

    assert list(first["attempts"]) == [2] * 3  # an echo is no JSON, not even when asked again
    assert second.equals(first)
    assert list(failed["status"]) == ["error"]
    assert statuses == ["ok"] * 6 + ["error"]


def test_strict_refuses_a_batch_with_rows_to_send(strict_client, box):
    with pytest.raises(errors.Refused, match="3 of 3 rows would be sent, and strict asks nobody"):
        strict_client.map(REPEATED, "say {{text}}")
    assert box.requests == []


def test_strict_returns_rows_that_the_ledger_answers(client, strict_client, box):
    first = client.map(REPEATED, "say {{text}}", cache="on")
    count = len(box.requests)

    assert strict_client.map(REPEATED, "say {{text}}").equals(first)
    with pytest.raises(errors.Refused, match="1 of 2 rows"):
        strict_client.map(pd.DataFrame({"text": ["one", "new"]}), "say {{text}}")
    assert len(box.requests) == count


def test_the_cache_option_of_a_call_overrides_the_mode_of_the_client(client, box):
    with pytest.raises(errors.Refused, match="strict"):
        client.map(REPEATED, "say {{text}}", cache="strict")
    assert box.requests == []

    client.runtime.cache = "strict"
    assert list(client.map(REPEATED, "say {{text}}", cache="off")["status"]) == ["ok"] * 3


@pytest.mark.parametrize("place", ["call", "client", "environment"])
def test_a_misspelt_cache_mode_sends_nothing(client, box, monkeypatch, place):
    given = {"cache": "strcit"} if place == "call" else {}
    if place == "client":
        client.runtime.cache = "strcit"
    if place == "environment":
        monkeypatch.setenv("SWIFTASK_CACHE", "strcit")
        client = Swiftask(base_url=box.url, token=box.token, agent="echo")

    with client, pytest.raises(errors.ConfigurationError, match="no cache 'strcit'; there is: off"):
        client.map(REPEATED, "say {{text}}", **given)
    assert box.requests == []


def test_a_plan_of_many_files_keeps_only_some_of_them_in_memory(client, tmp_path, monkeypatch):
    monkeypatch.setattr("swiftask_jupyter.batch.plan.CHUNK_BYTES", 2_000_000)
    for n in range(20):
        (tmp_path / f"{n}.bin").write_bytes(bytes([n]) * 1_000_000)
    frame = pd.DataFrame({"f": [tmp_path / f"{n}.bin" for n in range(20)]})
    settings = BatchSettings(files="f", options={"dialect": "native"})
    real, held = BatchRowLookup.known, []

    def known(self, keys):
        held.append(tracemalloc.get_traced_memory()[0])
        return real(self, keys)

    monkeypatch.setattr(BatchRowLookup, "known", known)
    tracemalloc.start()
    batch = Batch(client.runtime, None, frame, "look", settings)
    tracemalloc.stop()

    assert batch._plan.pending == list(range(20))
    assert max(held) < 10_000_000


def test_a_plan_makes_its_prompts_one_by_one(client):
    batch = Batch(client.runtime, None, pd.DataFrame({"n": range(50)}), "{{n}}", BatchSettings())

    questions = batch._plan.row_prompts(batch._plan.pending)

    assert next(questions).prompt.text == "0"
    assert iter(questions) is questions
