"""Send the same prompt to several agents, and show their answers side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, overload

from swiftask_jupyter.answers.answer import Answer
from swiftask_jupyter.answers.turn import TURN_MIME_TYPE
from swiftask_jupyter.errors import ConfigurationError, Interrupted, ServiceError, SwiftaskError
from swiftask_jupyter.ledger.record import record_of
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
    """The answers of several agents to the same prompt, in the order of the cell's line.

    `comparison["agent"]` is the answer of one agent, and `frame()` returns all answers as a
    DataFrame. No answer is part of the conversation until the user picks it, with `%swiftask pick
    AGENT` or with `%swiftask pick N`, where N is the number in the footer of the answer.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = tuple(answers)

    @overload
    def __getitem__(self, key: str | int) -> Answer: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Answer, ...]: ...
    def __getitem__(self, key: str | int | slice) -> Answer | tuple[Answer, ...]:
        """Return the answer of the agent with this slug, or the answers at an index or slice.

        Raises:
            ConfigurationError: no agent with this slug was asked.
            IndexError: there is no answer at this index.
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
        """Show the answers side by side; called by IPython for the value of a cell.

        Do nothing if the answers were already shown during this execution, as they arrived.
        """
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        replies = [each.reply for each in self.answers]
        if any(reply.shown_in != shell.execution_count for reply in replies):
            _Columns(shell, replies, shown=True).finish()

    def frame(self) -> pd.DataFrame:
        """Return the answers as a DataFrame, one row for each answer.

        Columns: `agent`, `answer`, `status`, `seconds` (from the request to the end of the answer),
        `input_tokens`, `output_tokens`, `credits`, `turn` (the id of the call in the ledger, the
        database of all calls) and `error`. Tokens and credits are missing values where the service
        did not report them.
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
    """Send the requests to all agents, and show the answers side by side as they arrive.

    Args:
        shell: the IPython shell.
        streams: the answers to receive, one for each agent.
        line: the parsed line of the cell.

    Returns:
        The answers, or `None` if the line names a variable, to which they are assigned instead.

    Raises:
        Interrupted: the user interrupted the cell; the text that had arrived is shown and kept.
        SwiftaskError: at least one agent failed; raised only after all answers have ended.
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
    """Receive and show the answers until all have ended or `held` has an interrupt.

    An interrupt cancels the requests that are still running.

    Returns:
        The agent's slug and the error of each failed request. If the line names an agent twice, its
        slug can occur twice.
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
    """Raise the error of the first failure if all `asked` requests failed.

    Otherwise, raise a new `ServiceError` that lists the failures. Each failure is an agent's slug
    and an error; there must be at least one.
    """
    [(_, first), *_] = failures
    if len(failures) == asked:
        raise first
    names = "; ".join(f"{agent}: {error}" for agent, error in failures)
    status = first.status if isinstance(first, ServiceError) else 0
    raise ServiceError(f"{asked - len(failures)} of {asked} answered; {names}", status=status)


class _Columns:
    """The output of a cell that shows replies side by side, one column for each agent.

    While the replies arrive, only the newest text of each is shown; at the end, the whole text.
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
        """Update the output with the newest text of each reply.

        Do nothing in a terminal, or if the text is not to be shown.
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
        """Show the complete replies with their footers; in a terminal, print them as plain text.

        The output in a notebook also holds a JSON record of each call, without prompt and answer,
        from which usage can be counted later.
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
        """Publish a MIME bundle, unless its HTML is the same as in the previous bundle."""
        if self._publish is None or bundle["text/html"] == self._drawn:
            return
        update = bool(self._drawn)
        self._drawn = bundle["text/html"]
        self._publish(bundle, transient={"display_id": self._identity}, update=update)
