"""Send one prompt to several agents, and show their answers side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, overload

from swiftask_jupyter.answers.answer import Answer
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.errors import ConfigurationError, Interrupted, ServiceError, SwiftaskError
from swiftask_jupyter.ledger.notebook_record import record_of
from swiftask_jupyter.notebook.context import hold_interrupts
from swiftask_jupyter.notebook.display import NO_WAIT
from swiftask_jupyter.notebook.markdown.html import NO_MATH
from swiftask_jupyter.notebook.mimebundle import FOOTER_STYLE, footer
from swiftask_jupyter.support.sanitize import sanitize

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.answers.turn import Reply
    from swiftask_jupyter.conversation.running_turn import Stream
    from swiftask_jupyter.notebook.arguments import MagicLine

REDRAW_SECONDS = 0.25  # between two updates; each shows the newest text of every agent
NEWEST = 600  # how many of the last characters of each answer are shown until all have ended

_ROW = '<div class="swiftask-compare" style="display:flex;flex-wrap:wrap;gap:1.5em">{}</div>'
_HEAD = "font-weight:600;border-bottom:1px solid currentColor"
_COLUMN = (
    '<div style="flex:1 1 16em;min-width:0;overflow-x:auto">'
    f'<div class="{NO_MATH}" style="{_HEAD}">{{}}</div>{{}}'
    f'<div class="{NO_MATH}" style="{FOOTER_STYLE}">{{}}</div></div>'
)


class Comparison(Sequence[Answer]):
    """The answers of several agents to one prompt, in the order of the agents on the cell's line.

    `comparison["agent"]` is the answer of one agent. `frame()` returns all answers as a DataFrame.

    At first, no answer is part of the conversation. `%swiftask pick AGENT` or `%swiftask pick N`
    adds one answer to the conversation. N is the number in the footer of the answer.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = tuple(answers)

    @overload
    def __getitem__(self, key: str | int) -> Answer: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Answer, ...]: ...
    def __getitem__(self, key: str | int | slice) -> Answer | tuple[Answer, ...]:
        """Return the answer of an agent, or the answers at an index or slice.

        Args:
            key: the slug of an agent, an index or a slice.

        Raises:
            ConfigurationError: no agent with this slug was asked.
            IndexError: the index is out of range.
        """
        if not isinstance(key, str):
            return self.answers[key]
        for each in self.answers:
            if each.agent == key:
                return each
        raise ConfigurationError(
            f"{key!r} is not compared here", advice=f"there is: {self._agents()}"
        )

    def __len__(self) -> int:
        return len(self.answers)

    def __repr__(self) -> str:
        return f"<Comparison of {self._agents()}>"

    def _agents(self) -> str:
        return ", ".join(each.agent for each in self.answers)

    def _ipython_display_(self) -> None:
        """Show the answers side by side; IPython calls this method for the value of a cell.

        Nothing is shown if the running cell has already shown the answers.
        """
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        replies = [each.reply for each in self.answers]
        if any(reply.shown_in != shell.execution_count for reply in replies):
            _Columns(shell, replies, shown=True).finish()

    def frame(self) -> pd.DataFrame:
        """Return the answers as a DataFrame, one row for each answer.

        The columns are `agent`, `answer`, `status`, `seconds`, `input_tokens`, `output_tokens`,
        `credits`, `turn` and `error`. `seconds` is the time from the request to the end of the
        answer. `turn` is the id of the call in the ledger, the database of all calls. Tokens and
        credits that the service did not report are missing values.
        """
        import pandas as pd

        rows = [
            {
                "agent": each.agent,
                "answer": each.text,
                "status": each.status,
                "seconds": each.seconds,
                "input_tokens": each.usage.input_tokens,
                "output_tokens": each.usage.output_tokens,
                "credits": each.usage.credits,
                "turn": each.turn,
                "error": each.reply.error,
            }
            for each in self.answers
        ]
        kinds = {
            "seconds": "Float64", "input_tokens": "Int64", "output_tokens": "Int64",
            "credits": "Float64",
        }  # fmt: skip
        return pd.DataFrame(rows).astype({name: kinds.get(name, "string") for name in rows[0]})


def compare(
    shell: InteractiveShell, streams: Sequence[Stream], line: MagicLine
) -> Comparison | None:
    """Send one request to each agent, and show the answers side by side while they arrive.

    Args:
        shell: the IPython shell.
        streams: one stream for each agent; a stream sends the request and receives the answer.
        line: the parsed line of the cell.

    Returns:
        The answers. If the line assigns the answers to a variable, the result is `None`.

    Raises:
        Interrupted: the user interrupted the cell. Text that had arrived is shown and kept.
        SwiftaskError: at least one request failed. The error is raised after all answers have
            ended.
    """
    display = _Columns(shell, [stream.reply for stream in streams], shown=line.shown)
    with hold_interrupts(lambda: None) as held:  # nothing to wake, because `_watch` polls `held`
        failures = _watch(streams, display, held)
        display.finish()
        comparison = Comparison([stream.kept for stream in streams])
        if line.target is not None:
            shell.user_ns[line.target] = comparison
    if held:
        raise Interrupted("stopped; what had come is kept")
    if failures:
        _raise(failures, len(streams))
    return comparison if line.target is None else None


