"""The ledger's table of budgets, and queries for the used part of each budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from swiftask_jupyter.answers.turn import Turn, new_id
from swiftask_jupyter.errors import ConfigurationError, StoreUnreachable
from swiftask_jupyter.ledger.schema import IS_CALL, IS_SANDBOX, sandbox_condition, storable
from swiftask_jupyter.ledger.store import Store, StoreConnection
from swiftask_jupyter.turns.budget import (
    PERIODS,
    SESSION,
    Budget,
    BudgetUsage,
    check_budget,
    scope_options,
)

_AMOUNTS = {"credits": "credits", "tokens": "total_tokens", "calls": "1"}


class Budgets:
    """The ledger's table of budgets.

    A budget limits the credits, tokens or calls of a period. Rows are added to the table, and never
    changed. If several rows differ only in time and amount, only the newest row counts. A row with
    an amount sets the budget. A row without an amount removes the budget.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def all(self) -> list[Budget]:
        """Return all budgets that are set, in the order in which they were first set.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            return _in_force(table)

    def set(self, budget: Budget) -> None:
        """Set a budget; an existing budget that differs only in the amount is replaced.

        Raises:
            StoreError: the ledger can't be written.
        """
        self._write(budget, budget.amount)

    def drop(self, budget: Budget) -> None:
        """Remove a budget; the amount of `budget` is ignored.

        Raises:
            ConfigurationError: no existing budget is equal to `budget`, apart from the amount.
            StoreError: the ledger can't be written.
        """
        self._known(budget)
        self._write(budget, None)

    def increase(self, budget: Budget) -> None:
        """Raise the amount of an existing budget.

        Args:
            budget: a copy of the existing budget, with the new amount.

        Raises:
            ConfigurationError: the budget does not exist, or the new amount is not higher than the
                old amount.
            StoreError: the ledger can't be written.
        """
        known = self._known(budget)
        if budget.amount <= known.amount:
            raise ConfigurationError(
                f"{budget} is not more than {known}", advice="to lower it, set it anew"
            )
        self._write(budget, budget.amount)

    def spent(self, budget: Budget, session: str, excluded: str = "") -> BudgetUsage:
        """Return how much of a budget has been used so far in the budget's period.

        Args:
            budget: the budget.
            session: the id of a session. If the budget's period is `session`, only the calls of
                this session count.
            excluded: the id of a turn that does not count; empty to count all turns.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            return self._spent(table, budget, session, excluded)

    def check(self, turn: Turn) -> list[str]:
        """Check whether the budgets allow the request of a turn to be sent.

        The turn's row must be in the ledger already. The turn itself is not counted. All other
        running calls are counted, even the calls of other processes.

        Returns:
            Warnings for the footer of the answer; usually an empty list. If the ledger's server
            can't be reached, the only warning is that the budgets were not checked.

        Raises:
            BudgetSpent: a budget does not allow the request.
            StoreError: the ledger can't be read.
        """
        remarks = []
        try:
            with self._store.read() as table:
                applicable = [each for each in _in_force(table) if _applies(each, turn)]
                counting = [each for each in applicable if each.sandbox == turn.sandbox]
                for budget in counting:
                    spent = self._spent(table, budget, turn.session, turn.id)
                    remarks.append(check_budget(budget, spent))
        except StoreUnreachable:
            return ["budgets were not checked"]
        if turn.sandbox and applicable and not counting:
            remarks.append("sandbox: counts towards no budget")
        return [remark for remark in remarks if remark]

    def _spent(
        self, table: StoreConnection, budget: Budget, session: str, excluded: str
    ) -> BudgetUsage:
        wanted: dict[str, Any] = {"turn <> ?": excluded}
        own = []
        if budget.period == SESSION:
            wanted["session = ?"] = storable(session)
            own.append(self._store.own_turns)  # a session belongs to one user
        else:
            wanted["at >= ?"] = self._clock() - PERIODS[budget.period]
        scope = {"agent = ?": budget.agent, "notebook = ?": budget.notebook}
        wanted |= {test: value for test, value in scope.items() if value is not None}
        amount = _AMOUNTS[budget.unit]
        ended = "status <> 'running'" if budget.unit != "calls" else "1 = 1"
        counts = sandbox_condition(sandbox=budget.sandbox)
        tests = (counts, f"{counts} AND NOT ({ended})",
                 f"{counts} AND {ended} AND {amount} IS NULL", IS_SANDBOX)  # fmt: skip
        numbers = ", ".join(f"sum(CASE WHEN {test} THEN 1 ELSE 0 END)" for test in tests)
        spent, *row = table.execute(
            f"SELECT sum(CASE WHEN {counts} AND {ended} THEN {amount} END), {numbers}"  # noqa: S608 - our own columns
            f" FROM turns WHERE {IS_CALL} AND {' AND '.join([*wanted, *own])}",
            tuple(wanted.values()),
        ).fetchone()
        calls, in_flight, unreported, sandbox_calls = (int(number or 0) for number in row)
        left_out = 0 if budget.sandbox else sandbox_calls
        return BudgetUsage(float(spent or 0), calls, in_flight, unreported, left_out)

    def _known(self, budget: Budget) -> Budget:
        in_force = self.all()
        for known in in_force:
            if _scope(known) == _scope(budget):
                return known
        advice = "%swiftask budget lists them"
        for known in in_force:
            if (known.unit, known.period) == (budget.unit, budget.period):
                named = scope_options(known).strip()
                advice = f"there is {known}: " + (
                    f"add {named}" if named else "leave its options out"
                )
        raise ConfigurationError(
            f"there is no budget of {budget.unit}/{budget.period} to change",
            advice=advice,
        )

    def _write(self, budget: Budget, amount: float | None) -> None:
        with self._store.write() as rows:
            rows.execute(
                "INSERT INTO budgets (budget, at, unit, period, agent, notebook, sandbox, amount)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (new_id(), self._clock(), *_scope(budget), amount),
            )


def _scope(budget: Budget) -> tuple[str, str, str | None, str | None, int]:
    agent, notebook = storable(budget.agent), storable(budget.notebook)
    return budget.unit, budget.period, agent, notebook, int(budget.sandbox)


def _applies(budget: Budget, turn: Turn) -> bool:
    """Return whether a budget limits the agent and the notebook of a turn."""
    return budget.agent in (None, storable(turn.agent)) and budget.notebook in (
        None, storable(turn.notebook),
    )  # fmt: skip


def _in_force(table: StoreConnection) -> list[Budget]:
    """Return all budgets that are set, in the order in which they were first set.

    Of several rows that differ only in time and amount, only the newest row counts. A budget is set
    if this row has an amount.
    """
    amounts: dict[tuple[Any, ...], float | None] = {}
    for amount, *scope in table.execute(
        "SELECT amount, unit, period, agent, notebook, coalesce(sandbox, 0) FROM budgets"
        " ORDER BY at, budget"
    ):
        amounts[tuple(scope)] = amount
    return [
        Budget(amount, unit, period, agent, notebook, bool(sandbox))
        for (unit, period, agent, notebook, sandbox), amount in amounts.items()
        if amount is not None
    ]
