"""A reply that grows in a cell.

Two displays: what is settled, and below it the newest text, which becomes the footer at the end.
Redrawing the whole answer ten times a second costs its length squared, on the wire and in the
browser; so only the short second display is redrawn that often, and the first one when enough
has come to be worth its length, within a budget of bytes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from swiftask_jupyter.answers.reply import TURN, Delta, Event, Reply
from swiftask_jupyter.notebook.mimebundle import footer, footer_bundle, record
from swiftask_jupyter.notebook.terminal import TerminalDisplay
from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

REDRAW_SECONDS = 0.1  # between two drawings
NO_WAIT = 1e-6  # seconds to wait for events: take those that have arrived
BYTES_PER_SECOND = 40_000  # on iopub, headers included
ENVELOPE = 700  # bytes of headers around one message, as measured with JupyterLab
SMALL = 2_000  # bytes of HTML that may be redrawn at every painting
NEWEST = 1_500  # characters of the newest text shown below what is settled
PATIENCE = 1.0  # seconds without a word before the cell says that it waits


class Display(Protocol):
    """Shows one reply."""

    def show(self, events: Iterable[Event]) -> None:
        """Take what has arrived, and draw it if it is time."""

    def finish(self) -> None:
        """Draw the reply as it stays."""


def display_for(
    shell: InteractiveShell, reply: Reply, *, shown: bool, remarks: tuple[str, ...] = ()
) -> Display:
    """Return the display for this kind of front end.

    Args:
        shell: the IPython shell; one with a kernel has front ends that draw HTML.
        reply: the answer as it grows.
        shown: whether its text is shown, or its footer only.
        remarks: what the footer says of fields of the prompt that stay as they are.
    """
    if shown:
        reply.shown_in = shell.execution_count
    if hasattr(shell, "kernel"):
        return CellDisplay(shell.display_pub.publish, reply, shown=shown, remarks=remarks)
    return TerminalDisplay(reply, shown=shown, remarks=remarks)


class Budget:
    """Bytes that may be sent: a rate, saved up for no more than the next message needs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._then = clock()
        self._saved = 0.0

    def affords(self, size: int) -> bool:
        """Tell whether a message of so many bytes, and its headers, can be sent now."""
        now = self._clock()
        self._saved += BYTES_PER_SECOND * (now - self._then)
        self._saved = min(self._saved, max(BYTES_PER_SECOND, size + ENVELOPE))
        self._then = now
        return self._saved >= size + ENVELOPE

    def spend(self, size: int) -> None:
        """Count a message."""
        self._saved -= ENVELOPE + size


