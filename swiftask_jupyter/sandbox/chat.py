"""The platform of POST /v1/api/chat/{slug}, which keeps the conversation itself.

Its stream is its own: no blank line between two events, and nothing but chunks.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from .agents import AgentFailed, AgentRefused, Question
from .faults import Fault, failed
from .handler import Route, as_json
from .sessions import Conversation
from .state import SandboxState
from .turn import Quirk, Turn
from .whole_reply import WholeReplyHandler

Remember: TypeAlias = Callable[[str], None]
"""Called with what was said, before its end can be seen."""


def routes(room: SandboxState) -> list[Route]:
    """Where this dialect is spoken."""
    return [(r"/v1/api/chat/([^/]+)", ChatHandler, {"room": room})]


class ChatHandler(WholeReplyHandler):
    """A message to one agent, with the account's key."""

    shape = "data"
    unauthorized = "Invalid or missing API token"

    def initialize(self, room: SandboxState) -> None:
        """Takes the room; tornado calls this."""
        super().initialize(room)
        self._limit: int | None = None

    def flush(self, include_footers: bool = False) -> "asyncio.Future[None]":  # noqa: FBT001, FBT002 - tornado's signature
        """Puts the rate limit's headers on every answer, whatever it is."""
        if not self._headers_written:
            for name, value in self.room.allowance.headers(self._limit).items():
                if name not in self._headers:  # a fault may have said otherwise
                    self.set_header(name, value)
        return super().flush(include_footers)

    async def post(self, slug: str) -> None:
        """Answers it."""
        await self.attend(self._ask(slug))

    async def _ask(self, slug: str) -> None:
        if not self.authorised():
            return
        fault = self.fault(slug)
        self._limit = fault.rate_limit if fault else None
        # A request without a good key is nobody's, so it is not counted (inferred).
        if not self.room.allowance.take(self._limit):
            # Neither the words nor a Retry-After are documented.
            self.refuse(429, "Rate limit exceeded")
            return
        if await self.misbehave(fault) or (body := self.read_json()) is None:
            return
        if problem := complaint(body):
            self.refuse(400, problem)
        elif (agent := self.room.agents.get(slug)) is None:
            self.refuse(404, f"Agent with slug '{slug}' not found")
        elif not self.ready(agent):
            return
        elif (conversation := self._conversation(slug, body.get("conversationId"))) is not None:
            asked = {"role": "user", "content": body["message"]}
            question = Question((*conversation.said, asked))
            usage = self.room.usage_seen
            turn = Turn(self.room, agent, question, fault, keep=self.keep, usage=usage)
            # Inferred: an answer that failed or broke off is not remembered.
            remember = partial(self.room.chats.remember, conversation, asked)
            await self._answer(turn, slug, remember, stream=body.get("stream", False))

    def _conversation(self, slug: str, given: str | None) -> Conversation | None:
        """The conversation asked for, or a new one; answers 404 and gives None for neither."""
        chats = self.room.chats
        self._id = given if given is not None else f"conv_{self.room.letters(12)}"
        # Inferred: a conversation is with one agent, and belongs to no other.
        key = f"chat/{slug}/{self._id}"
        if given is None:
            return chats.of(key)
        if (known := chats.find(key)) is None:
            # Undocumented: what an unknown conversation gets. 404, as an unknown agent.
            self.refuse(404, f"Conversation with id '{given}' not found")
        return known

    async def _answer(self, turn: Turn, slug: str, remember: Remember, *, stream: bool) -> None:
        if stream:
            await self._stream(turn, remember)
            return
        said = await self.tell(turn, lambda said: as_json(self._envelope(said, turn, slug)))
        if said is not None:
            remember(said)

    def _envelope(self, said: str, turn: Turn, slug: str) -> dict[str, Any]:
        usage = turn.usage()
        # One number, as documented. The model behind an agent is not known here: its slug is.
        tokens = usage and {"tokens": usage["prompt_tokens"] + usage["completion_tokens"]}
        metadata = {"model": slug, **(tokens or {})}
        data = {"response": said, "conversationId": self._id, "metadata": metadata}
        return {"data": data, "error": None}

    async def _stream(self, turn: Turn, remember: Remember) -> None:
        fault = turn.fault
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        if fault.stream_id == "header":
            self.set_header("X-Conversation-Id", self._id)
        said: list[str] = []
        self._spoken = False
        try:
            async with contextlib.aclosing(turn.pieces()) as pieces:
                async for piece in pieces:
                    if piece is Quirk.ERROR:
                        # Undocumented: an error in a stream; this is the envelope of all others.
                        await self._event(as_json(failed(500, fault.message)), fault)
                        return
                    await self._piece(piece, fault, said)
        except (AgentRefused, AgentFailed) as error:
            await self._broken_off(error, fault)
            return
        # Before the end is sent: whoever sees it may go on, or away, at once.
        remember("".join(said))
        if fault.stream_id == "chunk":
            await self._event(b'{"chunk": "", "conversationId": %s}' % as_json(self._id), fault)
        if not fault.no_done:
            await self._event(b"[DONE]", fault)

    async def _piece(self, piece: str | Quirk, fault: Fault, said: list[str]) -> None:
        if isinstance(piece, str):
            said.append(piece)
            await self._event(b'{"chunk": %s}' % as_json(piece), fault)
        else:
            await self._event(b'{"chunk": "torn', fault)

    async def _broken_off(self, error: Exception, fault: Fault) -> None:
        status = 400 if isinstance(error, AgentRefused) else 500
        if self._spoken:
            await self._event(as_json(failed(status, str(error))), fault)
        else:
            self.refuse(status, str(error))

    async def _event(self, line: bytes, fault: Fault) -> None:
        self._spoken = True
        await self.send(b"data: %s\n%s" % (line, b"\n" if fault.blank_lines else b""))


def complaint(body: dict[str, Any]) -> str | None:
    """What is wrong with a request; only the first sentence is documented.

    Whether the platform refuses keys it does not know is not, so they pass.
    """
    message = body.get("message")
    if message is None or message == "":
        return "Message field is required"
    if not isinstance(message, str):
        return "Message field must be a string"
    if not isinstance(body.get("stream", False), bool):
        return "Stream field must be a boolean"
    if not isinstance(body.get("conversationId"), (str, type(None))):
        return "ConversationId field must be a string"
    return None
