"""The table of budgets, and sums of what was spent of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from swiftask_jupyter.answers.turn import Turn, new_id
from swiftask_jupyter.errors import ConfigurationError, StoreUnreachable
from swiftask_jupyter.ledger.schema import IS_CALL, storable
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
    """The table of budgets. A row with an amount sets a budget; one without removes it."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def all(self) -> list[Budget]:
        """Return the budgets in force, in the order in which they were first set.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            return _in_force(table)

    def set(self, budget: Budget) -> None:
        """Set a budget; it replaces one of the same unit, period and scope.

        Raises:
            StoreError: the ledger can't be written.
        """
        self._write(budget, budget.amount)

    def drop(self, budget: Budget) -> None:
        """Remove a budget.

        Raises:
            ConfigurationError: there is no such budget.
            StoreError: the ledger can't be written.
        """
        self._known(budget)
        self._write(budget, None)

    def increase(self, budget: Budget) -> None:
        """Raise the amount of a budget.

        Raises:
            ConfigurationError: there is no such budget, or the new amount is not higher.
            StoreError: the ledger can't be written.
        """
        known = self._known(budget)
        if budget.amount <= known.amount:
            raise ConfigurationError(
                f"{budget} is not more than {known}", advice="to lower it, set it anew"
            )
        self._write(budget, budget.amount)

    def spent(self, budget: Budget, session: str, excluded: str = "") -> BudgetUsage:
        """Return what was spent of a budget so far.

        Args:
            budget: the budget.
            session: the id of the session whose calls count, for a budget of a session.
            excluded: the id of a turn that does not count: the one about to be sent.

        Raises:
            StoreError: the ledger can't be read.
        """
        with self._store.read() as table:
            return self._spent(table, budget, session, excluded)

    def check(self, turn: Turn) -> list[str]:
        """Check all budgets for a turn that is about to be sent; return remarks for its footer.

        The turn's row is in the ledger already, as are the rows of all calls in flight, those of
        other processes too.

        Raises:
            BudgetSpent: a budget does not allow the turn.
            StoreError: the ledger can't be read.
        """
        remarks = []
        try:
            with self._store.read() as table:
                for budget in _in_force(table):
                    if budget.agent not in (None, storable(turn.agent)):
                        continue
                    if budget.notebook in (None, storable(turn.notebook)):
                        spent = self._spent(table, budget, turn.session, turn.id)
                        remarks.append(check_budget(budget, spent))
        except StoreUnreachable:
            return ["budgets were not checked"]
        return [remark for remark in remarks if remark]

    def _spent(
        self, table: StoreConnection, budget: Budget, session: str, excluded: str
    ) -> BudgetUsage:
        wanted: dict[str, Any] = {"turn <> ?": excluded}
        if budget.period == SESSION:
            wanted["session = ?"] = storable(session)
        else:
            wanted["at >= ?"] = self._clock() - PERIODS[budget.period]
        scope = {"agent = ?": budget.agent, "notebook = ?": budget.notebook}
        wanted |= {test: value for test, value in scope.items() if value is not None}
        amount = _AMOUNTS[budget.unit]
        ended = "status <> 'running'" if budget.unit != "calls" else "1 = 1"
        row = table.execute(
            f"SELECT count(*), sum(CASE WHEN {ended} THEN {amount} END),"  # noqa: S608 - our own columns
            f" sum(CASE WHEN NOT ({ended}) THEN 1 ELSE 0 END),"
            f" sum(CASE WHEN {ended} AND {amount} IS NULL THEN 1 ELSE 0 END) FROM turns"
            f" WHERE {IS_CALL} AND {' AND '.join(wanted)}",
            tuple(wanted.values()),
        ).fetchone()
        return BudgetUsage(float(row[1] or 0), int(row[0]), int(row[2] or 0), int(row[3] or 0))

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
                "INSERT INTO budgets (budget, at, unit, period, agent, notebook, amount)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (new_id(), self._clock(), *_scope(budget), amount),
            )


def _scope(budget: Budget) -> tuple[str, str, str | None, str | None]:
    return budget.unit, budget.period, storable(budget.agent), storable(budget.notebook)


def _in_force(table: StoreConnection) -> list[Budget]:
    """Return the newest row of each scope, if it has an amount."""
    amounts: dict[tuple[Any, ...], float | None] = {}
    for amount, *scope in table.execute(
        "SELECT amount, unit, period, agent, notebook FROM budgets ORDER BY at, budget"
    ):
        amounts[tuple(scope)] = amount
    return [Budget(amount, *scope) for scope, amount in amounts.items() if amount is not None]
