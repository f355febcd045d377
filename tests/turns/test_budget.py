"""Budgets: what they say, what they count, and that no call passes them from anywhere."""

import asyncio
import time

import pandas as pd
import pytest
from IPython.core.error import UsageError

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.answers.reply import Delta, Reply, Usage
from swiftask_jupyter.ledger.budgets import Budgets
from swiftask_jupyter.ledger.turns import Place, new_id
from swiftask_jupyter.turns.budget import Budget, Spent, check_budget, parse


def turn(ledger, agent="a", *, at=None, status="ok", notebook=None, session="s", **spent):
    """Put a turn into the ledger."""
    reply = Reply(agent, turn=new_id(), session=session, at=at or time.time())
    ledger.turns.begin(reply, Place(notebook, session), "hello")
    reply.status, reply.usage = status, Usage(**spent)
    reply.apply([Delta("hi")])
    if status != "running":
        ledger.turns.complete(reply)
    return reply


def sent(box):
    return [seen for seen in box.requests if seen.method == "POST"]


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("500 credits/day", Budget(500, "credits", "day")),
        ("20 calls/hour", Budget(20, "calls", "hour")),
        ("2.5k calls/hour", Budget(2500, "calls", "hour")),
        ("1,500 credits/day", Budget(1500, "credits", "day")),
        ("100k tokens/session", Budget(100_000, "tokens", "session")),
        ("1.5M tokens per month", Budget(1_500_000, "tokens", "month")),
        ("  1  Call  a week ", Budget(1, "calls", "week")),
    ],
)
def test_a_budget_is_read_as_people_write_it(text, budget):
    assert parse(text) == budget


@pytest.mark.parametrize(
    "text", ["", "lots", "500", "500 euros/day", "5 calls/year", "-1 calls/day"]
)
def test_what_is_no_budget_is_one_line_with_examples(text):
    with pytest.raises(errors.ConfigurationError, match="is no budget; write 500 credits/day"):
        parse(text)


@pytest.mark.parametrize("text", ["2.5 calls/day", "9" * 400 + " tokens/day"])
def test_what_can_not_be_counted_is_no_budget(text):
    with pytest.raises(errors.ConfigurationError, match="can't be counted; write a whole number"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("1 calls/day", 1), ("3 calls/day", 5), ("0 calls/day", 0), ("0 credits/day", 0),
        ("10 credits/day", 40.3), ("2,000 tokens/day", 9000), ("0.001 credits/day", 0.002),
    ],
)  # fmt: skip
def test_the_advice_of_a_spent_budget_is_one_that_lets_calls_through(ledger, text, used):
    budget = parse(text, "a", "/a b.ipynb")
    ledger.budgets.set(budget)
    with pytest.raises(errors.BudgetSpent) as raised:
        check_budget(budget, Spent(used, 3, 0, 0))

    more, _, flags = raised.value.advice.removeprefix("%swiftask budget raise ").partition(" --")
    assert flags == "agent a --notebook '/a b.ipynb'"
    assert "." not in more
    ledger.budgets.increase(parse(more, "a", "/a b.ipynb"))
    (raised_to,) = ledger.budgets.all()
    check_budget(raised_to, Spent(used, 3, 0, 0))


def test_a_budget_says_itself():
    assert str(parse("100k tokens/session", "a", "/n.ipynb")) == (
        "100,000 tokens/session for a in n.ipynb"
    )


def test_below_four_fifths_nothing_is_said_and_then_each_footer_warns():
    budget = parse("10 calls/day")

    assert check_budget(budget, Spent(7, 7, 0, 0)) == ""
    assert check_budget(budget, Spent(8, 8, 0, 0)) == "80 % of 10 calls/day"
    with pytest.raises(
        errors.BudgetSpent, match=r"spent: 10; .*%swiftask budget raise 15 calls/day"
    ):
        check_budget(budget, Spent(10, 10, 0, 0))


def test_calls_in_flight_are_taken_to_cost_what_the_others_did():
    budget = parse("100 credits/day")

    assert check_budget(budget, Spent(60, calls=8, flying=2, silent=0)) == "80 % of 100 credits/day"
    with pytest.raises(errors.BudgetSpent, match="4 calls in flight may take 40 more"):
        check_budget(budget, Spent(60, calls=10, flying=4, silent=0))


def test_what_is_not_reported_can_not_be_capped_and_it_says_so():
    remark = check_budget(parse("100 credits/day"), Spent(0, calls=5, flying=1, silent=4))

    assert (
        remark == "100 credits/day can't be watched: no call reported credits; calls can be capped"
    )


