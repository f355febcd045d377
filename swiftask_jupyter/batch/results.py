"""The outcome of each prompt of a batch, and the DataFrame columns that show the outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.answers.schemas import Schema, SchemaMismatch
from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.ledger.schema import is_suspect, suspicion
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.support.structs import Struct, replace

if TYPE_CHECKING:
    import pandas as pd

NOT_SENT = "not sent"
DTYPES = {
    "answer": "string",
    "status": "string",
    "error": "string",
    "finish_reason": "string",
    "tokens": "Int64",
    "credits": "Float64",
    "seconds": "Float64",
    "attempts": "Int64",
}


class Outcome(Struct, frozen=True):
    """The result of one prompt of a batch: an answer or an error, and the cost.

    If an answer did not fit the schema, a second prompt asked the agent to correct the answer. The
    cost includes both prompts.

    Attributes:
        status: `ok`, `error`, `refused` (the prompt could not be sent) or `not sent` (the batch
            ended early).
        answer: the text of the answer; after an error, the received part of the text.
        error: the reason for a failure, in one line.
        finish_reason: why the answer ended, in the service's words; `length` if it was cut at its
            length limit.
        tokens: the number of tokens; `None` if the service reported none.
        credits: the number of credits; `None` if the service reported none.
        seconds: the time from the request to the end of the answer.
        attempts: the number of requests.
        fields: the values of the schema's fields; `None` without a schema or after a failure.
        kept: whether the next run takes the outcome from the ledger. If false, the next run sends
            the prompt again.
    """

    status: str
    answer: str | None = None
    error: str | None = None
    finish_reason: str | None = None
    tokens: int | None = None
    credits: float | None = None
    seconds: float | None = None
    attempts: int = 0
    fields: tuple[Any, ...] | None = None
    kept: bool = False

    def failed(self, error: str) -> Outcome:
        """Return a copy with the status `error` and this error message, but without `fields`."""
        return replace(self, status="error", error=error, fields=None)

    def after(self, earlier: Outcome) -> Outcome:
        """Return a copy whose cost includes the cost of an earlier outcome.

        Args:
            earlier: the outcome of the answer before the correction.
        """
        return replace(
            self,
            tokens=_sum(self.tokens, earlier.tokens),
            credits=_sum(self.credits, earlier.credits),
            seconds=_sum(self.seconds, earlier.seconds),
            answer=self.answer or earlier.answer,
            attempts=self.attempts + earlier.attempts,
        )

    def repeated(self) -> Outcome:
        """Return a copy without cost, for another row with the same prompt."""
        return replace(self, tokens=None, credits=None, seconds=None, attempts=0)


def outcome_of(turn: Turn) -> Outcome:
    """Return the outcome of a finished turn. A turn is a prompt and its answer.

    An answer with the status `ok` that looks like a failure counts as an error (see `is_suspect`).
    """
    suspect = is_suspect(turn)
    return Outcome(
        "error" if suspect else turn.status,
        turn.text or None,
        suspicion(turn) if suspect else turn.error,
        turn.finish_reason,
        turn.usage.total_tokens,
        turn.usage.credits,
        turn.seconds,
        turn.attempts,
        kept=bool(turn.request_digest),
    )


def columns_of(schema: Schema | None) -> dict[str, Any]:
    """Return a dict that maps the names of the new columns, without prefix, to dtypes."""
    return {**(schema.dtypes if schema else {}), **DTYPES}


def check_columns(frame: pd.DataFrame, schema: Schema | None, prefix: str) -> None:
    """Check that the names of the new columns are not in use.

    Raises:
        ConfigurationError: the frame has a column with the name of a new column. The error is also
            raised if the schema has a field with the name of a fixed new column, such as `answer`.
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
    """Return a copy of the frame with the answers as new columns.

    Args:
        frame: the DataFrame. The copy has the same rows and the same index.
        outcomes: one outcome for each row, in the order of the rows.
        schema: the fields of the answers; each field becomes a column. `None`: only the fixed
            columns are added, such as `answer` and `status`.
        prefix: the text in front of the name of each new column.
    """
    below = ("",) * (frame.columns.nlevels - 1)  # for a frame whose columns are a MultiIndex

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
    """Return the values as an array with this dtype.

    If values are missing, the array has the nullable variant of the dtype. If a value does not fit
    the dtype, the array contains the unchanged objects.
    """
    import pandas as pd

    column = pd.Series(values, dtype=object)
    wanted = pd.api.types.pandas_dtype(dtype)
    if column.isna().any():
        wanted = _nullable(wanted)
    try:
        if pd.api.types.is_datetime64_any_dtype(wanted):
            times = pd.to_datetime(column, utc=True)
            zoned = getattr(wanted, "tz", None) is not None
            column = times if zoned else times.dt.tz_localize(None)
        return column.astype(wanted).array
    except (ValueError, TypeError, OverflowError):
        return column.array  # a value does not fit the dtype: they stay objects


def _nullable(dtype: Any) -> Any:
    """Return the nullable variant of a bool or integer dtype; return other dtypes unchanged."""
    import pandas as pd

    if pd.api.types.is_extension_array_dtype(dtype) or dtype.kind not in "iub":
        return dtype
    nullable = {"b": "boolean", "i": str(dtype).capitalize(), "u": f"UI{str(dtype)[2:]}"}
    return pd.api.types.pandas_dtype(nullable[dtype.kind])


def _sum(one: Any, other: Any) -> Any:
    return one if other is None else other if one is None else one + other


class ResultCollector:
    """Stores the outcome of each prompt of a batch, and requests corrections of answers.

    If an answer does not fit the schema, the agent is asked once to correct the answer. The prompt
    that asks for a correction is called a repair prompt.

    Attributes:
        outcomes: a dict that maps the number of a prompt to its outcome. While an answer is being
            corrected, the prompt is not in the dict.
    """

    def __init__(self, schema: Schema | None) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self._schema = schema
        self._to_repair: dict[int, Outcome] = {}

    def take(self, number: int, prompt: Prompt, turn: Turn) -> Prompt | None:
        """Store the outcome of a finished turn, or return a repair prompt.

        If the answer does not fit the schema, the method stores no outcome and returns a repair
        prompt. The next call with this number stores the outcome, even if the corrected answer does
        not fit.

        Args:
            number: the number of the prompt.
            prompt: the prompt of the turn.
            turn: the finished turn.

        Returns:
            The repair prompt; `None` if the outcome was stored.
        """
        outcome = outcome_of(turn)
        earlier = self._to_repair.pop(number, None)
        if earlier is not None:
            outcome = outcome.after(earlier)
        if self._schema is not None and outcome.status == "ok":
            try:
                outcome = replace(outcome, fields=self._schema.parse(turn.text))
            except SchemaMismatch as wrong:
                if earlier is None:
                    self._to_repair[number] = outcome
                    text = self._schema.repair_prompt(prompt.text, turn.text, wrong)
                    return replace(prompt, text=text)
                outcome = outcome.failed(str(wrong))
        self.outcomes[number] = outcome
        return None

    def forget(self, number: int) -> None:
        """Delete the outcome of a prompt that is going to be sent again."""
        self.outcomes.pop(number, None)
        self._to_repair.pop(number, None)
