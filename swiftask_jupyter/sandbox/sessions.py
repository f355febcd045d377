"""The conversations as the service sees them: their numbers, what they cost, what was said."""

import itertools
from dataclasses import dataclass, field
from typing import Any

KEPT = 4000
LONGEST = 200
"""Messages of one conversation."""


@dataclass
class Conversation:
    """One conversation so far."""

    spent: int = 0
    alias: str | None = None
    """What its client calls it."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    """How many messages there were, with those no longer remembered."""

    def add(self, message: dict[str, Any], number: int) -> None:
        """Remembers what was said, the oldest no longer when it gets too much."""
        self.messages.append({"id": number, **message})
        self.total += 1
        del self.messages[:-LONGEST]

    @property
    def said(self) -> list[dict[str, Any]]:
        """The messages as an agent is told them."""
        return [{k: v for k, v in each.items() if k != "id"} for each in self.messages]


class Sessions:
    """The last few thousand conversations, by their id; used on the server's thread alone."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1001)
        self._known: dict[str, Conversation] = {}

    def number(self) -> int:
        """The id of a new conversation."""
        return next(self._numbers)

    def of(self, session: float | str) -> Conversation:
        """The conversation of this id, which may be one that the client made up."""
        if (key := str(session)) not in self._known:
            while len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            self._known[key] = Conversation()
        return self._known[key]

    def remember(self, conversation: Conversation, asked: dict[str, Any], said: str) -> None:
        """Adds a question and its answer to a conversation."""
        conversation.add(asked, self.number())
        conversation.add({"role": "assistant", "content": said}, self.number())

    def find(self, session: str) -> Conversation | None:
        """The conversation of this id, if there was one."""
        return self._known.get(session)

    def forget(self, session: str) -> bool:
        """Deletes a conversation; whether there was one."""
        return self._known.pop(session, None) is not None