def test_the_call_beyond_a_budget_is_refused_and_counted_and_nothing_is_sent(client, box):
    client.budgets.set(parse("2 calls/hour"))
    answers = [client.ask("one"), client.ask("two")]

    with pytest.raises(errors.BudgetSpent, match="nothing was sent"):
        client.ask("three")

    assert len(sent(box)) == 2
    assert list(client.usage()["status"]) == ["ok", "ok", "refused"]
    assert answers[0].reply.remarks == []
    client.budgets.increase(parse("3 calls/hour"))
    assert client.ask("four").text == "four"


def test_32_calls_at_once_from_two_clients_never_pass_a_budget_of_calls(box):
    with (
        Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as one,
        Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as other,
    ):
        one.budgets.set(parse("20 calls/hour"))

        async def all_of_them():
            asked = (client.ask_async("hello") for client in (one, other) for _ in range(16))
            return await asyncio.gather(*asked, return_exceptions=True)

        results = asyncio.run(all_of_them())

        refused = [each for each in results if isinstance(each, errors.BudgetSpent)]
        assert len(sent(box)) == len(results) - len(refused) <= 20
        statuses = one.usage()["status"].value_counts()
        assert statuses["refused"] == len(refused)
        assert statuses["ok"] == len(sent(box))


def test_32_calls_at_once_stop_where_those_in_flight_would_use_a_budget_of_credits_up(box):
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client:
        each = client.ask("hello").usage.credits
        client.budgets.set(parse(f"{each * 3.5:.2f} credits/hour"))

        async def all_of_them():
            asked = (client.ask_async("hello") for _ in range(32))
            return await asyncio.gather(*asked, return_exceptions=True)

        results = asyncio.run(all_of_them())

        assert sum(isinstance(result, errors.BudgetSpent) for result in results) == 29
        assert len(sent(box)) == 4


def test_before_any_call_has_said_what_it_costs_those_in_flight_may_pass_the_budget(ledger):
    """The most by which a budget is passed is what was in flight, and the docs say so."""
    ledger.budgets.set(parse("1 credits/day"))
    for _ in range(31):
        turn(ledger, status="running")

    assert ledger.budgets.check(turn(ledger, status="running"), Place(None, "s")) == []


def test_a_batch_never_passes_a_budget_and_the_next_goes_on_with_the_rest(client, box):
    frame = pd.DataFrame({"text": [f"number {n}" for n in range(30)]})
    client.budgets.set(parse("20 calls/hour"))

    with pytest.raises(errors.BudgetSpent, match="20 calls/hour is spent"):
        client.map(frame, "{{text}}", concurrency=16, progress=False)

    assert len(sent(box)) == 20
    client.budgets.increase(parse("40 calls/hour"))
    done = client.map(frame, "{{text}}", concurrency=16, progress=False)
    assert len(sent(box)) == 30
    assert done["answer"].tolist() == frame["text"].tolist()


def test_an_earlier_answer_shown_again_costs_nothing_and_passes(client, box):
    client.session().ask("hello")
    client.budgets.set(parse("1 call/hour"))

    again = client.session().ask("hello", fresh=True, cache="on")

    assert again.reply.cached
    assert len(sent(box)) == 1
    assert client.budgets.spent(parse("1 call/hour"), "").calls == 1


@pytest.mark.parametrize(
    ("scope", "turns", "spent"),
    [
        ({}, [{"agent": "a"}, {"agent": "b"}], 2),
        ({"agent": "a"}, [{"agent": "a"}, {"agent": "b"}], 1),
        ({"notebook": "/n"}, [{"notebook": "/n"}, {"notebook": "/m"}, {}], 1),
        ({}, [{"at": time.time() - 3_700}, {}], 1),
        ({}, [{"status": "error"}, {"status": "interrupted"}, {"status": "running"}], 3),
        ({}, [{"status": "refused"}], 0),
    ],
)
def test_what_counts_is_what_was_sent_in_the_period_and_the_scope(ledger, scope, turns, spent):
    for each in turns:
        turn(ledger, **each)

    assert ledger.budgets.spent(parse("9 calls/hour", **scope), "s").amount == spent


def test_a_budget_of_a_session_counts_its_calls_alone(ledger):
    turn(ledger, total_tokens=7)
    turn(ledger, total_tokens=5, at=time.time() - 9e6)
    turn(ledger, total_tokens=3, session="other")
    turn(ledger)
    turn(ledger, status="running")

    assert ledger.budgets.spent(parse("9 tokens/session"), "s") == Spent(12, 4, 1, 1)


