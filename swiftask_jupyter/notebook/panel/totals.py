"""The line below a chat panel with the total usage and cost of the conversation."""

from __future__ import annotations

from collections.abc import Iterator

from swiftask_jupyter.conversation.session import Session
from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.ledger.schema import is_call
from swiftask_jupyter.support.wording import quantity
from swiftask_jupyter.turns import budget


def session_total(session: Session) -> str:
    """Return one line with a session's calls, tokens, credits and the spent part of each budget.

    The line is empty if there were no calls and no budget applies. If the ledger (the database of
    all turns) cannot be read, the line is the error message.
    """
    try:
        return " · ".join([*_reported_usage(session), *_spent_budgets(session)])
    except StoreError as error:
        return str(error)


def _reported_usage(session: Session) -> Iterator[str]:
    ledger = session.runtime.ledger
    _, turns = ledger.history.turns(ledger.history.segments(session.id))
    calls = [each for each in turns if is_call(each)]
    usages = [each.usage for each in calls]
    reported = [each for each in usages if each.input_tokens is not None]
    credits_spent = [each.credits for each in usages if each.credits is not None]
    if calls:
        input_tokens = sum(each.input_tokens or 0 for each in reported)
        output_tokens = sum(each.output_tokens or 0 for each in reported)
        missing = len(calls) - len(reported)
        remark = f" ({missing} not reported)" if missing else ""
        yield quantity(len(calls), "call")
        tokens = f"{input_tokens}→{output_tokens} tokens{remark}"
        yield tokens if reported else "tokens not reported"
    if credits_spent:
        yield f"{sum(credits_spent):g} credits"


def _spent_budgets(session: Session) -> Iterator[str]:
    budgets = session.runtime.ledger.budgets
    for each in budgets.all():
        if each.notebook in (None, session.notebook):
            yield f"{budget.format_amount(budgets.spent(each, session.id).amount)} of {each}"
