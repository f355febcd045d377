"""Questions about a turn that Python and SQL must answer alike.

Each predicate is a function of a turn and, beside it, an expression over the columns of `turns`
(and `texts`, where it says so). `tests/ledger/test_predicates.py` compares the two.
"""

from __future__ import annotations

from swiftask_jupyter.answers.turn import BLANKS, Turn, is_empty

# Imported turns are history and no calls: neither a usage frame nor a sum holds them.
IS_IMPORTED = "coalesce(surface, '') = 'import'"
IS_CALL = f"status <> 'refused' AND coalesce(cached, 0) = 0 AND NOT ({IS_IMPORTED})"

# Measured on the live `/v1`: an apology with usage 0, 0 and a total of 1.
_UNCOUNTED = (
    "coalesce(usage_source, '') = 'stream' AND coalesce(reported_total, 0) = 1"
    " AND input_tokens IS NULL AND output_tokens IS NULL"
)
# Over `turns` and `texts`. How a list of files begins in the JSON that `schema` writes.
_HAS_CONTENT = f"""(trim(coalesce(answer, ''), '{BLANKS.replace("'", "''")}') <> ''
 OR coalesce(raw, '') LIKE '%"files": [{{%')"""
IS_SUSPECT = f"status = 'ok' AND ({_UNCOUNTED} OR NOT {_HAS_CONTENT})"
IS_REPLAYABLE = f"status = 'ok' AND NOT ({_UNCOUNTED}) AND {_HAS_CONTENT}"


def is_call(turn: Turn) -> bool:
    """Return whether a request was sent for this turn: it counts in usage and budgets."""
    return turn.status != "refused" and not turn.cached and turn.surface != "import"


def is_suspect(turn: Turn) -> bool:
    """Return whether this may be a failure that the service reported as a success.

    Measured on the live `/v1`: an apology with usage 0, 0 and a total of 1, and answers that
    are empty or nothing but quotes. The words are not looked at.
    """
    return turn.status == "ok" and (_is_uncounted(turn) or is_empty(turn.text, turn.raw))


def is_replayable(turn: Turn) -> bool:
    """Return whether the cache may show this answer again: no failure, and none suspected."""
    return turn.status == "ok" and not is_suspect(turn)


def _is_uncounted(turn: Turn) -> bool:
    usage = turn.usage
    tokens = usage.input_tokens, usage.output_tokens, usage.reported_total
    return usage.source == "stream" and tokens == (None, None, 1)
