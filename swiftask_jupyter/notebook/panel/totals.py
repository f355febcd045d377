"""What a conversation has cost so far, in one line."""

from __future__ import annotations

from collections.abc import Iterator

from swiftask_jupyter.conversation.session import Session
from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.support.wording import quantity
from swiftask_jupyter.turns import budget


def total(session: Session) -> str:
    """Return its calls, what they reported, and what is spent of the budgets; empty if neither.

    Where the ledger can't be read, that is said instead.
    """
    try:
        return " · ".join([*_reported(session), *_budgets(session)])
    except StoreError as error:
        return str(error)


def _reported(session: Session) -> Iterator[str]:
    ledger = session.ledger
    _, turns = ledger.history.turns(ledger.sessions.lines(session.id))
    # What was imported, or shown again, was no call.
    sent = [each for each in turns if each.surface != "import" and not each.provenance.cached]
    usages = [each.usage for each in sent]
    counted = [each for each in usages if each.input_tokens is not None]
    spent = [each.credits for each in usages if each.credits is not None]
    if sent:
        asked = sum(each.input_tokens or 0 for each in counted)
        made = sum(each.output_tokens or 0 for each in counted)
        missing = len(sent) - len(counted)
        rest = f" ({missing} not reported)" if missing else ""
        yield quantity(len(sent), "call")
        yield f"{asked}→{made} tokens{rest}" if counted else "tokens not reported"
    if spent:
        yield f"{sum(spent):g} credits"


def _budgets(session: Session) -> Iterator[str]:
    budgets = session.ledger.budgets
    for each in budgets.all():
        if each.notebook in (None, session.notebook):
            yield f"{budget.shown(budgets.spent(each, session.id).amount)} of {each}"
