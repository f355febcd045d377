"""One prompt for every row: what comes back, what is sent, and what is not sent again."""

import asyncio
import io
import json

import pandas as pd
import pytest

from swiftask_jupyter import Sandbox, Swiftask, errors
from swiftask_jupyter.sandbox.agents import Agent, AgentRefused
from swiftask_jupyter.sandbox.faults import Fault
from tests.support.frames import answered_twice, prompts_of, written

NOW = {"Retry-After": "0"}


def choosy(messages):
    text = messages[-1]["content"]
    if "bad" in text:
        raise AgentRefused("not this one")
    return text.upper()


@pytest.fixture
def box():
    agents = {"choosy": Agent(choosy, instant=True)}
    with Sandbox(usage="counted", agents=agents) as box:
        yield box


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_name(request, tmp_path, monkeypatch):
    """Where a ledger is: a file, and then in PostgreSQL."""
    monkeypatch.setenv("SWIFTASK_OUTBOX", str(tmp_path / "out"))
    if request.param == "sqlite":
        return tmp_path / "shared.db"
    return request.getfixturevalue("postgres_server").database()


@pytest.fixture
def frame():
    return pd.DataFrame({"text": ["one", "two", "three"]}, index=[7, 7, -1])


def test_the_frame_comes_back_in_its_order_with_its_index_and_the_answers(client, frame):
    out = client.map(frame, "say {{text}}")

    assert list(out.index) == [7, 7, -1]
    assert list(out["text"]) == ["one", "two", "three"]
    assert list(out["answer"]) == ["say one", "say two", "say three"]
    assert list(out["status"]) == ["ok"] * 3
    assert list(out["tokens"]) == [4, 4, 4]
    assert out["error"].isna().all()
    assert (out["seconds"] > 0).all()
    assert list(out["attempts"]) == [1, 1, 1]
    assert list(frame.columns) == ["text"]


def test_an_empty_frame_has_the_same_columns_and_dtypes(client, frame):
    full = client.map(frame, "say {{text}}", schema="x: str?")
    empty = client.map(frame.iloc[:0], "say {{text}}", schema="x: str?")

    assert len(empty) == 0
    assert (empty.dtypes[1:] == full.dtypes[1:]).all()


def test_equal_prompts_are_sent_once_and_their_cost_stands_once(client, box):
    frame = pd.DataFrame({"text": ["a", "b", "a", "a"]})

    out = client.map(frame, "say {{text}}")

    assert sorted(prompts_of(box)) == ["say a", "say b"]
    assert list(out["answer"]) == ["say a", "say b", "say a", "say a"]
    assert out["tokens"].sum() == 8
    assert list(out["attempts"]) == [1, 1, 0, 0]


def test_a_failing_row_is_a_row_with_an_error(client, box):
    frame = pd.DataFrame({"text": ["good", "bad", "fine"]})

    out = client.map(frame, "{{text}}", agent="choosy")

    assert list(out["status"]) == ["ok", "error", "ok"]
    assert list(out["answer"].fillna("")) == ["GOOD", "", "FINE"]
    assert "not this one" in out["error"].iloc[1]


def test_a_batch_in_which_every_row_fails_says_why(client, capsys):
    client.map(pd.DataFrame({"text": ["bad", "worse than bad"]}), "{{text}}", agent="choosy")

    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("0 answered, 2 failed; why: ")
    assert "not this one" in line


def test_a_row_that_lacks_its_value_is_not_sent(client, box):
    frame = pd.DataFrame({"text": ["a", None, " "]})

    out = client.map(frame, "{{text}}")

    assert list(out["status"]) == ["ok", "refused", "refused"]
    assert list(out["error"].fillna("")) == [
        "", "no value for {{text}}", "the prompt is empty; write it below the magic line",
    ]  # fmt: skip
    assert prompts_of(box) == ["a"]


def test_a_row_with_the_token_in_it_is_not_sent(client, box):
    out = client.map(pd.DataFrame({"text": ["a", f"my {box.token}"]}), "say {{text}}")

    assert list(out["status"]) == ["ok", "refused"]
    assert prompts_of(box) == ["say a"]


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status=status, headers=NOW) for status in (429, 500, 502, 503, 504)),
        Fault(reset_after=0),
        Fault(cut_after=0),
    ],
    ids=lambda fault: str(fault.status or fault.reset_after),
)
def test_a_row_is_sent_again_where_nothing_of_an_answer_had_come(client, box, frame, fault):
    box.fail(fault)

    out = client.map(frame, "say {{text}}")

    assert list(out["status"]) == ["ok"] * 3
    assert sorted(out["attempts"]) == [1, 1, 2]
    assert [status for _, status in written(client.store)] == ["ok"] * 3


