"""What the user sees of a batch: what will be done, how far it is, what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from swiftask_jupyter.batch.limiter import ConcurrencyLimiter
from swiftask_jupyter.batch.results import Outcome
from swiftask_jupyter.support.wording import quantity


class Bar:
    """A progress bar, in a notebook or a terminal; silent if it is not wanted.

    Attributes:
        done: how many prompts are settled.
        failed: how many of them failed.
        refused: how many of them were not sent.
    """

    def __init__(self, total: int, window: ConcurrencyLimiter, *, shown: bool) -> None:
        from tqdm.auto import tqdm

        self.done = self.failed = self.refused = 0
        self._window = window
        self._shown = shown
        self._credits: float | None = None
        self._errors: Counter[str] = Counter()
        self._bar: Any = tqdm(total=total, unit="row", disable=not shown)

    def show(self, settled: list[Outcome], now: float) -> None:
        """Add what has just been settled, and say what is waited for."""
        for outcome in settled:
            self.done += 1
            self.refused += outcome.status == "refused"
            self.failed += outcome.status not in {"ok", "refused"}
            if outcome.error:
                self._errors[outcome.error] += 1
            if outcome.credits is not None:
                self._credits = (self._credits or 0.0) + outcome.credits
        waiting = self._window.closed_for(now)
        self._bar.set_postfix_str(self._said(waiting), refresh=bool(waiting))
        self._bar.update(len(settled))

    def _said(self, waiting: float = 0.0) -> str:
        said = [f"{self.failed:,} failed"] if self.failed else []
        if self.refused:
            said.append(f"{self.refused:,} refused")
        if self._credits is not None:
            said.append(f"{self._credits:,.6g} credits")
        if waiting:
            said.append(f"waiting {waiting:.0f} s, as the service asks")
        return ", ".join(said)

    def close(self, stopped: str = "") -> None:
        """End the bar, and say in a line that is saved with the notebook what came of it."""
        self._bar.set_postfix_str(self._said(), refresh=False)
        if stopped:
            self._bar.set_description_str(stopped, refresh=False)
        self._bar.refresh()
        self._bar.close()
        if self._shown:
            answered = self.done - self.failed - self.refused
            line = ", ".join(filter(None, (stopped or f"{answered:,} answered", self._said())))
            tell(line if stopped or answered else line + self._why())

    def _why(self) -> str:
        """Return the commonest error, where there is one; where it stopped, the cell's says it."""
        return "".join(f"; why: {error}" for error, _ in self._errors.most_common(1))


def tell(text: str) -> None:
    """Print a line, without tearing a bar."""
    from tqdm.auto import tqdm

    tqdm.write(text)


def announced(rows: int, counts: Mapping[str, int], usual: tuple[float, int] | None) -> str:
    """Return what will be done, in one line; `usual` is the median cost and of how many calls."""
    sent = counts["sent"]
    parts = [quantity(rows, "row")]
    if counts["answered"]:
        parts.append(f"{counts['answered']:,} answered before")
    if counts["failed"]:
        parts.append(f'{counts["failed"]:,} failed before (retry="errors" sends them again)')
    if counts["equal"]:
        parts.append(f"{counts['equal']:,} equal to another")
    if counts["refused"]:
        parts.append(f"{counts['refused']:,} that can't be sent")
    parts.append(f"{sent:,} to send" if sent else "nothing to send")
    if sent and usual is not None:
        cost, calls = usual
        of = "the last call" if calls == 1 else f"the last {calls} calls"
        parts.append(f"about {sent * cost:,.6g} credits (median of {of} of this agent)")
    return ", ".join(parts)