def test_a_budget_for_others_does_not_hold_this_call(ledger):
    ledger.budgets.set(parse("0 calls/day", "someone-else"))
    ledger.budgets.set(parse("0 calls/day", notebook="/other.ipynb"))
    reply = turn(ledger, status="running")

    assert ledger.budgets.check(reply, Place("/n.ipynb", "s")) == []


def test_the_last_word_on_a_scope_holds_and_what_is_dropped_holds_no_more(ledger):
    budgets = ledger.budgets
    budgets.set(parse("5 calls/day"))
    budgets.set(parse("6 calls/day", "a"))
    budgets.set(parse("4 calls/day"))
    budgets.drop(parse("0 calls/day", "a"))

    assert budgets.all() == Budgets(ledger.database).all() == [parse("4 calls/day")]
    with pytest.raises(errors.ConfigurationError, match="no budget of calls/day to change"):
        budgets.drop(parse("0 calls/day", "a"))
    with pytest.raises(errors.ConfigurationError, match="4 calls/day is not more than 4 calls/day"):
        budgets.increase(parse("4 calls/day"))


@pytest.fixture
def connected(shell, box, monkeypatch):
    monkeypatch.setenv("SWIFTASK_BASE_URL", box.url)
    monkeypatch.setenv("SWIFTASK_API_KEY", box.token)
    return shell


def test_the_magic_sets_shows_raises_and_drops(connected, capsys):
    def said(line):
        connected.run_line_magic("swiftask", line)
        return capsys.readouterr().out

    assert said("budget") == "no budget; set one: %swiftask budget 500 credits/day\n"
    assert said("budget 2 calls/day --agent echo") == "0 of 2 calls/day for echo (0 %)\n"
    connected.run_cell_magic("swiftask", "echo --dialect openai", "hello")
    capsys.readouterr()
    assert said("budget 5 credits/day") == (
        "1 of 2 calls/day for echo (50 %)\n"
        "0 of 5 credits/day (0 %) · 1 of 1 call reported no credits\n"
    )
    assert "1 of 3 calls/day for echo (33 %)" in said("budget raise 3 calls/day --agent echo")
    assert "calls/day" not in said("budget drop calls/day --agent echo")


@pytest.mark.parametrize("named", ["n.ipynb", "../deep/n.ipynb"])
def test_a_notebooks_budget_counts_its_calls_however_its_path_is_written(
    connected, box, monkeypatch, tmp_path, named
):
    path = tmp_path / "deep" / "n.ipynb"
    path.parent.mkdir()
    path.touch()
    monkeypatch.chdir(path.parent)
    connected.run_line_magic("swiftask", f"budget 1 call/day --notebook {named}")

    with Swiftask(base_url=box.url, token=box.token, agent="echo", notebook=str(path)) as client:
        client.ask("hello")
        with pytest.raises(errors.BudgetSpent):
            client.ask("hello")


def test_the_magic_says_which_budget_to_drop_or_drops_all(connected, tmp_path):
    def refused(line):
        with pytest.raises((UsageError, errors.ConfigurationError)) as raised:
            connected.run_line_magic("swiftask", line)
        return str(raised.value)

    path = tmp_path / "n.ipynb"
    path.touch()
    connected.run_line_magic("swiftask", "budget 2 calls/day --agent echo")
    connected.run_line_magic("swiftask", f"budget 5 credits/day --notebook {path}")
    path.unlink()

    assert refused("budget drop").endswith("which one? write drop 500 credits/day")
    assert refused("budget drop calls/day").endswith("add --agent echo")
    assert refused("budget drop credits/day").endswith(f"add --notebook {path}")
    assert refused("budget 2 calls/day --notebook /nope") == "there is no notebook /nope"
    connected.run_line_magic("swiftask", f"budget drop credits/day --notebook {path}")
    connected.run_line_magic("swiftask", "budget 3 calls/hour")
    connected.run_line_magic("swiftask", "budget drop all")
    assert refused("budget drop all").endswith("there is none to drop")
    assert refused("budget drop calls/hour").endswith("%swiftask budget lists them")


def test_the_footer_warns_from_four_fifths_on(connected, capsys):
    connected.run_line_magic("swiftask", "budget 5 calls/hour")
    for _ in range(5):
        capsys.readouterr()
        connected.run_cell_magic("swiftask", "echo", "hello")

    assert "80 % of 5 calls/hour" in capsys.readouterr().out
    with pytest.raises(errors.BudgetSpent):
        connected.run_cell_magic("swiftask", "echo", "hello")