def test_a_row_is_sent_so_often_and_no_more(client, box):
    box.fail(Fault(status=503, headers=NOW), times=None)

    out = client.map(pd.DataFrame({"text": ["a"]}), "say {{text}}", tries=3)

    assert (out["status"].iloc[0], out["attempts"].iloc[0]) == ("error", 3)
    assert len(prompts_of(box)) == 3


def test_an_answer_that_broke_off_is_kept_and_sent_again_only_when_that_is_asked(client, box):
    frame = pd.DataFrame({"text": ["a rather long one"]})
    box.fail(Fault(cut_after=2))

    broken = client.map(frame, "{{text}}").iloc[0]
    same = client.map(frame, "{{text}}").iloc[0]
    again = client.map(frame, "{{text}}", retry="errors").iloc[0]

    assert (broken["status"], broken["answer"]) == ("error", "a rather")
    assert same[["status", "answer", "error"]].equals(broken[["status", "answer", "error"]])
    assert (again["status"], again["answer"]) == ("ok", "a rather long one")
    assert len(prompts_of(box)) == 2


@pytest.mark.parametrize("fault", [Fault(empty=True), Fault(disguised=True)])
def test_a_failure_dressed_as_an_answer_is_an_error(client, box, frame, fault):
    box.fail(fault)

    out = client.map(frame, "say {{text}}", concurrency=1)

    assert list(out["status"]) == ["error", "ok", "ok"]
    assert out["error"].iloc[0] == "empty, or a failure in disguise"
    assert list(client.map(frame, "say {{text}}", retry="errors")["status"]) == ["ok"] * 3


def test_what_was_answered_before_is_not_sent_again_not_even_by_another_kernel(client, box, frame):
    first = client.map(frame, "say {{text}}")
    more = pd.concat([frame, pd.DataFrame({"text": ["four"]})])

    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as other:
        second = other.map(more, "say {{text}}")

    assert len(prompts_of(box)) == 4
    assert second.iloc[:3].equals(first)


@pytest.mark.parametrize(
    "change", [{"agent": "mirror"}, {"temperature": 0}, {"system": "be kind"}, {"retry": "all"}]
)
def test_another_question_is_sent(client, box, frame, change):
    client.map(frame, "say {{text}}")
    client.map(frame, "say {{text}}", **change)

    assert len(prompts_of(box)) == 6


def test_a_refused_token_stops_the_batch_and_the_next_run_goes_on(client, box):
    frame = pd.DataFrame({"text": range(50)})
    box.fail(Fault(status=401), times=None)

    with pytest.raises(errors.Unauthorized):
        client.map(frame, "say {{text}}", concurrency=4)

    assert len(prompts_of(box)) <= 4
    box.clear_faults()
    assert list(client.map(frame, "say {{text}}")["status"]) == ["ok"] * 50


def test_the_end_of_a_subscription_stops_the_batch_and_the_next_run_goes_on(client, box):
    frame = pd.DataFrame({"text": range(20)})
    box.fail(Fault(limit_reached=True, message="none left"), times=None)

    with pytest.raises(errors.RateLimited, match="the subscription's limit is reached"):
        client.map(frame, "say {{text}}", dialect="native", concurrency=2)

    assert len(box.requests) <= 2
    box.clear_faults()
    assert list(client.map(frame, "say {{text}}", dialect="native")["status"]) == ["ok"] * 20


def test_an_agent_that_there_is_not_stops_the_batch_and_the_nearest_is_named(
    client, box, frame, capsys
):
    with pytest.raises(errors.AgentNotFound, match="did you mean echo"):
        client.map(frame, "say {{text}}", agent="ecko", concurrency=1)

    assert capsys.readouterr().out.endswith("\nstopped; 0 of 3 rows are kept, 1 failed\n")
    assert len(prompts_of(box)) == 1


def test_a_service_that_is_not_there_stops_the_batch(box, frame):
    box.stop()
    with (
        Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as client,
        pytest.raises(errors.ConnectionFailed, match="cannot reach"),
    ):
        client.map(frame, "say {{text}}", concurrency=1, tries=1)

    assert [status for _, status in written(client.store)] == ["error"]


def test_no_more_are_under_way_than_allowed():
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


def test_while_the_service_says_to_wait_no_row_is_sent(client, box):
    box.fail(Fault(status=429, headers={"Retry-After": "1"}))

    out = client.map(pd.DataFrame({"n": range(5)}), "say {{n}}", concurrency=1)

    refused, *others = box.requests
    assert list(out["status"]) == ["ok"] * 5
    assert min(other.arrived for other in others) >= refused.first_byte + 1


