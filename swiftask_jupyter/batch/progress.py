"""What a user sees of a batch: a summary before the start, a progress bar, and a result line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from swiftask_jupyter.batch.limiter import ConcurrencyLimiter
from swiftask_jupyter.batch.results import Outcome
from swiftask_jupyter.support.wording import quantity


class ProgressBar:
    """The progress bar of a batch in a notebook or a terminal, and the result line at the end.

    Args:
        total: the number of prompts to send.
        limiter: the limiter of the batch; the bar shows the pauses.
        visible: whether the bar and the result line are shown.

    Attributes:
        done: the number of prompts that have ended.
        failed: the number of prompts that failed.
        refused: the number of prompts that could not be sent.
    """

    def __init__(self, total: int, limiter: ConcurrencyLimiter, *, visible: bool) -> None:
        from tqdm.auto import tqdm

        self.done = self.failed = self.refused = 0
        self._limiter = limiter
        self._visible = visible
        self._credits: float | None = None
        self._errors: Counter[str] = Counter()
        self._bar: Any = tqdm(total=total, unit="row", disable=not visible)

    def update(self, outcomes: list[Outcome], now: float) -> None:
        """Count the prompts that have ended since the last call, and redraw the bar.

        Args:
            outcomes: the outcomes of the prompts that have ended.
            now: the current time, in seconds of `time.monotonic`.
        """
        for outcome in outcomes:
            self.done += 1
            self.refused += outcome.status == "refused"
            self.failed += outcome.status not in {"ok", "refused"}
            if outcome.error:
                self._errors[outcome.error] += 1
            if outcome.credits is not None:
                self._credits = (self._credits or 0.0) + outcome.credits
        pause = self._limiter.pause_remaining(now)
        self._bar.set_postfix_str(self._counts(pause), refresh=bool(pause))
        self._bar.update(len(outcomes))

    def _counts(self, pause: float = 0.0) -> str:
        parts = [f"{self.failed:,} failed"] if self.failed else []
        if self.refused:
            parts.append(f"{self.refused:,} refused")
        if self._credits is not None:
            parts.append(f"{self._credits:,.6g} credits")
        if pause:
            parts.append(f"waiting {pause:.0f} s, as the service asks")
        return ", ".join(parts)

    def close(self, stopped: str = "") -> None:
        """Close the bar and print the result line.

        Args:
            stopped: the first part of the result line if the batch stopped early; otherwise empty.
        """
        self._bar.set_postfix_str(self._counts(), refresh=False)
        if stopped:
            self._bar.set_description_str(stopped, refresh=False)
        self._bar.refresh()
        self._bar.close()
        if self._visible:
            answered = self.done - self.failed - self.refused
            line = ", ".join(filter(None, (stopped or f"{answered:,} answered", self._counts())))
            # If the batch stopped early, the error that the cell shows says why.
            print_line(line if stopped or answered else line + self._commonest_error())

    def _commonest_error(self) -> str:
        return "".join(f"; why: {error}" for error, _ in self._errors.most_common(1))


def print_line(text: str) -> None:
    """Print a line of text above the progress bar, without breaking the bar."""
    from tqdm.auto import tqdm

    tqdm.write(text)


def summarize_plan(
    rows: int, counts: Mapping[str, int], usual_credits: tuple[float, int] | None
) -> str:
    """Return one line that says how many rows a batch will send, and what these rows may cost.

    Args:
        rows: the number of rows in the frame.
        counts: a dict that maps each kind of row to the number of rows, from `Plan.counts`.
        usual_credits: the median credits of the agent's last calls, and the number of these calls;
            `None` if no call reported credits.
    """
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
    if sent and usual_credits is not None:
        median, calls = usual_credits
        sample = "the last call" if calls == 1 else f"the last {calls} calls"
        parts.append(f"about {sent * median:,.6g} credits (median of {sample} of this agent)")
    return ", ".join(parts)