class CellDisplay:
    """Shows a reply in a notebook's cell."""

    def __init__(
        self,
        publish: Callable[..., Any],
        reply: Reply,
        *,
        shown: bool,
        remarks: tuple[str, ...] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        from swiftask_jupyter.notebook.formats import growing

        self._publish = publish
        self._reply = reply
        self._shown = shown
        self._remarks = remarks
        self._clock = clock
        self._document = growing(reply.form)
        self._sanitizer = StreamSanitizer()
        self._recent = ""  # the newest of the cleaned text
        self._fed = 0  # characters of the reply that the document has
        self._budget = Budget(clock)
        self._answer = _Area(self._send)
        self._newest = _Area(self._send)
        self._start = self._painted = self._due = clock()
        self._covered = 0  # characters that the first display shows
        self._inflation = 1.0  # bytes of HTML for a character
        self._whole = True  # whether that ends where a block ends
        self._fresh = False  # whether there is text that is yet to be shown

    def show(self, events: Iterable[Event]) -> None:
        """Take what has arrived, and draw it if the last drawing is a tick ago."""
        if text := "".join(event.text for event in events if isinstance(event, Delta)):
            self._document.feed(text)
            self._fed += len(text)
            self._recent = (self._recent + self._sanitizer.feed(text))[-NEWEST:]
            self._fresh = self._shown
        now = self._clock()
        first = self._fresh and not self._answer.drawn
        if self._fresh and (first or now >= self._due):
            self._painted = now
            self._fresh = first and self._paint_unread()
            if not self._fresh:
                self._paint()
            # A long table takes a while to draw: most of the time is left to what arrives.
            self._due = self._clock() + max(REDRAW_SECONDS * 0.9, 4 * (self._clock() - now))
        elif not self._covered and not self._fresh and now - self._painted >= PATIENCE:
            self._painted = now
            waited = f"{self._reply.agent} · {now - self._start:.0f} s"
            if self._reply.doing:
                waited += f" · {self._reply.doing}"
            self._answer.draw(footer_bundle(waited))

    def _paint_unread(self) -> bool:
        """Show the first text before it is read as Markdown: loading the reader takes a while.

        Return whether that was done; the next painting is formatted.
        """
        if len(self._recent) >= NEWEST:
            return False
        self._covered = len(self._recent)
        from swiftask_jupyter.notebook.markdown.html import wrap_text

        self._answer.draw({"text/html": wrap_text(self._recent)})
        return True

    def _paint(self) -> None:
        document = self._document
        if not self._newest.drawn:
            html = document.html()
            # Of a long one too the first is drawn: the answer's place is above the newest text's.
            if len(html) <= SMALL or not self._answer.drawn:
                self._covered = document.settled + len(document.tail)
                self._answer.draw({"text/html": html})
                return
            self._covered = 0
        self._settle()
        self._newest.draw({"text/html": self._newest_html()})

    def _settle(self) -> None:
        """Redraw the first display if that is due and can be afforded."""
        document = self._document
        settled, tail = document.settled, document.tail
        whole = len(tail) <= NEWEST
        reach = settled if whole else settled + len(tail)
        gained = reach - self._covered
        # A longer answer waits for more: all redrawings together cost some ten times its length.
        if gained <= 0 or gained < min(NEWEST * 0.6, self._covered // 10):
            return
        seam = whole or tail[-1] in (" \n" if not document.in_code else "\n")
        if not seam and gained < NEWEST:
            return  # a long block is cut between words, or in code between lines
        if not self._budget.affords(int(reach * self._inflation)):
            return  # as it seems, before the work of writing it
        html = document.settled_html() if whole else document.html()
        size = len(html.encode())
        self._inflation = size / max(reach, 1)
        if self._budget.affords(size):
            self._covered, self._whole = reach, whole
            self._answer.draw({"text/html": html})

    def _newest_html(self) -> str:
        """Return the text below the first display."""
        from swiftask_jupyter.notebook.markdown import html
        from swiftask_jupyter.notebook.markdown.document import to_html

        document = self._document
        pending = document.settled + len(document.tail) - self._covered
        if self._covered == document.settled and pending <= NEWEST:
            return document.tail_html(NEWEST)
        text = self._recent[-pending:] if pending else ""
        if pending > len(text):
            return html.wrap_text(f"⋯\n{text}")
        if document.in_code and not self._whole:
            return html.wrap(html.code_block(text), styled=False)
        return to_html(text.lstrip(" "))

    def finish(self) -> None:
        """Draw the whole answer with its plain text and its record, and the footer below it."""
        reply = self._reply
        if not reply.number:
            return  # it never left: the error that follows says all
        line = footer_bundle(footer(reply, self._remarks))
        from swiftask_jupyter.notebook import attachments_view as extras
        from swiftask_jupyter.notebook import formats as forms

        text = reply.text if self._shown else ""
        beside = extras.rows(reply) if self._shown else []
        if not text and not beside:
            self._answer.draw({**line, TURN: record(reply)})
            return
        self._document.feed(text[self._fed :])  # an answer shown again was never fed at all
        self._document.finish()
        whole = forms.final(reply) if text else None
        html, plain = whole or (self._document.html(), sanitize(text))
        self._answer.draw(
            {
                "text/html": html + extras.as_html(beside),
                "text/plain": plain + extras.as_text(beside),
                TURN: record(reply),
            }
        )
        self._newest.draw(line)

    def _send(self, data: dict[str, Any], identity: str, *, update: bool) -> None:
        self._budget.spend(sum(len(text.encode()) for text in data.values() if type(text) is str))
        self._publish(data, transient={"display_id": identity}, update=update)


class _Area:
    """One display of a cell: made when first drawn, then updated in place."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._identity = f"swiftask-{secrets.token_hex(8)}"
        self.drawn = False

    def draw(self, data: dict[str, Any]) -> None:
        self._send(data, self._identity, update=self.drawn)
        self.drawn = True
