"""The line below a chat panel that shows the total usage and cost of the conversation."""

from __future__ import annotations

from collections.abc import Iterator

from swiftask_jupyter.conversation.session import Session
from swiftask_jupyter.errors import StoreError
from swiftask_jupyter.ledger.schema import is_call
from swiftask_jupyter.support.wording import quantity
from swiftask_jupyter.turns import budget


def session_total(session: Session) -> str:
    """Return a line with the calls, tokens, credits and budgets of a session.

    Calls to the sandbox are counted only if there are no other calls. The line then contains
    `(sandbox)`. The line is empty if there are no calls and no budgets. If the ledger can't be
    read, the line is the error message.
    """
    try:
        return " · ".join([*_reported_usage(session), *_spent_budgets(session)])
    except StoreError as error:
        return str(error)


def _reported_usage(session: Session) -> Iterator[str]:
    ledger = session.runtime.ledger
    _, turns = ledger.history.turns(ledger.history.segments(session.id))
    sent = [each for each in turns if is_call(each)]
    calls = [each for each in sent if not each.sandbox] or sent
    mark = " (sandbox)" if calls and calls[0].sandbox else ""
    usages = [each.usage for each in calls]
    reported = [each for each in usages if each.input_tokens is not None]
    credits_spent = [each.credits for each in usages if each.credits is not None]
    if calls:
        input_tokens = sum(each.input_tokens or 0 for each in reported)
        output_tokens = sum(each.output_tokens or 0 for each in reported)
        missing = len(calls) - len(reported)
        remark = f" ({missing} not reported)" if missing else ""
        yield quantity(len(calls), "call") + mark
        tokens = f"{input_tokens}→{output_tokens} tokens{remark}"
        yield tokens if reported else "tokens not reported"
    if credits_spent:
        yield f"{sum(credits_spent):g} credits"
    if left_out := len(sent) - len(calls):
        yield f"{quantity(left_out, 'call')} to the sandbox not counted"


def _spent_budgets(session: Session) -> Iterator[str]:
    budgets = session.runtime.ledger.budgets
    for each in budgets.all():
        if each.notebook in (None, session.notebook):
            yield f"{budget.format_amount(budgets.spent(each, session.id).amount)} of {each}"
