"""Show an answer in a terminal while its text arrives."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from swiftask_jupyter.answers.turn import Delta, Event, Reply
from swiftask_jupyter.notebook.mimebundle import extras_as_text, extras_of, footer
from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize


class TerminalDisplay:
    """The display of one answer in a terminal. The text is written to `sys.stdout`.

    Control characters in the answer are replaced by visible characters.

    Args:
        reply: the reply to show. Its text may still grow.
        shown: `True` shows the text and the footer; `False` shows only the footer.
    """

    def __init__(self, reply: Reply, *, shown: bool) -> None:
        self._reply = reply
        self._shown = shown
        self._sanitizer = StreamSanitizer()
        self._written = False
        self._progress = ""

    def show(self, events: Iterable[Event]) -> None:
        """Write the text of new events.

        Before the first text arrives, a progress message is shown. In the formats `json` and
        `code`, only `finish` writes the text.

        Args:
            events: the events since the previous call; may be empty.
        """
        text = "".join(event.text for event in events if isinstance(event, Delta))
        if text and self._shown and self._reply.format in {"md", "text"}:
            self._show_progress("")
            self._written = True
            sys.stdout.write(self._sanitizer.feed(text))
            sys.stdout.flush()
        elif not self._written:
            self._show_progress(self._reply.progress)

    def _show_progress(self, progress: str) -> None:
        """Replace the progress message on the current line.

        An empty message erases the line. Nothing is written if `sys.stdout` is not a terminal.
        """
        if progress != self._progress and sys.stdout.isatty():
            self._progress = progress
            sys.stdout.write(f"\r{sanitize(progress)}\x1b[K")  # erases the rest of the line
            sys.stdout.flush()

    def finish(self) -> None:
        """Write the rest of the text, the list of files and sources, and the footer."""
        self._show_progress("")
        rest = self._sanitizer.finish() if self._written else self._whole_text()
        extras = extras_as_text(extras_of(self._reply)) if self._shown else ""
        if self._shown and (self._written or rest or extras):
            sys.stdout.write(rest + extras + "\n")
        print(footer(self._reply))

    def _whole_text(self) -> str:
        from swiftask_jupyter.notebook.mimebundle import final_view

        view = final_view(self._reply)
        return sanitize(self._reply.text) if view is None else view[1]