def test_rows_stand_outside_of_any_conversation(client, frame):
    client.map(frame, "say {{text}}")

    usage = client.usage()
    (session,) = set(usage["session"])
    assert session.startswith("batch-")
    assert client.session().history() == []


def test_columns_of_the_frame_are_never_written_over(client, box):
    frame = pd.DataFrame({"answer": ["a"]})

    with pytest.raises(errors.ConfigurationError, match='prefix="agent_"'):
        client.map(frame, "{{answer}}")
    out = client.map(frame, "{{answer}}", prefix="my_")

    assert list(out.columns)[:3] == ["answer", "my_answer", "my_status"]
    assert len(prompts_of(box)) == 1


def test_nothing_is_sent_where_no_row_can_be(client, box):
    with pytest.raises(errors.PromptError, match="no value for"):
        client.map(pd.DataFrame({"a": [None, None]}), "say {{a}}")
    with pytest.raises(errors.PromptError, match="no column"):
        client.map(pd.DataFrame({"a": [1]}), "say {{b}}")
    assert prompts_of(box) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"concurency": 3}, "no option concurency; did you mean concurrency?"),
        ({"concurrency": 0}, "concurrency is a number from 1 on"),
        ({"tries": 2.5}, "tries is a number from 1 on"),
        ({"retry": "failed"}, "no retry 'failed'"),
        ({"confirm": "maybe"}, "confirm is true, false or null, not 'maybe'"),
        ({"prefix": 5}, "prefix is a text, not 5"),
        ({"files": 5}, "files is the name of a column, not 5"),
        ({"schema": "answer: str"}, "can't name a column 'answer'"),
    ],
)
def test_a_wrong_option_is_one_clear_line(client, frame, wrong, said):
    with pytest.raises(errors.ConfigurationError, match=said):
        client.map(frame, "say {{text}}", **wrong)


def test_files_of_a_column_go_along(client, box, tmp_path):
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


def test_a_row_that_was_answered_by_a_file_alone_is_known_again(client, box):
    frame = pd.DataFrame({"text": ["a cat"]})

    first = client.map(frame, "{{text}}", agent="image", dialect="native")
    second = client.map(frame, "{{text}}", agent="image", dialect="native")

    assert (first["status"].iloc[0], first["answer"].isna().iloc[0]) == ("ok", True)
    assert second.equals(first)
    assert sum(seen.path.startswith("/api/ai") for seen in box.requests) == 1


def test_a_running_loop_can_map(client, frame):
    out = asyncio.run(client.map_async(frame, "say {{text}}"))

    assert list(out["answer"]) == ["say one", "say two", "say three"]


def test_what_will_be_done_is_said_before(client, box, capsys):
    client.map(pd.DataFrame({"n": range(3)}), "bad {{n}}", agent="choosy", progress=False)
    client.map(pd.DataFrame({"n": range(4)}), "say {{n}}", agent="choosy", progress=False)
    assert capsys.readouterr().out == ""

    client.map(pd.DataFrame({"t": ["say 0", "bad 0", "new", "new", None]}), "{{t}}", agent="choosy")

    assert capsys.readouterr().out == (
        '5 rows, 1 answered before, 1 failed before (retry="errors" sends them again),'
        " 1 equal to another, 1 that can't be sent, 1 to send\n"
        "1 answered\n"
    )


def test_what_looks_like_a_field_and_is_none_is_said_before(client, capsys):
    client.map(pd.DataFrame({"t": ["a"]}), "{{t.upper()}} {{t}}")

    said = capsys.readouterr().out.splitlines()[0]
    assert said == "1 row, 1 to send; {{t.upper()}} is sent as written"


def test_credits_are_foreseen_from_the_last_calls(client, capsys):
    client.map(pd.DataFrame({"n": range(3)}), "{{n}}", dialect="native", progress=False)
    spent = client.usage()["credits"].median()

    client.map(pd.DataFrame({"n": range(3, 13)}), "{{n}}", dialect="native")

    said = f"10 to send, about {10 * spent:,.6g} credits (median of the last 3 calls of this agent)"
    assert said in capsys.readouterr().out


MANY = pd.DataFrame({"n": range(1001)})


