"""Serve the `chat` dialect: POST /v1/api/chat/{slug}. The server stores the conversations.

A dialect is one of the HTTP APIs that the sandbox imitates. The streams of this dialect differ from
standard server-sent events: no blank line separates two events. Each event contains a chunk of the
reply's text. Normally, no event contains an id or the token usage. The last event is `[DONE]`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from .agent_run import AgentRun, StreamFault
from .agents import AgentFailed, AgentInput, AgentRefused
from .faults import Fault, chat_error
from .handler import Route, encode_json
from .sessions import StoredSession
from .state import SandboxState
from .whole_reply import WholeReplyHandler

StoreReply: TypeAlias = Callable[[str], None]
"""A function that adds the user's message and the given complete reply to the conversation."""


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado route for POST /v1/api/chat/{slug}."""
    return [(r"/v1/api/chat/([^/]+)", ChatRouteHandler, {"state": state})]


class ChatRouteHandler(WholeReplyHandler):
    """Tornado request handler that sends a message to one agent: POST /v1/api/chat/{slug}."""

    error_shape = "data"
    unauthorized = "Invalid or missing API token"

    def initialize(self, state: SandboxState) -> None:
        """Set the initial attributes. Tornado calls this method for each new handler."""
        super().initialize(state)
        self._limit: int | None = None

    def flush(self, include_footers: bool = False) -> "asyncio.Future[None]":  # noqa: FBT001, FBT002 - tornado's signature
        """Send the buffered output, including the rate-limit headers.

        Tornado calls this method for every response. Error responses have the rate-limit headers
        too.
        """
        if not self._headers_written:
            for name, value in self.state.rate_limit.headers(self._limit).items():
                if name not in self._headers:  # a fault may have set it
                    self.set_header(name, value)
        return super().flush(include_footers)

    async def post(self, slug: str) -> None:
        """Send the agent's reply as JSON, or as an event stream if the body has `stream: true`."""
        await self.run_until_disconnect(self._answer(slug))

    async def _answer(self, slug: str) -> None:
        if not self.check_token():
            return
        fault = self.take_fault(slug)
        self._limit = fault.rate_limit if fault else None
        # Inferred: a request without a valid token does not count towards the rate limit,
        # because it belongs to no account.
        if not self.state.rate_limit.take(self._limit):
            # The message is not documented. A Retry-After header is not documented either, so
            # none is sent.
            self.respond_error(429, "Rate limit exceeded")
            return
        if await self.respond_fault(fault) or (body := self.read_json()) is None:
            return
        if problem := validation_error(body):
            self.respond_error(400, problem)
        elif (agent := self.state.agents.get(slug)) is None:
            self.respond_error(404, f"Agent with slug '{slug}' not found")
        elif not self.check_requirement(agent):
            return
        elif (session := self._find_session(slug, body.get("conversationId"))) is not None:
            question = {"role": "user", "content": body["message"]}
            prompt = AgentInput((*session.history, question))
            usage = self.state.usage_outside_v1
            run = AgentRun(
                self.state, agent, prompt, fault, store_file=self.store_file, usage=usage
            )
            # Inferred: if the reply fails or is cut off, neither message nor reply is stored.
            store = partial(self.state.chats.add_turn, session, question)
            await self._respond(run, slug, store, stream=body.get("stream", False))

    def _find_session(self, slug: str, given_id: str | None) -> StoredSession | None:
        """Return the stored conversation with the id `given_id`.

        If `given_id` is None, create a conversation. If no conversation has the id, send a 404
        response and return None.
        """
        chats = self.state.chats
        self._id = given_id if given_id is not None else f"conv_{self.state.random_id(12)}"
        # Inferred: a conversation belongs to one agent.
        key = f"chat/{slug}/{self._id}"
        if given_id is None:
            return chats.get_or_create(key)
        if (known := chats.find(key)) is None:
            # The response to an unknown conversation is not documented; 404 is the documented
            # status for an unknown agent.
            self.respond_error(404, f"Conversation with id '{given_id}' not found")
        return known

    async def _respond(self, run: AgentRun, slug: str, store: StoreReply, *, stream: bool) -> None:
        if stream:
            await self._stream(run, store)
            return
        reply = await self.respond_whole(
            run, lambda text: encode_json(self._envelope(text, run, slug))
        )
        if reply is not None:
            store(reply)

    def _envelope(self, text: str, run: AgentRun, slug: str) -> dict[str, Any]:
        usage = run.usage()
        # The documentation shows a single token count and the name of a model. The agents of the
        # sandbox have no model names, so the slug is sent instead.
        tokens = usage and {"tokens": usage["prompt_tokens"] + usage["completion_tokens"]}
        metadata = {"model": slug, **(tokens or {})}
        data = {"response": text, "conversationId": self._id, "metadata": metadata}
        return {"data": data, "error": None}

    async def _stream(self, run: AgentRun, store: StoreReply) -> None:
        fault = run.fault
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        if fault.conversation_id_in == "header":
            self.set_header("X-Conversation-Id", self._id)
        texts: list[str] = []
        self._started = False
        try:
            async with contextlib.aclosing(run.pieces()) as pieces:
                async for piece in pieces:
                    if piece is StreamFault.ERROR:
                        # The format of errors within a stream is not documented; this is the
                        # JSON of other error responses.
                        await self._send_event(encode_json(chat_error(500, fault.message)), fault)
                        return
                    await self._send_piece(piece, fault, texts)
        except (AgentRefused, AgentFailed) as error:
            await self._send_failure(error, fault)
            return
        # The reply is stored before the last event is sent, because a client may disconnect or
        # send its next message as soon as it receives that event.
        store("".join(texts))
        if fault.conversation_id_in == "chunk":
            event = b'{"chunk": "", "conversationId": %s}' % encode_json(self._id)
            await self._send_event(event, fault)
        if not fault.no_done:
            await self._send_event(b"[DONE]", fault)

    async def _send_piece(self, piece: str | StreamFault, fault: Fault, texts: list[str]) -> None:
        if isinstance(piece, str):
            texts.append(piece)
            await self._send_event(b'{"chunk": %s}' % encode_json(piece), fault)
        else:
            await self._send_event(b'{"chunk": "torn', fault)

    async def _send_failure(self, error: Exception, fault: Fault) -> None:
        """Report an agent's failure to the client as a stream event.

        If no event has been sent yet, send an HTTP error response instead.
        """
        status = 400 if isinstance(error, AgentRefused) else 500
        if self._started:
            await self._send_event(encode_json(chat_error(status, str(error))), fault)
        else:
            self.respond_error(status, str(error))

    async def _send_event(self, data: bytes, fault: Fault) -> None:
        self._started = True
        await self.send_chunk(b"data: %s\n%s" % (data, b"\n" if fault.blank_lines else b""))


def validation_error(body: dict[str, Any]) -> str | None:
    """Return an error message for an invalid request body, or None for a valid body.

    Only the message about a missing `message` field is documented. Unknown fields are accepted. The
    documentation does not say whether the service rejects unknown fields.
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
