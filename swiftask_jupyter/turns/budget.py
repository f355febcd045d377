"""Budgets: limits such as `500 credits/day`, `20 calls/hour` or `100k tokens/session`."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import PurePath

from swiftask_jupyter.errors import BudgetSpent, ConfigurationError
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.support.wording import quantity

HOUR = 3_600
# Each period ends now: a day is the last 24 hours. So budgets do not all start afresh at midnight.
PERIODS = {"hour": HOUR, "day": 24 * HOUR, "week": 7 * 24 * HOUR, "month": 30 * 24 * HOUR}
SESSION = "session"
WARNING_SHARE = 0.8  # footers warn when this share of a budget is used
_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000}
_GRAMMAR = (
    r"(?P<amount>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?) ?(?P<factor>[km]?)"
    r" ?(?P<unit>credit|call|token)s?"
    rf" ?(?:/|per|a|an) ?(?P<period>{'|'.join([*PERIODS, SESSION])})"
)
EXAMPLES = "write 500 credits/day, 20 calls/hour or 100k tokens/session"


class Budget(Struct, frozen=True):
    """A limit on credits, calls or tokens in a period, for one agent, one notebook, or all.

    Attributes:
        amount: the limit, in `unit`.
        unit: `credits`, `calls` or `tokens`.
        period: `hour`, `day`, `week`, `month` (30 days) or `session`. All but `session` are
            rolling periods that end now.
        agent: the slug of the agent whose calls count; `None` for every agent.
        notebook: the path of the notebook whose calls count; `None` for every notebook.
    """

    amount: float
    unit: str
    period: str
    agent: str | None = None
    notebook: str | None = None

    def __str__(self) -> str:
        words = f"{format_amount(self.amount)} {self.unit}/{self.period}"
        if self.agent is not None:
            words += f" for {self.agent}"
        if self.notebook is not None:
            # The name only: footers show this text, and are saved in notebooks.
            words += f" in {PurePath(self.notebook).name}"
        return words


class BudgetUsage(Struct, frozen=True):
    """How much of a budget is used.

    Attributes:
        amount: the sum that finished calls reported, in the budget's unit.
        calls: how many calls were sent.
        in_flight: how many of them have not finished, or were lost with their process.
        unreported: how many finished calls reported nothing in this unit.
    """

    amount: float
    calls: int
    in_flight: int
    unreported: int

    @property
    def expected(self) -> float:
        """What the calls in flight will use if each uses the average of the reported calls."""
        reported = self.calls - self.in_flight - self.unreported
        return self.in_flight * self.amount / reported if reported else 0.0


def parse_budget(text: str, agent: str | None = None, notebook: str | None = None) -> Budget:
    """Parse a budget such as `500 credits/day`.

    Args:
        text: amount, unit and period.
        agent: the slug of the agent it is for; `None` for every agent.
        notebook: the path of the notebook it is for; `None` for every notebook.

    Raises:
        ConfigurationError: the text is not a budget.
    """
    found = re.fullmatch(_GRAMMAR, " ".join(text.split()), re.IGNORECASE)
    if found is None:
        raise ConfigurationError(f"{text!r} is no budget", advice=EXAMPLES)
    amount = float(found["amount"].replace(",", "")) * _FACTORS[found["factor"].lower()]
    unit = f"{found['unit'].lower()}s"
    if not math.isfinite(amount) or (unit == "calls" and not amount.is_integer()):
        raise ConfigurationError(f"{text!r} can't be counted", advice="write a whole number")
    return Budget(amount, unit, found["period"].lower(), agent, notebook)


def check_budget(budget: Budget, usage: BudgetUsage) -> str:
    """Check whether another call may be sent.

    Args:
        budget: the budget.
        usage: the usage of all other calls; the call that is checked is not included.

    Returns:
        A warning for the call's footer, usually empty.

    Raises:
        BudgetSpent: the call may not be sent.
    """
    used = usage.amount + usage.expected
    if used >= budget.amount:
        pending = ""
        if usage.expected and usage.amount < budget.amount:
            calls = quantity(usage.in_flight, "call")
            pending = f" and {calls} in flight may take {format_amount(usage.expected)} more"
        spent = f"{format_amount(usage.amount)}{pending}"
        raise BudgetSpent(
            f"the budget of {budget} is spent: {spent}; nothing was sent",
            advice=f"%swiftask budget raise {_larger(budget, used)}",
        )
    finished = usage.calls - usage.in_flight
    if budget.unit != "calls" and finished and usage.unreported == finished:
        return f"{budget} can't be watched: no call reported {budget.unit}; calls can be capped"
    if used >= WARNING_SHARE * budget.amount:
        return f"{100 * used / budget.amount:.0f} % of {budget}"
    return ""


def scope_options(budget: Budget) -> str:
    """Return a budget's `--agent` and `--notebook`, as options of `%swiftask budget`."""
    options = {"--agent": budget.agent, "--notebook": budget.notebook}
    return "".join(
        f" {option} {shlex.quote(value)}" for option, value in options.items() if value is not None
    )


def format_amount(amount: float) -> str:
    """Return a readable amount: `1,500`, `2.50`, and two significant digits below 0.01."""
    if 0 < amount < 0.01:
        return f"{amount:.2g}"
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.2f}"


def _larger(budget: Budget, used: float) -> str:
    """Return a budget of 1.5 times the limit or the use, as `%swiftask budget raise` accepts it."""
    amount = max(math.ceil(max(budget.amount, used) * 1.5), 1)
    return f"{amount} {budget.unit}/{budget.period}{scope_options(budget)}"
