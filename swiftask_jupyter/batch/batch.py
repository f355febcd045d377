"""A batch: one prompt for each row of a DataFrame, planned, announced, sent and collected."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from swiftask_jupyter.answers.schemas import parse_schema
from swiftask_jupyter.answers.turn import Reply, new_id
from swiftask_jupyter.batch.limiter import ConcurrencyLimiter
from swiftask_jupyter.batch.options import BatchSettings
from swiftask_jupyter.batch.plan import Plan, Prompts, RowPrompt
from swiftask_jupyter.batch.progress import ProgressBar, print_line, summarize_plan
from swiftask_jupyter.batch.results import ResultCollector, add_result_columns, check_columns
from swiftask_jupyter.batch.rows import RowTemplate
from swiftask_jupyter.batch.scheduler import Scheduler
from swiftask_jupyter.conversation.session import Runtime
from swiftask_jupyter.errors import ConfigurationError, Interrupted, PromptError, Refused
from swiftask_jupyter.ledger.history import EarlierRows
from swiftask_jupyter.prompts.templates import expression_warnings
from swiftask_jupyter.support.structs import replace

if TYPE_CHECKING:
    import pandas as pd

ASK_ABOVE = 1000  # rows
TICK = 0.25  # seconds between two updates of the progress bar
HOW_NOT_TO_ASK = "confirm=False sends without asking"


class Batch:
    """One prompt for each row of a frame.

    Args:
        runtime: the ledger and the network.
        notebook: the notebook's path; `None` outside of a notebook.
        frame: the rows.
        template: the prompt, with a `{{column}}` for each value of a row.
        settings: how it is sent.

    Raises:
        Refused: nothing can be sent; the message says why.
        StoreError: the ledger can't be read.
    """

    def __init__(
        self,
        runtime: Runtime,
        notebook: str | None,
        frame: pd.DataFrame,
        template: str,
        settings: BatchSettings,
    ) -> None:
        self._runtime, self._frame, self._settings = runtime, frame, settings
        self._schema = None if settings.schema is None else parse_schema(settings.schema)
        rows = RowTemplate(frame, template, files=settings.files, names=settings.names)
        check_columns(frame, self._schema, settings.prefix)
        strict = (settings.cache or runtime.cache) == "strict"
        options = {**settings.options, "needs_token": not strict}
        prepare = runtime.connections.prepare
        prompts = Prompts(rows, self._schema, prepare, settings.agent, options)
        earlier = EarlierRows(runtime.ledger.store)
        self._collector = ResultCollector(self._schema)
        self._plan = Plan(prompts, len(rows), earlier, self._collector, settings.retry)
        self._limiter = ConcurrencyLimiter(settings.concurrency)
        self._numbers = count(1)
        self._notebook, self._session = notebook, f"batch-{new_id()}"
        self._cell, self._run = runtime.running_cell()
        counts = self._plan.counts()
        if counts["refused"] == len(rows) > 0:
            raise PromptError(next(self._plan.outcomes()).error or "", advice="no row can be sent")
        if strict and (missing := counts["sent"] + counts["equal"]):
            raise Refused(
                f"{missing:,} of {len(rows):,} rows would be sent, and strict asks nobody",
                advice='send them once with cache="on"',
            )
        line = summarize_plan(len(rows), counts, earlier.usual_credits(prompts.agent))
        self._line = "; ".join((line, *expression_warnings(template)))

    def run(self) -> pd.DataFrame:
        """Send what is not answered yet, and return the frame with the answers' columns.

        Raises:
            Interrupted: the user stopped it; finished rows are kept.
            SwiftaskError: every row would fail with this error.
        """
        for numbers in self._stages():
            bar, stopped = self._bar(numbers), True
            scheduler = self._scheduler(numbers)
            watch = self._runtime.connections.thread.stream(scheduler.settled(), TICK)
            try:
                for settled in watch:
                    self._show(bar, settled)
                stopped = False
            except KeyboardInterrupt:
                watch.close()  # rows that end meanwhile are kept too
                kept = self._kept(numbers)
                raise Interrupted(f"{kept}; run it again for the rest") from None
            finally:
                watch.close()
                bar.close(self._kept(numbers) if stopped else "")
        return self._result()

    async def run_async(self) -> pd.DataFrame:
        """Do what `run` does, and let the event loop run; the user is not asked to confirm."""
        for numbers in self._stages(asks=False):
            bar, stopped = self._bar(numbers), True
            scheduler = self._scheduler(numbers)
            try:
                watch = self._runtime.connections.thread.stream_async(scheduler.settled())
                async for settled in watch:
                    self._show(bar, settled)
                stopped = False
            finally:
                bar.close(self._kept(numbers) if stopped else "")
        return self._result()

    def _stages(self, *, asks: bool = True) -> Iterator[list[int]]:
        """Yield the prompts to send: all, or a pilot first; ask the user where that is wanted."""
        settings, pending = self._settings, self._plan.pending
        if settings.progress:
            print_line(self._line)
        if not pending:
            return
        pilot, rest = pending[: settings.pilot], pending[settings.pilot :]
        if pilot:
            yield pilot
            if not rest or not self._goes_on_after(pilot, len(rest), asks=asks):
                return
        elif settings.confirm or (settings.confirm is None and len(pending) > ASK_ABOVE):
            line = "" if settings.progress else f"{self._line}. "  # else it was just printed
            if not asks or (agreed := _user_agrees(line, "nothing was sent")) is None:
                raise ConfigurationError(
                    f"{len(pending):,} rows would be sent", advice=HOW_NOT_TO_ASK
                )
            if not agreed:
                return
        yield rest

    def _goes_on_after(self, pilot: list[int], rest: int, *, asks: bool) -> bool:
        """Return whether the rest is sent after the pilot."""
        ok = sum(self._collector.outcomes[number].status == "ok" for number in pilot)
        line = f"sent first: {ok:,} of {len(pilot):,} answered; {rest:,} more to send"
        if self._settings.confirm is False:
            return ok > 0
        stopped = "no more was sent; what came is kept"
        agreed = _user_agrees(f"{line}. ", stopped) if asks else None
        if agreed is None:
            print_line(f"{line}; {HOW_NOT_TO_ASK}")
        return bool(agreed)

    def _scheduler(self, numbers: list[int]) -> Scheduler:
        runtime, budgets = self._runtime, self._runtime.ledger.budgets
        return Scheduler(
            self._plan.row_prompts(numbers),
            new_reply=self._new_reply,
            settle=self._settle,
            transport=runtime.connections.transport,
            turns=runtime.ledger.turns,
            limiter=self._limiter,
            most_requests=self._settings.tries,
            check_budget=budgets.check if budgets.all() else None,
        )

    def _new_reply(self, row: RowPrompt) -> Reply:
        return Reply(
            id=new_id(), at=time.time(), notebook=self._notebook, session=self._session,
            number=next(self._numbers), cell=self._cell, run=self._run, surface="batch",
            agent=row.prompt.agent, prompt=row.prompt.text,
        )  # fmt: skip

    def _settle(self, row: RowPrompt, reply: Reply) -> RowPrompt | None:
        """Record a reply, on the I/O thread; return a prompt that corrects it, `None` if valid."""
        repair = self._collector.take(row.number, row.prompt, reply)
        return None if repair is None else replace(row, prompt=repair)

    def _bar(self, numbers: list[int]) -> ProgressBar:
        return ProgressBar(len(numbers), self._limiter, visible=self._settings.progress)

    def _show(self, bar: ProgressBar, numbers: list[int] | None) -> None:
        outcomes = [self._collector.outcomes[number] for number in numbers or ()]
        bar.update(outcomes, time.monotonic())

    def _kept(self, numbers: list[int]) -> str:
        outcomes = self._collector.outcomes
        kept = sum(number in outcomes and outcomes[number].kept for number in numbers)
        return f"stopped; {kept:,} of {len(numbers):,} rows are kept"

    def _result(self) -> pd.DataFrame:
        outcomes = list(self._plan.outcomes())
        return add_result_columns(self._frame, outcomes, self._schema, self._settings.prefix)


def _user_agrees(line: str, stopped: str) -> bool | None:
    """Ask the user whether to send; return `None` where nobody can answer.

    Raises:
        Interrupted: the user interrupted the question; `stopped` says what that means.
    """
    try:
        return input(f"{line}Send them? [y/N] ").strip().lower() in {"y", "yes"}
    except KeyboardInterrupt:
        raise Interrupted(stopped) from None
    except (EOFError, NotImplementedError, OSError):  # no terminal, or a front end without input
        return None
