"""The native dialect: POST /api/ai/{slug}. The catalogue beside it is in `catalogue`."""

from .exchange import Route
from .faults import Fault
from .replying import Asked, Replying, schema
from .room import Room


def routes(room: Room) -> list[Route]:
    """Where this dialect is spoken."""
    return [(r"/api/ai/([^/]+)", Asking, {"room": room})]


class Asking(Replying):
    """A question to one agent, with the account's key or the agent's own token."""

    async def post(self, slug: str) -> None:
        """Answers it."""
        await self.attend(self._ask(slug))

    async def _ask(self, slug: str) -> None:
        if not self.authorised(slug) or (body := self.read_json()) is None:
            return
        fault = self.fault(slug)
        if await self.misbehave(fault):
            return
        fault = fault or Fault()
        session_type = fault.session_type or "number"
        if problem := schema(session_type)("", body):
            self.refuse(400, problem)
            return
        agent = self.room.agents.get(slug)
        if agent is None:
            # Unknown: the documents name no status for this; 404 is a guess.
            self.refuse(404, f'the agent "{slug}" does not exist')
            return
        if not self.ready(agent):
            return
        sessions = self.room.sessions
        if (session := body.get("sessionId")) is None:  # then a new conversation is created
            session = sessions.number() if session_type == "number" else str(sessions.number())
        # Whether the service remembers a session is not established, so this one does not.
        told = self.messages(body, body.get("messageHistory", []))
        conversation = sessions.of(session)
        await self.reply(Asked(slug, agent, told, session, conversation, fault))
