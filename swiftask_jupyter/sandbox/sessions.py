"""Store sessions. A session is a conversation that an imitated service keeps on the server."""

import itertools
from dataclasses import dataclass, field
from typing import Any

MAX_SESSIONS = 4000
MAX_MESSAGES = 200
"""The maximum number of messages kept per session."""


@dataclass
class StoredSession:
    """One conversation between a client and an agent, stored on the server."""

    usage: int = 0
    """The usage of all replies so far, in the unit of the native API's `totalBotUsage`."""
    alias: str | None = None
    """The id that the client chose for the session; None if the client chose no id."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """The newest messages, oldest first, each with the key `id`."""
    message_count: int = 0
    """The number of all messages added so far, including those that were dropped."""

    def add(self, message: dict[str, Any], message_id: int) -> None:
        """Append a message with the id `message_id`.

        Only the newest `MAX_MESSAGES` messages are kept.
        """
        self.messages.append({"id": message_id, **message})
        self.message_count += 1
        del self.messages[:-MAX_MESSAGES]

    @property
    def history(self) -> list[dict[str, Any]]:
        """The stored messages without ids. Agents receive messages in this form."""
        return [{k: v for k, v in each.items() if k != "id"} for each in self.messages]


class SessionStore:
    """A store of sessions. Each session has an id. Not thread-safe.

    The store keeps only the `MAX_SESSIONS` sessions that were created last.
    """

    def __init__(self) -> None:
        self._ids = itertools.count(1001)
        self._sessions: dict[str, StoredSession] = {}

    def new_id(self) -> int:
        """Return the next free number, for use as the id of a session or message."""
        return next(self._ids)

    def get_or_create(self, session_id: float | str) -> StoredSession:
        """Return the session with the id `session_id`. If no session has the id, create a session.

        Some APIs let the client choose the id, so every id is accepted.
        """
        if (key := str(session_id)) not in self._sessions:
            while len(self._sessions) >= MAX_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[key] = StoredSession()
        return self._sessions[key]

    def add_turn(self, session: StoredSession, question: dict[str, Any], reply: str) -> None:
        """Append the user's message `question` and the agent's reply to a session."""
        session.add(question, self.new_id())
        session.add({"role": "assistant", "content": reply}, self.new_id())

    def find(self, session_id: str) -> StoredSession | None:
        """Return the session with the id `session_id`, or None if no session has the id."""
        return self._sessions.get(session_id)

    def delete(self, session_id: str) -> bool:
        """Delete a session and return True. If no session has the id, return False."""
        return self._sessions.pop(session_id, None) is not None
