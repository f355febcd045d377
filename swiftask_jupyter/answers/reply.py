"""A reply: a turn while its answer grows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from swiftask_jupyter.answers.events import Conversation, Delta, Event, Finish, Raw, Usage
from swiftask_jupyter.answers.turn import Turn, listed_files
from swiftask_jupyter.support.structs import field

# Some image agents leave `files` empty and put the picture into the text.
_PICTURE = r"!\[([^\]\n]*)\]\((https?://[^\s)]+)\)"


class Reply(Turn, kw_only=True):
    """A turn while its answer grows; cell, panel, batch and ledger read the same object.

    Attributes:
        streams: whether the dialect sends text while it is made.
        progress: what happens before the answer can come, in words for the user.
        shown_in: the execution count of the cell that shows it, where one does.
        form: how it is shown: `md`, `text`, `json` or `code`.
        recorded: whether the ledger could be told how it ended.
        remarks: what else the footer says.
    """

    streams: bool = True
    progress: str = ""
    shown_in: int | None = None
    form: str = "md"
    recorded: bool = True
    remarks: list[str] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, turn: Turn) -> Reply:
        """Return the reply of a turn that has ended."""
        fields = {name: getattr(turn, name) for name in Turn.__struct_fields__}
        return cls(**fields, _parts=[turn.answer])

    def apply(self, events: Iterable[Event]) -> None:
        """Add the events that have just arrived."""
        append = self._parts.append
        for event in events:
            if type(event) is Delta:  # nearly all are, and matching takes four times as long
                append(event.text)
                continue
            match event:
                case Usage():
                    self.usage = event
                case Finish(reason):
                    self.finish_reason = reason
                case Conversation(identity):
                    self.conversation = identity
                case Raw(fields):
                    self.raw.update(fields)

    @property
    def files(self) -> tuple[dict[str, Any], ...]:
        """The files that the agent made: listed, or shown as pictures in its text."""
        found = {each["url"]: each for each in listed_files(self.raw)}
        if self.dialect in {"native", "widget"}:
            for name, url in re.findall(_PICTURE, self.text):
                found.setdefault(url, {"url": url, "name": name})
        return tuple(found.values())

    def text_parts(self, start: int) -> list[str]:
        """Return the pieces of text from this one on; safe while another thread applies events."""
        return self._parts[start:]

    @property
    def text(self) -> str:
        """All the text so far; safe while another thread applies events."""
        return "".join(self._parts)
