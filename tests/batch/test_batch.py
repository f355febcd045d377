"""`Swiftask.map`: the frame that it returns, the questions it asks first, and every dialect."""

import asyncio
import io
import json

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from tests.support.frames import prompts_answered_twice, received_prompts

FRAME = pd.DataFrame({"text": ["one", "two", "three"]}, index=[7, 7, -1])
MANY = pd.DataFrame({"n": range(1001)})


def test_map_returns_the_frame_in_its_order_with_its_index_and_the_answers(client):
    out = client.map(FRAME, "say {{text}}")

    assert list(out.index) == [7, 7, -1]
    assert list(out["text"]) == ["one", "two", "three"]
    assert list(out["answer"]) == ["say one", "say two", "say three"]
    assert list(out["status"]) == ["ok"] * 3
    assert list(out["tokens"]) == [4, 4, 4]
    assert out["error"].isna().all()
    assert (out["seconds"] > 0).all()
    assert list(out["attempts"]) == [1, 1, 1]
    assert list(FRAME.columns) == ["text"]


def test_an_empty_frame_has_the_same_columns_and_dtypes(client):
    full = client.map(FRAME, "say {{text}}", schema="x: str?")
    empty = client.map(FRAME.iloc[:0], "say {{text}}", schema="x: str?")

    assert len(empty) == 0
    assert (empty.dtypes[1:] == full.dtypes[1:]).all()


def test_a_row_that_fails_has_an_error_and_the_others_have_answers(client, box):
    frame = pd.DataFrame({"text": ["good", "bad", "fine"]})

    out = client.map(frame, "{{text}}", agent="choosy")

    assert list(out["status"]) == ["ok", "error", "ok"]
    assert list(out["answer"].fillna("")) == ["GOOD", "", "FINE"]
    assert "not this one" in out["error"].iloc[1]


def test_rows_belong_to_a_session_of_their_own_and_to_no_conversation(client):
    client.map(FRAME, "say {{text}}")

    usage = client.usage()
    (session,) = set(usage["session"])
    assert session.startswith("batch-")
    assert client.session().history() == []


def test_the_files_of_a_column_are_attached_and_a_changed_file_is_sent_again(client, box, tmp_path):
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(f"this is {name}")
    frame = pd.DataFrame({"file": [tmp_path / "one.txt", str(tmp_path / "two.txt"), None]})

    out = client.map(frame, "read", agent="mirror", dialect="native", files="file")

    sent = [json.loads(answer)[-1].get("files", []) for answer in out["answer"]]
    assert [len(files) for files in sent] == [1, 1, 0]
    (tmp_path / "two.txt").write_text("changed")
    count = len(box.requests)
    client.map(frame, "read", agent="mirror", dialect="native", files="file")
    assert sum(seen.path.startswith("/api/ai") for seen in box.requests[count:]) == 1


def test_map_async_returns_the_same_from_a_running_loop(client):
    out = asyncio.run(client.map_async(FRAME, "say {{text}}"))

    assert list(out["answer"]) == ["say one", "say two", "say three"]


def test_no_more_requests_are_in_flight_than_the_concurrency_allows():
    most = now = 0

    async def counting(_messages):
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        yield "done"

    with (
        Sandbox(agents={"counting": counting}) as box,
        Swiftask(base_url=box.url, token=box.token, agent="counting", dialect="openai") as client,
    ):
        client.map(pd.DataFrame({"n": range(30)}), "{{n}}", concurrency=5)

    assert most == 5


def test_above_a_thousand_rows_map_asks_before_it_sends(client, box, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    out = client.map(MANY, "say {{n}}")

    assert set(out["status"]) == {"not sent"}
    assert received_prompts(box) == []


@pytest.mark.parametrize("progress", [True, False])
def test_the_summary_is_shown_once_if_map_asks(client, monkeypatch, capsys, progress):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    client.map(pd.DataFrame({"n": [1, 2]}), "say {{n}}", confirm=True, progress=progress)

    shown = capsys.readouterr().out
    assert shown.count("2 rows, 2 to send") == 1
    assert shown.endswith("Send them? [y/N] ")


class Interrupting(io.StringIO):
    """Standard input of a user who answers every question with Ctrl-C."""

    def readline(self, *_):
        """Raise the exception of Ctrl-C."""
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confirm": True}, "nothing was sent"),
        ({"pilot": 1}, "no more was sent; what came is kept"),
    ],
)
def test_ctrl_c_at_the_question_is_an_error_of_one_line(client, box, monkeypatch, options, message):
    monkeypatch.setattr("sys.stdin", Interrupting())

    with pytest.raises(errors.Interrupted) as stopped:
        client.map(pd.DataFrame({"n": [1, 2]}), "say {{n}}", **options)

    assert str(stopped.value) == message
    assert len(received_prompts(box)) == options.get("pilot", 0)


