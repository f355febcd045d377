"""The outcome of each row, and the frame with their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.answers.schemas import Schema, SchemaMismatch
from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.predicates import is_suspect
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.support.structs import Struct, replace

if TYPE_CHECKING:
    import pandas as pd

DISGUISED = "empty, or a failure in disguise"
NOT_SENT = "not sent"
DTYPES = {
    "answer": "string",
    "status": "string",
    "error": "string",
    "tokens": "Int64",
    "credits": "Float64",
    "seconds": "Float64",
    "attempts": "Int64",
}


class Outcome(Struct, frozen=True):
    """What became of a prompt.

    Attributes:
        status: `ok`, `error`, `refused` (it could not be sent) or `not sent` (its turn did not
            come).
        answer: the text as it came, as far as it came.
        error: why it failed.
        tokens: what it cost, where that was reported, a repair's included.
        credits: as `tokens`.
        seconds: how long it took, a repair's included.
        attempts: how many requests it took, a repair's included.
        fields: what the schema read in it.
        kept: whether the next run takes it from the ledger; a row that was not sent, or that
            failed as every row would, is sent then.
    """

    status: str
    answer: str | None = None
    error: str | None = None
    tokens: int | None = None
    credits: float | None = None
    seconds: float | None = None
    attempts: int = 0
    fields: tuple[Any, ...] | None = None
    kept: bool = False

    def failed(self, error: str) -> Outcome:
        """Return it as a failure; what came and what it cost stays."""
        return replace(self, status="error", error=error, fields=None)

    def after(self, earlier: Outcome) -> Outcome:
        """Return it with the cost of what came before it."""
        return replace(
            self,
            tokens=_sum(self.tokens, earlier.tokens),
            credits=_sum(self.credits, earlier.credits),
            seconds=_sum(self.seconds, earlier.seconds),
            answer=self.answer or earlier.answer,  # the raw text is kept
            attempts=self.attempts + earlier.attempts,
        )

    def repeated(self) -> Outcome:
        """Return it for a further row of the same prompt, which cost nothing."""
        return replace(self, tokens=None, credits=None, seconds=None, attempts=0)


def outcome_of(reply: Turn) -> Outcome:
    """Return what a finished reply amounts to; one that may be a failure counts as one."""
    suspect = is_suspect(reply)
    return Outcome(
        "error" if suspect else reply.status,
        reply.text or None,
        DISGUISED if suspect else reply.error,
        reply.usage.total_tokens,
        reply.usage.credits,
        reply.seconds,
        reply.attempts,
        kept=bool(reply.request_digest),
    )


def columns_of(schema: Schema | None) -> dict[str, Any]:
    """Return the answer's columns and their dtypes."""
    return {**(schema.dtypes if schema else {}), **DTYPES}


def check_columns(frame: pd.DataFrame, schema: Schema | None, prefix: str) -> None:
    """Refuse to write over a column of the user's.

    Raises:
        ConfigurationError: the frame has a column that the answers would have too.
    """
    if schema and (own := [name for name in schema.dtypes if name in DTYPES]):
        raise ConfigurationError(
            f"the schema can't name a column {own[0]!r}", advice=f"taken: {', '.join(DTYPES)}"
        )
    if taken := [name for name in columns_of(schema) if prefix + name in frame.columns]:
        raise ConfigurationError(
            f"the frame has a column {prefix + taken[0]!r} of its own",
            advice='name the new ones by prefix="agent_"',
        )


def add_result_columns(
    frame: pd.DataFrame, outcomes: Sequence[Outcome], schema: Schema | None, prefix: str
) -> pd.DataFrame:
    """Return the frame, its order and index as they are, with the columns of the answers."""
    below = ("",) * (frame.columns.nlevels - 1)  # where the frame's columns have several levels

    def key(name: str) -> Any:
        return (name, *below) if below else name

    made = frame.copy(deep=False)
    if schema:
        empty = (None,) * len(schema.dtypes)
        read = [outcome.fields or empty for outcome in outcomes]
        for place, (name, dtype) in enumerate(schema.dtypes.items()):
            made[key(prefix + name)] = _column([values[place] for values in read], dtype)
    for name, dtype in DTYPES.items():
        made[key(prefix + name)] = _column([getattr(each, name) for each in outcomes], dtype)
    return made


def _column(values: list[Any], dtype: Any) -> Any:
    """Return values as an array of the dtype, or of the nearest that has room for what misses."""
    import pandas as pd

    column = pd.Series(values, dtype=object)
    wanted = pd.api.types.pandas_dtype(dtype)
    if column.isna().any():
        wanted = _with_room(wanted)
    try:
        if pd.api.types.is_datetime64_any_dtype(wanted):
            times = pd.to_datetime(column, utc=True)
            zoned = getattr(wanted, "tz", None) is not None
            column = times if zoned else times.dt.tz_localize(None)
        return column.astype(wanted).array
    except (ValueError, TypeError, OverflowError):
        return column.array  # a value beyond the dtype: better an odd column than none


def _with_room(dtype: Any) -> Any:
    """Return the dtype that also holds what is missing, for one of numpy's that does not."""
    import pandas as pd

    if pd.api.types.is_extension_array_dtype(dtype) or dtype.kind not in "iub":
        return dtype
    nullable = {"b": "boolean", "i": str(dtype).capitalize(), "u": f"UI{str(dtype)[2:]}"}
    return pd.api.types.pandas_dtype(nullable[dtype.kind])


def _sum(one: Any, other: Any) -> Any:
    return one if other is None else other if one is None else one + other


class ResultCollector:
    """Keeps the outcome of each prompt, by its number.

    Attributes:
        outcomes: what became of the prompts that are settled.
    """

    def __init__(self, schema: Schema | None) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self._schema = schema
        self._drafts: dict[int, Outcome] = {}

    def take(self, number: int, prompt: Prompt, reply: Turn) -> Prompt | None:
        """Take a reply; return the prompt of the repair where one is due, once."""
        outcome = outcome_of(reply)
        draft = self._drafts.pop(number, None)
        if draft is not None:
            outcome = outcome.after(draft)
        if self._schema is not None and outcome.status == "ok":
            try:
                outcome = replace(outcome, fields=self._schema.parse(reply.text))
            except SchemaMismatch as wrong:
                if draft is None:
                    self._drafts[number] = outcome
                    text = self._schema.repair_prompt(prompt.text, reply.text, wrong)
                    return replace(prompt, text=text)
                outcome = outcome.failed(str(wrong))
        self.outcomes[number] = outcome
        return None

    def forget(self, number: int) -> None:
        """Let a prompt be asked anew."""
        self.outcomes.pop(number, None)
        self._drafts.pop(number, None)