def _watch(
    streams: Sequence[Stream], display: _Columns, held: list[int]
) -> list[tuple[str, SwiftaskError]]:
    """Receive and show the answers until all answers have ended.

    An interrupt adds a signal number to `held`. After an interrupt, all running requests are
    cancelled.

    Returns:
        A pair for each failed request: the slug of the agent and the error.
    """
    failures: list[tuple[str, SwiftaskError]] = []
    running = {stream: stream.batches(NO_WAIT) for stream in streams}
    while running and not held:
        for stream, batches in list(running.items()):
            try:
                while next(batches) is not None:
                    pass
            except StopIteration:
                del running[stream]
            except SwiftaskError as error:
                failures.append((stream.reply.agent, error))
                del running[stream]
        display.draw()
        if running:
            time.sleep(REDRAW_SECONDS)
    for stream in streams:
        stream.close()
    return failures


def _raise(failures: list[tuple[str, SwiftaskError]], asked: int) -> None:
    """Raise one error for all failed requests.

    If all requests failed, the first error in `failures` is raised. Otherwise, a new `ServiceError`
    lists the failures.

    Args:
        failures: a pair for each failed request: the slug of the agent and the error.
        asked: the number of all requests.
    """
    [(_, first), *_] = failures
    if len(failures) == asked:
        raise first
    names = "; ".join(f"{agent}: {error}" for agent, error in failures)
    status = first.status if isinstance(first, ServiceError) else 0
    raise ServiceError(f"{asked - len(failures)} of {asked} answered; {names}", status=status)


class _Columns:
    """The output of a cell that shows several answers side by side, one column for each answer.

    While answers arrive, each column shows only the newest text. At the end, each column shows the
    whole answer.
    """

    def __init__(self, shell: InteractiveShell, replies: Sequence[Reply], *, shown: bool) -> None:
        self._publish = shell.display_pub.publish if hasattr(shell, "kernel") else None
        self._replies = replies
        if shown:
            for reply in replies:
                reply.shown_in = shell.execution_count
        self._identity = f"swiftask-compare-{id(self):x}-{time.time_ns():x}"
        self._shown = shown
        self._drawn = ""

    def draw(self) -> None:
        """Update each column with the newest text of its answer.

        Nothing is drawn in a terminal or for `NAME <<`.
        """
        if self._publish is None or not self._shown:
            return
        from swiftask_jupyter.notebook.markdown.html import wrap_text

        columns = (
            _COLUMN.format(
                escape(sanitize(reply.agent)), wrap_text(sanitize(reply.text[-NEWEST:])), "…"
            )
            for reply in self._replies
        )
        self._send({"text/html": _ROW.format("".join(columns))})

    def finish(self) -> None:
        """Show the complete answers and their footers.

        In a terminal, the answers are printed as plain text. In a notebook, the output also
        contains a JSON record of each call. `%swiftask usage --from` reads the records.
        """
        replies = [reply for reply in self._replies if reply.number]
        plain = "\n\n".join(self._plain_text(reply) for reply in replies)
        if self._publish is None and replies:
            print(plain)
        elif replies:
            html = _ROW.format("".join(self._html_columns()))
            bundle = {"text/html": html, "text/plain": plain}
            self._send({**bundle, TURN_MIME_TYPE: [record_of(reply) for reply in replies]})

    def _plain_text(self, reply: Reply) -> str:
        from swiftask_jupyter.notebook.mimebundle import extras_as_text, extras_of

        if not self._shown:
            return footer(reply)
        body = sanitize(reply.text) + extras_as_text(extras_of(reply))
        return f"{sanitize(reply.agent)}:\n{body}\n{footer(reply)}"

    def _html_columns(self) -> Iterator[str]:
        from swiftask_jupyter.notebook.markdown.document import to_html
        from swiftask_jupyter.notebook.mimebundle import extras_as_html, extras_of

        for reply in self._replies:
            body = to_html(reply.text) + extras_as_html(extras_of(reply)) if self._shown else ""
            line = footer(reply) + (f" · {reply.error}" if reply.error else "")
            yield _COLUMN.format(escape(sanitize(reply.agent)), body, escape(sanitize(line)))

    def _send(self, bundle: dict[str, Any]) -> None:
        """Publish a MIME bundle, but only if its HTML differs from the previous bundle's HTML."""
        if self._publish is None or bundle["text/html"] == self._drawn:
            return
        update = bool(self._drawn)
        self._drawn = bundle["text/html"]
        self._publish(bundle, transient={"display_id": self._identity}, update=update)
