"""Show an answer in the output of a notebook cell while its text arrives.

A cell shows a long answer in two outputs. The lower output shows only the newest text and is
updated up to ten times a second. The upper output shows the earlier text and is updated less often,
because the number of bytes per second is limited.

One output for the whole answer would be too slow: the traffic and the browser's work would grow
with the square of the answer's length.

At the end, the upper output shows the whole answer. The lower output then shows the footer, a line
with agent, time and tokens.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from swiftask_jupyter.answers.turn import TURN_MIME_TYPE, Delta, Event, Reply
from swiftask_jupyter.ledger.notebook_record import record_of
from swiftask_jupyter.notebook.mimebundle import footer, footer_bundle
from swiftask_jupyter.notebook.terminal import TerminalDisplay
from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

REDRAW_SECONDS = 0.1  # between two updates
NO_WAIT = 1e-6  # seconds to wait for events; so small that only events already there are returned
BYTES_PER_SECOND = 40_000  # on iopub, headers included
MESSAGE_OVERHEAD = 700  # bytes of headers around one message, as measured with JupyterLab
SMALL_HTML = 2_000  # bytes that may be redrawn every time
NEWEST = 1_500  # characters of the newest text that the lower output shows
SILENCE_SECONDS = 1.0  # without text before the cell shows that it is waiting


class ReplyDisplay(Protocol):
    """An object that shows one answer to the user while its text arrives."""

    def show(self, events: Iterable[Event]) -> None:
        """Show new events of the answer.

        A display may wait before it updates what the user sees.

        Args:
            events: the events since the previous call; may be empty.
        """

    def finish(self) -> None:
        """Show the complete answer and its footer."""


def display_for(shell: InteractiveShell, reply: Reply, *, shown: bool) -> ReplyDisplay:
    """Return a display that shows a reply in a notebook or in a terminal.

    Args:
        shell: the IPython shell. A shell with a kernel shows output in a notebook.
        reply: the reply to show. Its text may still grow.
        shown: `True` shows the text and the footer; `False` shows only the footer.
    """
    if shown:
        reply.shown_in = shell.execution_count
    if hasattr(shell, "kernel"):
        return CellDisplay(shell.display_pub.publish, reply, shown=shown)
    return TerminalDisplay(reply, shown=shown)


class ByteRateLimiter:
    """A token bucket that limits the bytes sent to the front ends to `BYTES_PER_SECOND`.

    Unused bytes are saved for up to one second. For a message of more than `BYTES_PER_SECOND`
    bytes, unused bytes are saved until the message can be sent.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counted_at = clock()
        self._saved = 0.0

    def affords(self, size: int) -> bool:
        """Return whether a message with a body of `size` bytes may be sent now."""
        now, cost = self._clock(), size + MESSAGE_OVERHEAD
        self._saved += BYTES_PER_SECOND * (now - self._counted_at)
        self._saved = min(self._saved, max(BYTES_PER_SECOND, cost))
        self._counted_at = now
        return self._saved >= cost

    def spend(self, size: int) -> None:
        """Record that a message is sent: reduce the number of saved bytes.

        Args:
            size: the number of bytes in the body of the message.
        """
        self._saved -= MESSAGE_OVERHEAD + size


class CellDisplay:
    """The display of one answer in the output of a notebook cell.

    Args:
        publish: sends a MIME bundle to the front ends, as `display_pub.publish` does.
        reply: the reply to show. Its text may still grow.
        shown: `True` shows the text and the footer; `False` shows only the footer.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        publish: Callable[..., Any],
        reply: Reply,
        *,
        shown: bool,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        from swiftask_jupyter.notebook.mimebundle import growing_text

        self._publish = publish
        self._reply = reply
        self._shown = shown
        self._clock = clock
        self._document = growing_text(reply.format)
        self._sanitizer = StreamSanitizer()
        self._recent = ""  # the newest part of the sanitized text
        self._fed = 0  # characters of the reply that were added to the document
        self._budget = ByteRateLimiter(clock)
        self._upper = _Output(self._send)
        self._lower = _Output(self._send)
        self._start = self._drawn_at = self._due = clock()
        self._covered = 0  # characters that the upper output shows
        self._bytes_per_character = 1.0  # bytes of HTML for one character of text
        self._ends_at_block = True  # whether the upper output ends where a block ends
        self._pending = False  # whether there is text that is not drawn yet

    def show(self, events: Iterable[Event]) -> None:
        """Add new events of the answer, and redraw the outputs if a redraw is due.

        Before the first text arrives, the cell shows the waiting time in seconds.

        Args:
            events: the events since the previous call; may be empty.
        """
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
            # Drawing a long table is slow; leave most of the time for receiving events.
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
        """Show the first text without formatting, because loading the Markdown parser is slow.

        Returns:
            Whether the text was shown. A text that is too long is not shown.
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
            # A long text is also shown here first, because the upper output must be created first.
            if len(html) <= SMALL_HTML or not self._upper.drawn:
                self._covered = document.settled + len(document.tail)
                self._upper.draw({"text/html": html})
                return
            self._covered = 0
        self._redraw_upper()
        self._lower.draw({"text/html": self._newest_html()})

    def _redraw_upper(self) -> None:
        """Update the upper output if enough text is new and the byte limit allows the update."""
        document = self._document
        settled, tail = document.settled, document.tail
        at_block = len(tail) <= NEWEST
        reach = settled if at_block else settled + len(tail)
        gained = reach - self._covered
        # The required gain grows with the answer, so all updates cost about ten times its size.
        if gained <= 0 or gained < min(NEWEST * 0.6, self._covered // 10):
            return
        at_seam = at_block or tail[-1] in (" \n" if not document.in_code else "\n")
        if not at_seam and gained < NEWEST:
            return  # wait for the end of a word, or of a line in code, to cut a long block there
        if not self._budget.affords(int(reach * self._bytes_per_character)):
            return  # an estimate of the size, which is cheaper than rendering the text
        html = document.settled_html() if at_block else document.html()
        size = len(html.encode())
        self._bytes_per_character = size / max(reach, 1)
        if self._budget.affords(size):
            self._covered, self._ends_at_block = reach, at_block
            self._upper.draw({"text/html": html})

    def _newest_html(self) -> str:
        """Return the text that the upper output does not show yet, as HTML.

        If the text is long, only its end is returned.
        """
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
        """Show the complete answer with its files and sources, and the footer.

        The output also contains the answer as plain text, and a JSON record of the call. `%swiftask
        usage --from` reads the record. Nothing is shown if the request was not sent.
        """
        reply = self._reply
        if not reply.number:
            return  # nothing was sent: the error that follows says all
        line = footer_bundle(footer(reply))
        from swiftask_jupyter.notebook import mimebundle
        from swiftask_jupyter.notebook.mimebundle import final_view

        text = reply.text if self._shown else ""
        extras = mimebundle.extras_of(reply) if self._shown else []
        if not text and not extras:
            self._upper.draw({**line, TURN_MIME_TYPE: record_of(reply)})
            return
        self._document.feed(text[self._fed :])  # all of it if `show` was not called
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
    """One output of a cell.

    The first call of `draw` creates the output. Later calls replace the content of the output.
    """

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._identity = f"swiftask-{secrets.token_hex(8)}"
        self.drawn = False

    def draw(self, data: dict[str, Any]) -> None:
        self._send(data, self._identity, update=self.drawn)
        self.drawn = True
