"""Totals of a usage frame, and the difference of credits between calls."""

import pandas as pd

from swiftask_jupyter.answers.turn import Usage
from swiftask_jupyter.usage.query import usage
from tests.support.usage import NOON, add_turn


def test_totals_count_the_calls_that_reported_nothing(ledger):
    add_turn(ledger, usage=Usage(1, 2, 3, source="api"))
    add_turn(ledger)
    add_turn(ledger, status="refused")
    add_turn(ledger, cached=True, usage=Usage(0, 0, 0, credits=0.0))

    (row,) = usage(ledger.usage_queries).swiftask.totals().to_dict("records")

    assert {name: row[name] for name in ("calls", "refused", "cached", "unreported")} == {
        "calls": 2, "refused": 1, "cached": 1, "unreported": 1,
    }  # fmt: skip
    assert row["total_tokens"] == 3
    assert pd.isna(row["credits"])


def test_credit_differences_are_set_only_if_credits_grow_throughout_a_session(ledger):
    for place, (agent, spent) in enumerate(
        [("grows", 1.0), ("falls", 3.0), ("grows", 1.5), ("falls", 2.0), ("grows", 4.0)]
    ):
        add_turn(ledger, agent, at=NOON + place, usage=Usage(credits=spent, source="api"))
    add_turn(ledger, "grows", at=NOON + 9)
    add_turn(ledger, "grows", at=NOON + 10, usage=Usage(0, 0, 0, credits=0.0), cached=True)

    cost = usage(ledger.usage_queries).swiftask.cost()

    grows = cost[cost["agent"] == "grows"]
    assert grows["credits_difference"].tolist() == [pd.NA, 0.5, 2.5, pd.NA, pd.NA]
    assert cost.loc[cost["agent"] == "falls", "credits_difference"].isna().all()
    assert grows["credits"].tolist() == [1.0, 1.5, 4.0, pd.NA, 0.0]


def test_totals_and_cost_accept_concatenated_frames(ledger):
    for place, spent in enumerate((1.0, None, 1.5)):
        add_turn(ledger, at=NOON + place, usage=Usage(credits=spent, source="api"))
    frame = usage(ledger.usage_queries)

    both = pd.concat([frame[:2], frame[2:].reset_index(drop=True)]).swiftask

    assert both.cost()["credits_difference"].tolist() == [pd.NA, pd.NA, 0.5]
    assert both.totals()["credits"].tolist() == [2.5]
