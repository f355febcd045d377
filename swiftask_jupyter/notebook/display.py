"""Show a reply in a notebook cell while it grows.

A cell has two outputs. The upper one shows the settled text, which will not change; the lower one
shows the newest text, and the footer at the end. Redrawing a whole answer ten times a second would
cost the square of its length, on the wire and in the browser. So only the short lower output is
redrawn that often. The upper one is redrawn when enough text has arrived, within a budget of bytes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from swiftask_jupyter.answers.turn import TURN_MIME_TYPE, Delta, Event, Reply
from swiftask_jupyter.ledger.record import record_of
from swiftask_jupyter.notebook.mimebundle import footer, footer_bundle
from swiftask_jupyter.notebook.terminal import TerminalDisplay
from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

REDRAW_SECONDS = 0.1  # between two drawings
NO_WAIT = 1e-6  # seconds to wait for events: take those that have arrived
BYTES_PER_SECOND = 40_000  # on iopub, headers included
MESSAGE_OVERHEAD = 700  # bytes of headers around one message, as measured with JupyterLab
SMALL_HTML = 2_000  # bytes that may be redrawn every time
NEWEST = 1_500  # characters of the newest text that the lower output shows
SILENCE_SECONDS = 1.0  # without an event before the cell says that it waits


class Display(Protocol):
    """Shows one reply."""

    def show(self, events: Iterable[Event]) -> None:
        """Take the events that have arrived, and draw them if it is time."""

    def finish(self) -> None:
        """Draw the reply in its final form."""


def display_for(
    shell: InteractiveShell, reply: Reply, *, shown: bool, remarks: tuple[str, ...] = ()
) -> Display:
    """Return the display for the shell's kind of front end.

    Args:
        shell: the IPython shell; one with a kernel has front ends that draw HTML.
        reply: the reply, which grows while it is shown.
        shown: whether its text is shown, or only its footer.
        remarks: what the footer remarks on the prompt.
    """
    if shown:
        reply.shown_in = shell.execution_count
    if hasattr(shell, "kernel"):
        return CellDisplay(shell.display_pub.publish, reply, shown=shown, remarks=remarks)
    return TerminalDisplay(reply, shown=shown, remarks=remarks)


class ByteBudget:
    """How many bytes may be sent now: a rate, saved up for at most one second or one message."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counted_at = clock()
        self._saved = 0.0

    def affords(self, size: int) -> bool:
        """Tell whether a message of `size` bytes, and its headers, can be sent now."""
        now, cost = self._clock(), size + MESSAGE_OVERHEAD
        self._saved += BYTES_PER_SECOND * (now - self._counted_at)
        self._saved = min(self._saved, max(BYTES_PER_SECOND, cost))
        self._counted_at = now
        return self._saved >= cost

    def spend(self, size: int) -> None:
        """Count a message of `size` bytes that was sent."""
        self._saved -= MESSAGE_OVERHEAD + size


