"""Budgets: how they are written, what they count, and that no call exceeds them."""

import asyncio

import pandas as pd
import pytest
from IPython.core.error import UsageError

from swiftask_jupyter import Swiftask, errors
from swiftask_jupyter.turns.budget import Budget, BudgetUsage, check_budget, parse_budget

pytestmark = pytest.mark.usefixtures("live")


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
def test_a_budget_is_parsed_in_several_spellings(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["", "lots", "500", "500 euros/day", "5 calls/year", "-1 calls/day"]
)
def test_a_text_that_is_not_a_budget_is_refused_with_examples(text):
    with pytest.raises(errors.ConfigurationError, match="is no budget; write 500 credits/day"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["2.5 calls/day", "9" * 400 + " tokens/day"])
def test_an_amount_that_cannot_be_counted_is_refused(text):
    with pytest.raises(errors.ConfigurationError, match="can't be counted; write a whole number"):
        parse_budget(text)


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("1 calls/day", 1), ("3 calls/day", 5), ("0 calls/day", 0), ("0 credits/day", 0),
        ("10 credits/day", 40.3), ("2,000 tokens/day", 9000), ("0.001 credits/day", 0.002),
    ],
)  # fmt: skip
def test_the_advice_for_a_spent_budget_raises_it_enough_for_more_calls(ledger, text, used):
    budget = parse_budget(text, "a", "/a b.ipynb")
    ledger.budgets.set(budget)
    with pytest.raises(errors.BudgetSpent) as raised:
        check_budget(budget, BudgetUsage(used, 3, 0, 0))

    more, _, flags = raised.value.advice.removeprefix("%swiftask budget raise ").partition(" --")
    assert flags == "agent a --notebook '/a b.ipynb'"
    assert "." not in more
    ledger.budgets.increase(parse_budget(more, "a", "/a b.ipynb"))
    (raised_to,) = ledger.budgets.all()
    check_budget(raised_to, BudgetUsage(used, 3, 0, 0))


def test_a_budget_as_text_names_its_agent_and_the_file_of_its_notebook():
    assert str(parse_budget("100k tokens/session", "a", "/n.ipynb")) == (
        "100,000 tokens/session for a in n.ipynb"
    )


def test_from_80_percent_on_a_check_returns_a_warning():
    budget = parse_budget("10 calls/day")

    assert check_budget(budget, BudgetUsage(7, 7, 0, 0)) == ""
    assert check_budget(budget, BudgetUsage(8, 8, 0, 0)) == "80 % of 10 calls/day"
    with pytest.raises(
        errors.BudgetSpent, match=r"spent: 10; .*%swiftask budget raise 15 calls/day"
    ):
        check_budget(budget, BudgetUsage(10, 10, 0, 0))


def test_calls_in_flight_are_expected_to_cost_the_average():
    budget = parse_budget("100 credits/day")

    assert (
        check_budget(budget, BudgetUsage(60, calls=8, in_flight=2, unreported=0))
        == "80 % of 100 credits/day"
    )
    with pytest.raises(errors.BudgetSpent, match="4 calls in flight may take 40 more"):
        check_budget(budget, BudgetUsage(60, calls=10, in_flight=4, unreported=0))


def test_a_budget_in_a_unit_that_no_call_reports_gives_a_warning():
    warning = check_budget(
        parse_budget("100 credits/day"), BudgetUsage(0, calls=5, in_flight=1, unreported=4)
    )

    assert (
        warning == "100 credits/day can't be watched: no call reported credits; calls can be capped"
    )


def test_a_call_beyond_the_budget_is_recorded_as_refused_and_not_sent(client, box):
    client.budgets.set(parse_budget("2 calls/hour"))
    answers = [client.ask("one"), client.ask("two")]

    with pytest.raises(errors.BudgetSpent, match="nothing was sent"):
        client.ask("three")

    assert len(sent(box)) == 2
    assert list(client.usage()["status"]) == ["ok", "ok", "refused"]
    assert answers[0].reply.remarks == []
    client.budgets.increase(parse_budget("3 calls/hour"))
    assert client.ask("four").text == "four"


def test_32_concurrent_calls_of_two_clients_never_exceed_a_budget_of_calls(box):
    with (
        Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as one,
        Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="openai") as other,
    ):
        one.budgets.set(parse_budget("20 calls/hour"))

        async def all_of_them():
            asked = (client.ask_async("hello") for client in (one, other) for _ in range(16))
            return await asyncio.gather(*asked, return_exceptions=True)

        results = asyncio.run(all_of_them())

        refused = [each for each in results if isinstance(each, errors.BudgetSpent)]
        assert len(sent(box)) == len(results) - len(refused) <= 20
        statuses = one.usage()["status"].value_counts()
        assert statuses["refused"] == len(refused)
        assert statuses["ok"] == len(sent(box))


def test_32_concurrent_calls_stop_when_those_in_flight_are_expected_to_use_up_the_credits(box):
    with Swiftask(base_url=box.url, token=box.token, agent="echo", dialect="native") as client:
        each = client.ask("hello").usage.credits
        client.budgets.set(parse_budget(f"{each * 3.5:.2f} credits/hour"))

        async def all_of_them():
            asked = (client.ask_async("hello") for _ in range(32))
            return await asyncio.gather(*asked, return_exceptions=True)

        results = asyncio.run(all_of_them())

        assert sum(isinstance(result, errors.BudgetSpent) for result in results) == 29
        assert len(sent(box)) == 4


def test_a_batch_stops_at_a_budget_and_the_next_batch_sends_the_remaining_rows(client, box):
    frame = pd.DataFrame({"text": [f"number {n}" for n in range(30)]})
    client.budgets.set(parse_budget("20 calls/hour"))

    with pytest.raises(errors.BudgetSpent, match="20 calls/hour is spent"):
        client.map(frame, "{{text}}", concurrency=16, progress=False)

    assert len(sent(box)) == 20
    client.budgets.increase(parse_budget("40 calls/hour"))
    done = client.map(frame, "{{text}}", concurrency=16, progress=False)
    assert len(sent(box)) == 30
    assert done["answer"].tolist() == frame["text"].tolist()


def test_a_cached_answer_counts_towards_no_budget(client, box):
    client.session().ask("hello")
    client.budgets.set(parse_budget("1 call/hour"))

    again = client.session().ask("hello", fresh=True, cache="on")

    assert again.reply.cached
    assert len(sent(box)) == 1
    assert client.budgets.spent(parse_budget("1 call/hour"), "").calls == 1


def test_the_magic_sets_shows_raises_and_drops_budgets(connected, capsys):
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
def test_a_budget_for_a_notebook_counts_its_calls_with_any_spelling_of_the_path(
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


def test_the_magic_advises_which_budget_to_drop_and_can_drop_all(connected, tmp_path):
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


def test_the_footer_of_a_cell_warns_from_80_percent_on(connected, capsys):
    connected.run_line_magic("swiftask", "budget 5 calls/hour")
    for _ in range(5):
        capsys.readouterr()
        connected.run_cell_magic("swiftask", "echo", "hello")

    assert "80 % of 5 calls/hour" in capsys.readouterr().out
    with pytest.raises(errors.BudgetSpent):
        connected.run_cell_magic("swiftask", "echo", "hello")