def test_above_a_thousand_rows_it_asks_first(client, box, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    out = client.map(MANY, "say {{n}}")

    assert set(out["status"]) == {"not sent"}
    assert prompts_of(box) == []


@pytest.mark.parametrize("progress", [True, False])
def test_what_will_be_done_is_said_once_where_it_asks(client, monkeypatch, capsys, progress):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    client.map(pd.DataFrame({"n": [1, 2]}), "say {{n}}", confirm=True, progress=progress)

    said = capsys.readouterr().out
    assert said.count("2 rows, 2 to send") == 1
    assert said.endswith("Send them? [y/N] ")


class Interrupting(io.StringIO):
    """A user who answers every question with Ctrl-C."""

    def readline(self, *_):
        """Raise what Ctrl-C does."""
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"confirm": True}, "nothing was sent"),
        ({"pilot": 1}, "no more was sent; what came is kept"),
    ],
)
def test_ctrl_c_at_the_question_is_one_line(client, box, monkeypatch, wishes, said):
    monkeypatch.setattr("sys.stdin", Interrupting())

    with pytest.raises(errors.Interrupted) as stopped:
        client.map(pd.DataFrame({"n": [1, 2]}), "say {{n}}", **wishes)

    assert str(stopped.value) == said
    assert len(prompts_of(box)) == wishes.get("pilot", 0)


def test_where_nobody_can_be_asked_it_says_how_to_send(client, box):
    with pytest.raises(errors.ConfigurationError, match=r"1,001 rows .* confirm=False"):
        client.map(MANY, "say {{n}}")
    with pytest.raises(errors.ConfigurationError, match="confirm=False"):
        asyncio.run(client.map_async(MANY, "say {{n}}"))
    assert prompts_of(box) == []


def test_a_pilot_is_sent_first_and_the_rest_when_it_is_agreed_to(client, box, monkeypatch):
    frame = pd.DataFrame({"n": range(6)})

    alone = client.map(frame, "say {{n}}", pilot=2)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    both = client.map(frame, "say {{n}}", pilot=2)

    assert list(alone["status"]) == ["ok"] * 2 + ["not sent"] * 4
    assert list(both["status"]) == ["ok"] * 6
    assert len(prompts_of(box)) == 6


def test_each_turn_of_a_batch_has_a_number_of_its_own_with_a_pilot_too(client):
    client.map(pd.DataFrame({"n": range(5)}), "say {{n}}", pilot=2, confirm=False)

    assert sorted(client.usage()["number"]) == [1, 2, 3, 4, 5]


def test_a_pilot_that_fails_altogether_ends_it(client, box):
    frame = pd.DataFrame({"t": ["bad 1", "bad 2", "good"]})

    out = client.map(frame, "{{t}}", agent="choosy", pilot=2, confirm=False)

    assert list(out["status"]) == ["error", "error", "not sent"]
    assert answered_twice(client.store) == []


@pytest.mark.parametrize("dialect", ["openai", "native", "chat", "widget", "agencii", "auto"])
def test_every_system_is_asked_for_each_row_alone(box, dialect):
    tokens = {"widget": box.client_token("mirror"), "agencii": box.agencii_token}
    agent = box.integration_id("mirror") if dialect == "agencii" else "mirror"
    with Swiftask(
        base_url=box.url, token=tokens.get(dialect, box.token), agent=agent, dialect=dialect
    ) as client:
        out = client.map(pd.DataFrame({"n": range(4)}), "row {{n}}", concurrency=2)
        again = client.map(pd.DataFrame({"n": range(4)}), "row {{n}}")

    asked = [[said["content"] for said in json.loads(answer)] for answer in out["answer"]]
    assert [said[-1] for said in asked] == [f"row {n}" for n in range(4)]
    assert all(sum("row" in text for text in said) == 1 for said in asked)
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
def test_frames_of_any_shape_come_back_with_their_own_index_and_columns(client, frame):
    column = "{{row[0]}}" if 0 in frame.columns else "{{text}}"
    template = f"say {column}" if frame.columns.nlevels == 1 else "say it"

    out = client.map(frame, template)

    assert list(out["status"]) == ["ok"] * len(frame)
    assert out.index.equals(frame.index)
    assert out[frame.columns].equals(frame)


def test_with_nothing_to_send_nobody_is_asked(client, box):
    client.map(pd.DataFrame({"n": [1]}), "{{n}}")

    out = client.map(pd.DataFrame({"n": [1]}), "{{n}}", confirm=True)

    assert list(out["status"]) == ["ok"]


def test_rows_in_a_shared_ledger_are_known_to_whoever_shares_it(box, ledger_name, frame):
    def asking():
        return Swiftask(
            base_url=box.url, token=box.token, agent="echo", dialect="openai", store=ledger_name
        )

    with asking() as one, asking() as other:
        first = one.map(frame, "say {{text}}", schema="x: str?")
        second = other.map(frame, "say {{text}}", schema="x: str?")
        failed = other.map(pd.DataFrame({"t": ["bad"]}), "{{t}}", agent="choosy")
        statuses = other.usage()["status"].tolist()

    assert list(first["attempts"]) == [2] * 3  # an echo is no JSON, not even when asked again
    assert second.equals(first)
    assert list(failed["status"]) == ["error"]
    assert statuses == ["ok"] * 6 + ["error"]