class CellDisplay:
    """Shows a reply in a notebook's cell.

    Args:
        publish: sends a MIME bundle to the front ends, as `display_pub.publish` does.
        reply: the reply, which grows while it is shown.
        shown: whether its text is shown, or only its footer.
        remarks: what the footer remarks on the prompt.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        publish: Callable[..., Any],
        reply: Reply,
        *,
        shown: bool,
        remarks: tuple[str, ...] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        from swiftask_jupyter.notebook.mimebundle import growing_text

        self._publish = publish
        self._reply = reply
        self._shown = shown
        self._remarks = remarks
        self._clock = clock
        self._document = growing_text(reply.format)
        self._sanitizer = StreamSanitizer()
        self._recent = ""  # the newest part of the sanitized text
        self._fed = 0  # characters of the reply that the document has
        self._budget = ByteBudget(clock)
        self._upper = _Output(self._send)
        self._lower = _Output(self._send)
        self._start = self._drawn_at = self._due = clock()
        self._covered = 0  # characters that the upper output shows
        self._bytes_per_character = 1.0  # of the HTML
        self._ends_at_block = True  # whether the upper output ends where a block ends
        self._pending = False  # whether there is text that is not drawn yet

    def show(self, events: Iterable[Event]) -> None:
        """Take the events that have arrived, and draw them if the last drawing is old enough."""
        if text := "".join(event.text for event in events if isinstance(event, Delta)):
            self._document.feed(text)
            self._fed += len(text)
            self._recent = (self._recent + self._sanitizer.feed(text))[-NEWEST:]
            self._pending = self._shown
        now = self._clock()
        is_first = self._pending and not self._upper.drawn
        if self._pending and (is_first or now >= self._due):
            self._drawn_at = now
            self._pending = is_first and self._draw_unparsed()
            if not self._pending:
                self._draw()
            # A long table takes a while to draw: leave most of the time to what arrives.
            self._due = self._clock() + max(REDRAW_SECONDS * 0.9, 4 * (self._clock() - now))
        elif not self._covered and not self._pending and now - self._drawn_at >= SILENCE_SECONDS:
            self._drawn_at = now
            self._draw_waiting(now - self._start)

    def _draw_waiting(self, seconds: float) -> None:
        line = f"{self._reply.agent} · {seconds:.0f} s"
        if self._reply.progress:
            line += f" · {self._reply.progress}"
        self._upper.draw(footer_bundle(line))

    def _draw_unparsed(self) -> bool:
        """Draw the first text before it is parsed as Markdown: loading the parser takes a while.

        Returns:
            Whether that was done; if so, the next drawing is formatted.
        """
        if len(self._recent) >= NEWEST:
            return False
        self._covered = len(self._recent)
        from swiftask_jupyter.notebook.markdown.html import wrap_text

        self._upper.draw({"text/html": wrap_text(self._recent)})
        return True

    def _draw(self) -> None:
        document = self._document
        if not self._lower.drawn:
            html = document.html()
            # A long text is drawn here too, at first: the upper output must exist before the lower.
            if len(html) <= SMALL_HTML or not self._upper.drawn:
                self._covered = document.settled + len(document.tail)
                self._upper.draw({"text/html": html})
                return
            self._covered = 0
        self._redraw_upper()
        self._lower.draw({"text/html": self._newest_html()})

    def _redraw_upper(self) -> None:
        """Redraw the upper output if enough text has arrived and the budget affords it."""
        document = self._document
        settled, tail = document.settled, document.tail
        at_block = len(tail) <= NEWEST
        reach = settled if at_block else settled + len(tail)
        gained = reach - self._covered
        # The longer the answer, the more it waits for: all redrawings cost some ten times its size.
        if gained <= 0 or gained < min(NEWEST * 0.6, self._covered // 10):
            return
        at_seam = at_block or tail[-1] in (" \n" if not document.in_code else "\n")
        if not at_seam and gained < NEWEST:
            return  # a long block is cut between two words, and code between two lines
        if not self._budget.affords(int(reach * self._bytes_per_character)):
            return  # by an estimate, before the work of rendering it
        html = document.settled_html() if at_block else document.html()
        size = len(html.encode())
        self._bytes_per_character = size / max(reach, 1)
        if self._budget.affords(size):
            self._covered, self._ends_at_block = reach, at_block
            self._upper.draw({"text/html": html})

    def _newest_html(self) -> str:
        """Return the text that the upper output does not show, or the end of it."""
        from swiftask_jupyter.notebook.markdown import html
        from swiftask_jupyter.notebook.markdown.document import to_html

        document = self._document
        pending = document.settled + len(document.tail) - self._covered
        if self._covered == document.settled and pending <= NEWEST:
            return document.tail_html(NEWEST)
        text = self._recent[-pending:] if pending else ""
        if pending > len(text):
            return html.wrap_text(f"⋯\n{text}")
        if document.in_code and not self._ends_at_block:
            return html.wrap(html.code_block(text), styled=False)
        return to_html(text.lstrip(" "))

    def finish(self) -> None:
        """Draw the whole answer with its plain text and the turn's record, and the footer."""
        reply = self._reply
        if not reply.number:
            return  # nothing was sent: the error that follows says all
        line = footer_bundle(footer(reply, self._remarks))
        from swiftask_jupyter.notebook import mimebundle
        from swiftask_jupyter.notebook.mimebundle import final_view

        text = reply.text if self._shown else ""
        extras = mimebundle.extras_of(reply) if self._shown else []
        if not text and not extras:
            self._upper.draw({**line, TURN_MIME_TYPE: record_of(reply)})
            return
        self._document.feed(text[self._fed :])  # an answer that is shown again was never fed
        self._document.finish()
        view = final_view(reply) if text else None
        html, plain = view or (self._document.html(), sanitize(text))
        self._upper.draw(
            {
                "text/html": html + mimebundle.extras_as_html(extras),
                "text/plain": plain + mimebundle.extras_as_text(extras),
                TURN_MIME_TYPE: record_of(reply),
            }
        )
        self._lower.draw(line)

    def _send(self, data: dict[str, Any], identity: str, *, update: bool) -> None:
        self._budget.spend(sum(len(text.encode()) for text in data.values() if type(text) is str))
        self._publish(data, transient={"display_id": identity}, update=update)


class _Output:
    """One output of a cell: created when it is first drawn, then updated in place."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._identity = f"swiftask-{secrets.token_hex(8)}"
        self.drawn = False

    def draw(self, data: dict[str, Any]) -> None:
        self._send(data, self._identity, update=self.drawn)
        self.drawn = True
