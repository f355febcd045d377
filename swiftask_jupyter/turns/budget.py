"""What may be spent: `500 credits/day`, `20 calls/hour`, `100k tokens/session`."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import PurePath

from swiftask_jupyter.errors import BudgetSpent, ConfigurationError
from swiftask_jupyter.support.structs import Struct
from swiftask_jupyter.support.wording import quantity

HOUR = 3_600
# A day is the last 24 hours, whatever the clock says: no midnight lets everything start at once.
PERIODS = {"hour": HOUR, "day": 24 * HOUR, "week": 7 * 24 * HOUR, "month": 30 * 24 * HOUR}
SESSION = "session"
NEAR = 0.8  # from here on, footers warn
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000}
_GRAMMAR = (
    r"(?P<amount>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?) ?(?P<times>[km]?)"
    r" ?(?P<unit>credit|call|token)s?"
    rf" ?(?:/|per|a|an) ?(?P<period>{'|'.join([*PERIODS, SESSION])})"
)
EXAMPLES = "write 500 credits/day, 20 calls/hour or 100k tokens/session"


class Budget(Struct, frozen=True):
    """So much of a unit in a period, for an agent, a notebook, or all.

    Attributes:
        amount: how much.
        unit: `credits`, `calls` or `tokens`.
        period: `hour`, `day`, `week`, `month` (30 days) or `session`; each but the last counts
            back from now.
        agent: the slug for whose calls it is; `None` for everyone's.
        notebook: the path for whose calls it is; `None` for every one's.
    """

    amount: float
    unit: str
    period: str
    agent: str | None = None
    notebook: str | None = None

    def __str__(self) -> str:
        words = f"{shown(self.amount)} {self.unit}/{self.period}"
        if self.agent is not None:
            words += f" for {self.agent}"
        if self.notebook is not None:
            words += f" in {PurePath(self.notebook).name}"  # it stands below answers, and is saved
        return words


class Spent(Struct, frozen=True):
    """What was spent of a budget.

    Attributes:
        amount: what ended calls reported, in the budget's unit.
        calls: how many calls have left.
        flying: how many of them have not ended, or never will.
        silent: how many ended calls reported nothing in this unit.
    """

    amount: float
    calls: int
    flying: int
    silent: int

    @property
    def expected(self) -> float:
        """What the calls in flight may yet take, if they are like those that ended."""
        told = self.calls - self.flying - self.silent
        return self.flying * self.amount / told if told else 0.0


def parse(text: str, agent: str | None = None, notebook: str | None = None) -> Budget:
    """Return the budget that a text says.

    Raises:
        ConfigurationError: it says none.
    """
    said = re.fullmatch(_GRAMMAR, " ".join(text.split()), re.IGNORECASE)
    if said is None:
        raise ConfigurationError(f"{text!r} is no budget", advice=EXAMPLES)
    amount = float(said["amount"].replace(",", "")) * _TIMES[said["times"].lower()]
    unit = f"{said['unit'].lower()}s"
    if not math.isfinite(amount) or (unit == "calls" and not amount.is_integer()):
        raise ConfigurationError(f"{text!r} can't be counted", advice="write a whole number")
    return Budget(amount, unit, said["period"].lower(), agent, notebook)


def check_budget(budget: Budget, spent: Spent) -> str:
    """Return what to remark in the footer of a call that may be made; mostly nothing.

    The call itself is not among those spent.

    Raises:
        BudgetSpent: it may not be made.
    """
    used = spent.amount + spent.expected
    if used >= budget.amount:
        flying = ""
        if spent.expected and spent.amount < budget.amount:
            calls = quantity(spent.flying, "call")
            flying = f" and {calls} in flight may take {shown(spent.expected)} more"
        raise BudgetSpent(
            f"the budget of {budget} is spent: {shown(spent.amount)}{flying}; nothing was sent",
            advice=f"%swiftask budget raise {_more(budget, used)}",
        )
    ended = spent.calls - spent.flying
    if budget.unit != "calls" and ended and spent.silent == ended:
        return f"{budget} can't be watched: no call reported {budget.unit}; calls can be capped"
    if used >= NEAR * budget.amount:
        return f"{100 * used / budget.amount:.0f} % of {budget}"
    return ""


def flags(budget: Budget) -> str:
    """Return the options of `%swiftask budget` that say whose calls a budget is for."""
    named = {"--agent": budget.agent, "--notebook": budget.notebook}
    return "".join(
        f" {flag} {shlex.quote(value)}" for flag, value in named.items() if value is not None
    )


def _more(budget: Budget, used: float) -> str:
    """Return a budget that lets calls through again, as the magic reads it."""
    least = max(budget.amount, used)
    amount = max(math.ceil(least * 1.5), 1)
    if amount <= least:  # half as much again of one call
        amount = math.floor(least) + 1
    return f"{amount} {budget.unit}/{budget.period}{flags(budget)}"


def shown(amount: float) -> str:
    """Return an amount as people write it."""
    if 0 < amount < 0.01:  # two digits would show none of it
        return f"{amount:.2g}"
    return f"{amount:,.0f}" if amount == int(amount) else f"{amount:,.2f}"
