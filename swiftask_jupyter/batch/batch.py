"""One prompt for each row: planned, announced, sent, and put beside the rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from swiftask_jupyter.answers.reply import Reply, Standing
from swiftask_jupyter.answers.schemas import schema_of
from swiftask_jupyter.batch.limiter import ConcurrencyLimiter
from swiftask_jupyter.batch.options import BatchSettings
from swiftask_jupyter.batch.plan import Plan, Prompts, RowPrompt
from swiftask_jupyter.batch.progress import Bar, announced, tell
from swiftask_jupyter.batch.results import ResultCollector, check_columns, with_answers
from swiftask_jupyter.batch.rows import Rows
from swiftask_jupyter.batch.scheduler import Office, Scheduler
from swiftask_jupyter.conversation.session import Means
from swiftask_jupyter.errors import ConfigurationError, Interrupted, PromptError, Refused
from swiftask_jupyter.ledger.history import EarlierRows
from swiftask_jupyter.ledger.turns import Place, new_id
from swiftask_jupyter.prompts.templates import left_as_written
from swiftask_jupyter.support.structs import replace

if TYPE_CHECKING:
    import pandas as pd

ASK_ABOVE = 1000
TICK = 0.25
HOW = "confirm=False sends without asking"


class Batch:
    """A frame, a template, and what is to be done with them.

    Args:
        means: the ledger, the network and the thread.
        notebook: the notebook's path, where there is one.
        frame: the rows.
        template: the prompt, with a `{{column}}` wherever a row's own value belongs.
        wishes: how it is to be done.

    Raises:
        Refused: nothing can be sent, and the message says why.
        StoreError: the ledger can't be read.
    """

    def __init__(
        self,
        means: Means,
        notebook: str | None,
        frame: pd.DataFrame,
        template: str,
        wishes: BatchSettings,
    ) -> None:
        self._means, self._frame, self._wishes = means, frame, wishes
        self._schema = None if wishes.schema is None else schema_of(wishes.schema)
        rows = Rows(frame, template, files=wishes.files, names=wishes.names)
        check_columns(frame, self._schema, wishes.prefix)
        strict = (wishes.cache or means.cache) == "strict"
        options = {**wishes.options, "needs_token": not strict}
        prompts = Prompts(rows, self._schema, means.prepare, wishes.agent, options)
        earlier = EarlierRows(means.ledger.database)
        self._judge = ResultCollector(self._schema)
        self._plan = Plan(prompts, len(rows), earlier, self._judge, wishes.retry)
        self._window = ConcurrencyLimiter(wishes.concurrency)
        self._numbers = count(1)
        cell, run = means.where()
        self._place = Place(notebook, f"batch-{new_id()}")
        self._standing = Standing(None, cell, run, "batch")
        self._counts = self._plan.counts()
        if self._counts["refused"] == len(rows) > 0:
            raise PromptError(next(self._plan.outcomes()).error or "", advice="no row can be sent")
        if strict and (missing := self._counts["sent"] + self._counts["equal"]):
            raise Refused(
                f"{missing:,} of {len(rows):,} rows would be sent, and strict asks nobody",
                advice='send them once with cache="on"',
            )
        line = announced(len(rows), self._counts, earlier.usual_credits(prompts.agent))
        self._line = "; ".join((line, *left_as_written(template)))

    def run(self) -> pd.DataFrame:
        """Send what must be sent, and return the frame with its answers.

        Raises:
            Interrupted: the user stopped it; what had come is kept.
            SwiftaskError: something stands in the way of every row.
        """
        for numbers in self._stages():
            bar, stopped = self._bar(numbers), True
            watch = self._means.thread.stream(self._dispatch(numbers).settled(), TICK)
            try:
                for settled in watch:
                    self._shown(bar, settled)
                stopped = False
            except KeyboardInterrupt:
                watch.close()  # what is written down meanwhile counts too
                kept = self._kept(numbers)
                raise Interrupted(f"{kept}; run it again for the rest") from None
            finally:
                watch.close()
                bar.close(self._kept(numbers) if stopped else "")
        return self._result()

    async def run_async(self) -> pd.DataFrame:
        """Do the same from a running loop, where nobody can be asked."""
        for numbers in self._stages(asks=False):
            bar, stopped = self._bar(numbers), True
            settled = self._dispatch(numbers).settled()
            try:
                async for some in self._means.thread.stream_async(settled):
                    self._shown(bar, some)
                stopped = False
            finally:
                bar.close(self._kept(numbers) if stopped else "")
        return self._result()

    def _stages(self, *, asks: bool = True) -> Iterator[list[int]]:
        """Yield the prompts to send: all of them, or a few first; asks where that is wanted."""
        wishes, pending = self._wishes, self._plan.pending
        if wishes.progress:
            tell(self._line)
        if not pending:
            return
        first, rest = pending[: wishes.pilot], pending[wishes.pilot :]
        if first:
            yield first
            if not rest or not self._goes_on(first, len(rest), asks=asks):
                return
        elif wishes.confirm or (wishes.confirm is None and len(pending) > ASK_ABOVE):
            line = "" if wishes.progress else f"{self._line}. "  # else it has just been told
            if not asks or (agreed := _agreed(line, "nothing was sent")) is None:
                raise ConfigurationError(f"{len(pending):,} rows would be sent", advice=HOW)
            if not agreed:
                return
        yield rest

    def _goes_on(self, first: list[int], rest: int, *, asks: bool) -> bool:
        """Tell whether the rest is sent after the first few."""
        ok = sum(self._judge.outcomes[number].status == "ok" for number in first)
        line = f"sent first: {ok:,} of {len(first):,} answered; {rest:,} more to send"
        if self._wishes.confirm is False:
            return ok > 0
        agreed = _agreed(f"{line}. ", "no more was sent; what came is kept") if asks else None
        if agreed is None:
            tell(f"{line}; {HOW}")
        return bool(agreed)

    def _dispatch(self, numbers: list[int]) -> Scheduler:
        means, budgets = self._means, self._means.ledger.budgets
        office = Office(
            means.transport, means.ledger.turns, self._place, self._standing, self._window,
            self._wishes.tries, self._settle, budgets.check if budgets.all() else None,
            self._numbers,
        )  # fmt: skip
        return Scheduler(office, self._plan.questions(numbers))

    def _settle(self, question: RowPrompt, reply: Reply) -> RowPrompt | None:
        """Take a reply, on the I/O thread; return the repair that it calls for."""
        repair = self._judge.take(question.number, question.prompt, reply)
        return None if repair is None else replace(question, prompt=repair)

    def _bar(self, numbers: list[int]) -> Bar:
        return Bar(len(numbers), self._window, shown=self._wishes.progress)

    def _shown(self, bar: Bar, numbers: list[int] | None) -> None:
        bar.show([self._judge.outcomes[number] for number in numbers or ()], time.monotonic())

    def _kept(self, numbers: list[int]) -> str:
        outcomes = self._judge.outcomes
        kept = sum(number in outcomes and outcomes[number].kept for number in numbers)
        return f"stopped; {kept:,} of {len(numbers):,} rows are kept"

    def _result(self) -> pd.DataFrame:
        outcomes = list(self._plan.outcomes())
        return with_answers(self._frame, outcomes, self._schema, self._wishes.prefix)


def _agreed(line: str, stopped: str) -> bool | None:
    """Ask the user; `None` where there is nobody to ask.

    Raises:
        Interrupted: the user stopped it instead; `stopped` says what that means.
    """
    try:
        return input(f"{line}Send them? [y/N] ").strip().lower() in {"y", "yes"}
    except KeyboardInterrupt:
        raise Interrupted(stopped) from None
    except (EOFError, NotImplementedError, OSError):  # no terminal, or a front end without input
        return None
