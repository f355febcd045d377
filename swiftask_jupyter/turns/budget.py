"""Budgets: limits such as `500 credits/day`, `20 calls/hour` or `100k tokens/session`.

This module parses budgets and compares them with the usage. Budgets and usage are stored in the
ledger, the database of all calls.
"""

from __future__ import annotations

import math
import re
import shlex
from pathlib import PurePath

from swiftask_jupyter.errors import BudgetSpent, ConfigurationError
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.support.wording import quantity

HOUR = 3_600
# The lengths of the periods in seconds. A period ends now, so a day means the last 24 hours.
PERIODS = {"hour": HOUR, "day": 24 * HOUR, "week": 7 * 24 * HOUR, "month": 30 * 24 * HOUR}
SESSION = "session"
WARNING_SHARE = 0.8  # when this share of a budget is used, a footer contains a warning
_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000}
_GRAMMAR = (
    r"(?P<amount>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?) ?(?P<factor>[km]?)"
    r" ?(?P<unit>credit|call|token)s?"
    rf" ?(?:/|per|a|an) ?(?P<period>{'|'.join([*PERIODS, SESSION])})"
)
EXAMPLES = "write 500 credits/day, 20 calls/hour or 100k tokens/session"


class Budget(Struct, frozen=True):
    """A limit on credits, calls or tokens in a period. It may be for one agent or notebook only.

    Attributes:
        amount: the limit, in `unit`.
        unit: `credits`, `calls` or `tokens`.
        period: `session`, or a rolling period that ends now: `hour`, `day`, `week` or `month`
            (30 days).
        agent: the slug of the agent whose calls count; `None` for every agent.
        notebook: the path of the notebook whose calls count; `None` for every notebook.
        sandbox: `True` counts only calls to the sandbox; `False` counts only other calls.
    """

    amount: float
    unit: str
    period: str
    agent: str | None = None
    notebook: str | None = None
    sandbox: bool = False

    def __str__(self) -> str:
        words = f"{format_amount(self.amount)} {self.unit}/{self.period}"
        if self.sandbox:
            words += " in the sandbox"
        if self.agent is not None:
            words += f" for {self.agent}"
        if self.notebook is not None:
            # Only the file's name: footers show this text, and are saved in notebooks.
            words += f" in {PurePath(self.notebook).name}"
        return words


class BudgetUsage(Struct, frozen=True):
    """How much of a budget is used.

    Attributes:
        amount: the used credits, calls or tokens, as far as they are known.
        calls: the number of calls that were sent in the budget's period.
        in_flight: the number of calls that have not ended, or whose process died; 0 for a budget of
            calls.
        unreported: the number of ended calls that reported no value in the budget's unit.
        left_out: the number of calls to the sandbox that were not counted; 0 for a budget that
            counts calls to the sandbox.
    """

    amount: float
    calls: int
    in_flight: int
    unreported: int
    left_out: int = 0

    @property
    def expected(self) -> float:
        """The estimated usage of the calls in flight, in the budget's unit.

        The estimate for each call is the average of the finished calls that reported their usage.
        If no call reported its usage, the estimate is 0.0.
        """
        reported = self.calls - self.in_flight - self.unreported
        return self.in_flight * self.amount / reported if reported else 0.0


def parse_budget(
    text: str, agent: str | None = None, notebook: str | None = None, *, sandbox: bool = False
) -> Budget:
    """Parse a budget such as `500 credits/day`.

    Args:
        text: amount, unit and period.
        agent: the slug of the agent whose calls count; `None` for every agent.
        notebook: the path of the notebook whose calls count; `None` for every notebook.
        sandbox: `True` counts only calls to the sandbox; `False` counts only other calls.

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
    return Budget(amount, unit, found["period"].lower(), agent, notebook, sandbox)


def check_budget(budget: Budget, usage: BudgetUsage) -> str:
    """Check whether a budget allows another call; called before the call is sent.

    Args:
        budget: the budget.
        usage: the usage of all earlier calls that the budget counts.

    Returns:
        A warning to show below the answer; empty if there is nothing to warn of.

    Raises:
        BudgetSpent: the budget is used up, including the estimated usage of calls in flight.
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
    """Return the options of `%swiftask budget` that select a budget, such as ` --agent echo`.

    The text is empty for a budget that counts the calls of every agent and every notebook.
    """
    options = {"--agent": budget.agent, "--notebook": budget.notebook}
    scope = "".join(
        f" {option} {shlex.quote(value)}" for option, value in options.items() if value is not None
    )
    return f"{scope} --sandbox" if budget.sandbox else scope


def format_amount(amount: float) -> str:
    """Return an amount as text, such as `1,500` or `2.50`.

    An amount below 0.01 is written with two significant digits, such as `0.0012`.
    """
    if 0 < amount < 0.01:
        return f"{amount:.2g}"
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.2f}"


def _larger(budget: Budget, used: float) -> str:
    """Return arguments for `%swiftask budget raise` that set a larger limit.

    The new limit is 1.5 times the old limit or 1.5 times the usage, whichever is larger.
    """
    amount = max(math.ceil(max(budget.amount, used) * 1.5), 1)
    return f"{amount} {budget.unit}/{budget.period}{scope_options(budget)}"
