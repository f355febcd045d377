"""The table of budgets: which are in force, and which calls count towards them."""

import time

import pytest

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Delta, Reply, Usage, new_id
from swiftask_jupyter.ledger.budgets import Budgets
from swiftask_jupyter.turns.budget import BudgetUsage, parse_budget


def turn(ledger, agent="a", *, at=None, status="ok", notebook=None, session="s", **spent):
    """Write a turn to the ledger, and return its reply."""
    reply = Reply(agent=agent, id=new_id(), session=session, at=at or time.time(),
                  notebook=notebook, prompt="hello")  # fmt: skip
    ledger.turns.begin(reply)
    reply.status, reply.usage = status, Usage(**spent)
    reply.apply([Delta("hi")])
    if status != "running":
        ledger.turns.complete(reply)
    return reply


def test_calls_in_flight_may_exceed_a_budget_before_any_call_reported_its_cost(ledger):
    """A documented limit: a budget can be exceeded by the calls in flight at most."""
    ledger.budgets.set(parse_budget("1 credits/day"))
    for _ in range(31):
        turn(ledger, status="running")

    assert ledger.budgets.check(turn(ledger, status="running")) == []


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
def test_a_budget_counts_the_calls_sent_in_its_period_and_its_scope(ledger, scope, turns, spent):
    for each in turns:
        turn(ledger, **each)

    assert ledger.budgets.spent(parse_budget("9 calls/hour", **scope), "s").amount == spent


def test_a_budget_of_a_session_counts_the_calls_of_that_session_at_any_time(ledger):
    turn(ledger, total_tokens=7)
    turn(ledger, total_tokens=5, at=time.time() - 9e6)
    turn(ledger, total_tokens=3, session="other")
    turn(ledger)
    turn(ledger, status="running")

    assert ledger.budgets.spent(parse_budget("9 tokens/session"), "s") == BudgetUsage(12, 4, 1, 1)


def test_a_budget_for_another_agent_or_notebook_does_not_apply(ledger):
    ledger.budgets.set(parse_budget("0 calls/day", "someone-else"))
    ledger.budgets.set(parse_budget("0 calls/day", notebook="/other.ipynb"))
    reply = turn(ledger, status="running")

    assert ledger.budgets.check(reply) == []


def test_the_newest_budget_of_a_scope_applies_and_a_dropped_one_does_not(ledger):
    budgets = ledger.budgets
    budgets.set(parse_budget("5 calls/day"))
    budgets.set(parse_budget("6 calls/day", "a"))
    budgets.set(parse_budget("4 calls/day"))
    budgets.drop(parse_budget("0 calls/day", "a"))

    assert budgets.all() == Budgets(ledger.store).all() == [parse_budget("4 calls/day")]
    with pytest.raises(errors.ConfigurationError, match="no budget of calls/day to change"):
        budgets.drop(parse_budget("0 calls/day", "a"))
    with pytest.raises(errors.ConfigurationError, match="4 calls/day is not more than 4 calls/day"):
        budgets.increase(parse_budget("4 calls/day"))
