"""The sessions that the services store: their ids, messages and usage."""

import itertools
from dataclasses import dataclass, field
from typing import Any

MAX_SESSIONS = 4000
MAX_MESSAGES = 200
"""Messages kept of one session."""


@dataclass
class StoredSession:
    """One conversation as the service remembers it."""

    usage: int = 0
    """What the session cost so far, in the units of the native API's `totalBotUsage`."""
    alias: str | None = None
    """The client's own name for the session."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """The newest messages, each with its `id`."""
    message_count: int = 0
    """The number of all messages, including those no longer kept."""

    def add(self, message: dict[str, Any], message_id: int) -> None:
        """Append a message, and drop the oldest beyond `MAX_MESSAGES`."""
        self.messages.append({"id": message_id, **message})
        self.message_count += 1
        del self.messages[:-MAX_MESSAGES]

    @property
    def history(self) -> list[dict[str, Any]]:
        """The messages in the form that agents take: without their ids."""
        return [{k: v for k, v in each.items() if k != "id"} for each in self.messages]


class SessionStore:
    """The sessions of one API by id; keeps the newest `MAX_SESSIONS`. Not thread-safe."""

    def __init__(self) -> None:
        self._ids = itertools.count(1001)
        self._sessions: dict[str, StoredSession] = {}

    def new_id(self) -> int:
        """Return an id not used before in this store, for a session or a message."""
        return next(self._ids)

    def get_or_create(self, session_id: float | str) -> StoredSession:
        """Return the session of this id, a new one if it is unknown; clients may make up ids."""
        if (key := str(session_id)) not in self._sessions:
            while len(self._sessions) >= MAX_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[key] = StoredSession()
        return self._sessions[key]

    def add_turn(self, session: StoredSession, question: dict[str, Any], reply: str) -> None:
        """Append a user's message and the agent's reply to a session."""
        session.add(question, self.new_id())
        session.add({"role": "assistant", "content": reply}, self.new_id())

    def find(self, session_id: str) -> StoredSession | None:
        """Return the session of this id, None if it is unknown."""
        return self._sessions.get(session_id)

    def delete(self, session_id: str) -> bool:
        """Delete a session; return False if the id is unknown."""
        return self._sessions.pop(session_id, None) is not None