def test_without_a_user_to_ask_the_error_names_the_option_that_sends(client, box):
    with pytest.raises(errors.ConfigurationError, match=r"1,001 rows .* confirm=False"):
        client.map(MANY, "say {{n}}")
    with pytest.raises(errors.ConfigurationError, match="confirm=False"):
        asyncio.run(client.map_async(MANY, "say {{n}}"))
    assert received_prompts(box) == []


def test_with_nothing_to_send_the_user_is_not_asked(client, box):
    client.map(pd.DataFrame({"n": [1]}), "{{n}}")

    out = client.map(pd.DataFrame({"n": [1]}), "{{n}}", confirm=True)

    assert list(out["status"]) == ["ok"]


def test_a_pilot_is_sent_first_and_the_rest_after_the_user_agrees(client, box, monkeypatch):
    frame = pd.DataFrame({"n": range(6)})

    alone = client.map(frame, "say {{n}}", pilot=2)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    both = client.map(frame, "say {{n}}", pilot=2)

    assert list(alone["status"]) == ["ok"] * 2 + ["not sent"] * 4
    assert list(both["status"]) == ["ok"] * 6
    assert len(received_prompts(box)) == 6


def test_the_turns_of_a_batch_with_a_pilot_are_numbered_throughout(client):
    client.map(pd.DataFrame({"n": range(5)}), "say {{n}}", pilot=2, confirm=False)

    assert sorted(client.usage()["number"]) == [1, 2, 3, 4, 5]


def test_a_pilot_in_which_every_row_fails_ends_the_batch(client, box):
    frame = pd.DataFrame({"t": ["bad 1", "bad 2", "good"]})

    out = client.map(frame, "{{t}}", agent="choosy", pilot=2, confirm=False)

    assert list(out["status"]) == ["error", "error", "not sent"]
    assert prompts_answered_twice(client.store) == []


@pytest.mark.parametrize("dialect", ["openai", "native", "chat", "widget", "agencii", "auto"])
def test_each_row_is_a_conversation_of_its_own_over_every_dialect(box, dialect):
    tokens = {"widget": box.client_token("mirror"), "agencii": box.agencii_token}
    agent = box.integration_id("mirror") if dialect == "agencii" else "mirror"
    with Swiftask(
        base_url=box.url, token=tokens.get(dialect, box.token), agent=agent, dialect=dialect
    ) as client:
        out = client.map(pd.DataFrame({"n": range(4)}), "row {{n}}", concurrency=2)
        again = client.map(pd.DataFrame({"n": range(4)}), "row {{n}}")

    histories = [[each["content"] for each in json.loads(answer)] for answer in out["answer"]]
    assert [texts[-1] for texts in histories] == [f"row {n}" for n in range(4)]
    assert all(sum("row" in text for text in texts) == 1 for texts in histories)
    assert again["answer"].equals(out["answer"])


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({("t", "a"): ["one"], ("t", "b"): [2]}),
        pd.DataFrame([["one"]], columns=[0]),
        pd.DataFrame({"text": ["one"]}, index=pd.MultiIndex.from_tuples([("x", 1)])),
        pd.DataFrame({"text": ["one", "two"]}, index=[None, float("nan")]),
        pd.DataFrame({"text": pd.Categorical(["one", "two", "one"])}),
    ],
    ids=["columns of two levels", "a number for a name", "index of two levels", "NaN", "category"],
)
def test_a_frame_of_any_shape_keeps_its_index_and_columns(client, frame):
    column = "{{row[0]}}" if 0 in frame.columns else "{{text}}"
    template = f"say {column}" if frame.columns.nlevels == 1 else "say it"

    out = client.map(frame, template)

    assert list(out["status"]) == ["ok"] * len(frame)
    assert out.index.equals(frame.index)
    assert out[frame.columns].equals(frame)
