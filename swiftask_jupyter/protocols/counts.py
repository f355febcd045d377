"""Usage without invented numbers: what a service reports is checked before it is believed."""

from __future__ import annotations

from typing import Any

from swiftask_jupyter.replies import Source, Usage


def counted(  # noqa: D417 - the rest are as in Usage
    sent: Any,
    made: Any,
    total: Any,
    *,
    source: Source,
    answered: bool,
    credits: Any = None,  # noqa: A002 - the platform's word
) -> Usage:
    """Return the usage without the zeros that can't be true, and without what is no number.

    No request has 0 tokens, and no answer with text has; the live `/v1` reports both.

    Args:
        answered: whether the answer had text.
    """
    sent, made, total = _count(sent) or None, _count(made), _count(total) or None
    if made == 0 and (answered or sent is None):
        made = None
    known = sent is not None and made is not None
    spent = credits if _is_number(credits) else None
    return Usage(
        input_tokens=sent,
        output_tokens=made,
        total_tokens=(sent or 0) + (made or 0) if known else None,
        reported_total=total,
        credits=spent,
        source=source if (sent, made, total, spent) != (None,) * 4 else "none",
    )


def _count(value: Any) -> int | None:
    """Return a token count as a service wrote it, or `None` if it is none."""
    return int(value) if _is_number(value) and value >= 0 else None


def _is_number(value: Any) -> bool:
    """Tell a number that a ledger can hold from what only looks like one: `True`, 10 to the 400."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and abs(value) < 2**53
