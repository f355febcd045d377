"""A reply that grows in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from swiftask_jupyter.answers.reply import Delta, Event, Reply
from swiftask_jupyter.notebook.attachments_view import as_text, rows
from swiftask_jupyter.notebook.mimebundle import footer
from swiftask_jupyter.support.sanitize import StreamSanitizer, sanitize


class TerminalDisplay:
    """Shows a reply in a terminal: text as it comes, with control characters made visible."""

    def __init__(self, reply: Reply, *, shown: bool, remarks: tuple[str, ...] = ()) -> None:
        self._reply = reply
        self._shown = shown
        self._remarks = remarks
        self._sanitizer = StreamSanitizer()
        self._written = False
        self._doing = ""

    def show(self, events: Iterable[Event]) -> None:
        """Write what has arrived."""
        text = "".join(event.text for event in events if isinstance(event, Delta))
        if text and self._shown and self._reply.form in {"md", "text"}:
            self._tell("")
            self._written = True
            sys.stdout.write(self._sanitizer.feed(text))
            sys.stdout.flush()
        elif not self._written:
            self._tell(self._reply.doing)

    def _tell(self, doing: str) -> None:
        """Show what is being done meanwhile in a line that goes away, where a line can."""
        if doing != self._doing and sys.stdout.isatty():
            self._doing = doing
            sys.stdout.write(f"\r{sanitize(doing)}\x1b[K")  # the rest of the line is erased
            sys.stdout.flush()

    def finish(self) -> None:
        """Write the footer."""
        self._tell("")
        rest = self._sanitizer.finish() if self._written else self._whole()
        beside = as_text(rows(self._reply)) if self._shown else ""
        if self._shown and (self._written or rest or beside):
            sys.stdout.write(rest + beside + "\n")
        print(footer(self._reply, self._remarks))

    def _whole(self) -> str:
        from swiftask_jupyter.notebook.formats import final

        found = final(self._reply)
        return sanitize(self._reply.text) if found is None else found[1]
