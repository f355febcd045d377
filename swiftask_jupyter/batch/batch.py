"""Runs a batch: sends a prompt for each row of a DataFrame, and collects the answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from swiftask_jupyter.answers.schemas import parse_schema
from swiftask_jupyter.answers.turn import Reply, new_id
from swiftask_jupyter.batch.limiter import ConcurrencyLimiter
from swiftask_jupyter.batch.options import BatchSettings
from swiftask_jupyter.batch.plan import Plan, PromptBuilder, RowPrompt
from swiftask_jupyter.batch.progress import ProgressBar, print_line, summarize_plan
from swiftask_jupyter.batch.results import ResultCollector, add_result_columns, check_columns
from swiftask_jupyter.batch.rows import RowTemplate
from swiftask_jupyter.batch.scheduler import Scheduler
from swiftask_jupyter.conversation.session import ClientRuntime
from swiftask_jupyter.errors import ConfigurationError, Interrupted, PromptError, Refused
from swiftask_jupyter.ledger.history import BatchRowLookup
from swiftask_jupyter.support.structs import replace

if TYPE_CHECKING:
    import pandas as pd

ASK_ABOVE = 1000  # rows
TICK = 0.25  # seconds between two updates of the progress bar
NO_TEXTS_KEPT = "no texts are kept: the answers are in the frame alone, a rerun sends all again"
HOW_NOT_TO_ASK = "confirm=False sends without asking"


class Batch:
    """One call of `Swiftask.map`: a prompt for each row of a DataFrame.

    The constructor sends nothing. The constructor looks up in the ledger which rows an earlier run
    has answered. The methods `run` and `run_async` send the prompts.

    Args:
        runtime: the ledger and the network connections of the client.
        notebook: the path of the notebook; `None` outside of a notebook.
        frame: the DataFrame.
        template: the prompt, with `{{column}}` where the row's value is inserted.
        settings: the options of the call.

    Raises:
        Refused: an option is invalid, or no row can be sent. With the cache mode `strict`, the
            error is also raised if the ledger has no answer for a row.
        StoreError: the ledger can't be read.
    """

    def __init__(
        self,
        runtime: ClientRuntime,
        notebook: str | None,
        frame: pd.DataFrame,
        template: str,
        settings: BatchSettings,
    ) -> None:
        self._runtime, self._frame, self._settings = runtime, frame, settings
        self._schema = None if settings.schema is None else parse_schema(settings.schema)
        rows = RowTemplate(frame, template, files=settings.files, names=settings.names)
        check_columns(frame, self._schema, settings.prefix)
        strict = runtime.cache_mode(settings.cache) == "strict"
        options = {**settings.options, "needs_token": not strict}
        prepare = runtime.connections.prepare
        prompts = PromptBuilder(rows, self._schema, prepare, settings.agent, options)
        earlier = BatchRowLookup(runtime.ledger.store)
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
        usual = earlier.usual_credits(prompts.agent, sandbox=prompts.sandbox)
        line = summarize_plan(len(rows), counts, usual)
        self._line = line if runtime.ledger.keeps_texts() else f"{line}; {NO_TEXTS_KEPT}"

    def run(self) -> pd.DataFrame:
        """Send all prompts that have no result in the ledger; return the frame with answer columns.

        Raises:
            Interrupted: the user pressed Ctrl-C. The ledger keeps all rows that have ended.
            SwiftaskError: the batch stopped early, for example because the token is invalid or a
                budget is used up. The error is also raised if nobody can be asked for a required
                confirmation.
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
                watch.close()  # rows that end until then are kept too
                kept = self._kept(numbers)
                raise Interrupted(f"{kept}; run it again for the rest") from None
            finally:
                watch.close()
                bar.close(self._kept(numbers) if stopped else "")
        return self._result()

    async def run_async(self) -> pd.DataFrame:
        """Send the prompts without blocking the event loop; return the frame with answer columns.

        Unlike `run`, the method never asks the user. If a confirmation is required before the first
        prompt, the method raises `ConfigurationError`. After a pilot, the method sends the other
        prompts only if the option `confirm` is false.
        """
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
        """Yield the numbers of the prompts to send, in one list or in two lists.

        Without a pilot, one list holds all numbers. With a pilot, the first list holds the pilot,
        and the second list holds the rest. If the options require a confirmation, the user is asked
        before the last list. If the user declines, the last list is not yielded.

        Args:
            asks: whether the user can be asked.

        Raises:
            ConfigurationError: a confirmation is required before the first prompt, and nobody can
                be asked.
        """
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
            line = "" if settings.progress else f"{self._line}. "  # otherwise already printed
            if not asks or (agreed := _user_agrees(line, "nothing was sent")) is None:
                raise ConfigurationError(
                    f"{len(pending):,} rows would be sent", advice=HOW_NOT_TO_ASK
                )
            if not agreed:
                return
        yield rest

    def _goes_on_after(self, pilot: list[int], rest: int, *, asks: bool) -> bool:
        """Return whether to send the remaining prompts after the pilot.

        If the option `confirm` is false, return whether any prompt of the pilot was answered.
        Otherwise return the user's decision, or false if nobody can be asked.

        Args:
            pilot: the numbers of the prompts in the pilot.
            rest: the number of remaining prompts.
            asks: whether the user can be asked.
        """
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
        reply = Reply(
            id=new_id(), at=time.time(), notebook=self._notebook, session=self._session,
            number=next(self._numbers), cell=self._cell, run=self._run, surface="batch",
            agent=row.prompt.agent, prompt=row.prompt.text,
        )  # fmt: skip
        row.route.address_turn(reply)
        return reply

    def _settle(self, row: RowPrompt, reply: Reply) -> RowPrompt | None:
        """Store the outcome of a prompt, or return a prompt that asks for a corrected answer.

        The method is called on the I/O thread when the reply is complete. If the outcome is stored,
        the method returns `None`.
        """
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
    """Ask whether to send the prompts; return the decision, or `None` if nobody can be asked.

    Args:
        line: the text before the question.
        stopped: the message of the error after Ctrl-C.

    Raises:
        Interrupted: the user pressed Ctrl-C at the question.
    """
    try:
        return input(f"{line}Send them? [y/N] ").strip().lower() in {"y", "yes"}
    except KeyboardInterrupt:
        raise Interrupted(stopped) from None
    except (EOFError, NotImplementedError, OSError):  # no terminal, or a front end without input
        return None
