"""Several agents asked the same, side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.answers.answer import Answer
from swiftask_jupyter.answers.reply import TURN
from swiftask_jupyter.errors import ConfigurationError, Interrupted, ServiceError, SwiftaskError
from swiftask_jupyter.notebook.display import NO_WAIT
from swiftask_jupyter.notebook.interrupts import hold_interrupts
from swiftask_jupyter.notebook.markdown.html import NO_MATH
from swiftask_jupyter.notebook.mimebundle import FOOTER_STYLE, footer, record
from swiftask_jupyter.support.sanitize import sanitize

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from swiftask_jupyter.answers.reply import Reply
    from swiftask_jupyter.conversation.stream import Stream
    from swiftask_jupyter.notebook.arguments import MagicLine

TICK = 0.25  # seconds between two paintings: each is the newest text of every agent
NEWEST = 600  # characters of each answer that are shown while it grows

_ROW = '<div class="swiftask-compare" style="display:flex;flex-wrap:wrap;gap:1.5em">{}</div>'
_HEAD = "font-weight:600;border-bottom:1px solid currentColor"
_COLUMN = (
    '<div style="flex:1 1 16em;min-width:0;overflow-x:auto">'
    f'<div class="{NO_MATH}" style="{_HEAD}">{{}}</div>{{}}'
    f'<div class="{NO_MATH}" style="{FOOTER_STYLE}">{{}}</div></div>'
)


class Comparison(Sequence[Answer]):
    """The answers of several agents, in the order in which they were named.

    `comparison["agent"]` is one of them, `frame()` is all of them; `%swiftask pick AGENT`, or
    `pick N` with a turn's number, puts one into the conversation.

    Raises:
        ConfigurationError: an agent is named that was not asked.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = tuple(answers)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            for each in self.answers:
                if each.agent == key:
                    return each
            raise ConfigurationError(
                f"{key!r} is not compared here", advice=f"there is: {self._agents()}"
            )
        return self.answers[key]

    def __len__(self) -> int:
        return len(self.answers)

    def __repr__(self) -> str:
        return f"<Comparison of {self._agents()}>"

    def _agents(self) -> str:
        return ", ".join(each.agent for each in self.answers)

    def _ipython_display_(self) -> None:
        """Show the answers side by side, unless this very cell has shown them already."""
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        replies = [each.reply for each in self.answers]
        if any(reply.shown_in != shell.execution_count for reply in replies):
            _Columns(shell, replies, shown=True).finish()

    def frame(self) -> pd.DataFrame:
        """Return one row an agent: `agent`, `answer`, `status`, what it took, and `error`.

        `seconds` is from the request to the end; tokens and credits are missing where the
        service did not report them.
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
    """Watch all the agents at once, show their answers as they grow, and return them.

    Raises:
        Interrupted: the user stopped them; what had come is shown.
        SwiftaskError: one of them failed, after all had ended.
    """
    display = _Columns(shell, [stream.reply for stream in streams], shown=line.shown)
    with hold_interrupts(lambda: None) as held:
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
    """Return which agents failed, and how; one that was named twice may have failed twice."""
    failures: list[tuple[str, SwiftaskError]] = []
    running = {stream: stream.batches(NO_WAIT) for stream in streams}
    while running and not held:
        for stream, watch in list(running.items()):
            try:
                while next(watch) is not None:
                    pass
            except StopIteration:
                del running[stream]
            except SwiftaskError as error:
                failures.append((stream.reply.agent, error))
                del running[stream]
        display.draw()
        if running:
            time.sleep(TICK)
    for stream in streams:
        stream.close()
    return failures


def _raise(failures: list[tuple[str, SwiftaskError]], asked: int) -> None:
    [(_, first), *_] = failures
    if len(failures) == asked:
        raise first
    names = "; ".join(f"{agent}: {error}" for agent, error in failures)
    status = first.status if isinstance(first, ServiceError) else 0
    raise ServiceError(f"{asked - len(failures)} of {asked} answered; {names}", status=status)


class _Columns:
    """The answers side by side: their newest text while they grow, then all of it."""

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
        """Show how far each has come."""
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
        """Show all, with the record of each turn."""
        replies = [reply for reply in self._replies if reply.number]
        plain = "\n\n".join(self._plain(reply) for reply in replies)
        if self._publish is None:
            print(plain)
        elif replies:
            html = _ROW.format("".join(self._columns()))
            bundle = {"text/html": html, "text/plain": plain}
            self._send({**bundle, TURN: [record(reply) for reply in replies]})

    def _plain(self, reply: Reply) -> str:
        from swiftask_jupyter.notebook import attachments_view as extras

        if not self._shown:
            return footer(reply)
        told = sanitize(reply.text) + extras.as_text(extras.rows(reply))
        return f"{sanitize(reply.agent)}:\n{told}\n{footer(reply)}"

    def _columns(self) -> Iterator[str]:
        from swiftask_jupyter.notebook import attachments_view as extras
        from swiftask_jupyter.notebook.markdown.document import to_html

        for reply in self._replies:
            body = ""
            if self._shown:
                body = to_html(reply.text) + extras.as_html(extras.rows(reply))
            line = footer(reply) + (f" · {reply.error}" if reply.error else "")
            yield _COLUMN.format(escape(sanitize(reply.agent)), body, escape(sanitize(line)))

    def _send(self, bundle: dict[str, Any]) -> None:
        if self._publish is None or bundle["text/html"] == self._drawn:
            return
        update = bool(self._drawn)
        self._drawn = bundle["text/html"]
        self._publish(bundle, transient={"display_id": self._identity}, update=update)
