"""The OpenAI-compatible dialect: POST /v1/chat/completions and GET /v1/models."""

import contextlib
import time
from typing import Any

from .agents import Agent, AgentFailed, AgentRefused, Question
from .faults import Fault
from .handler import DialectHandler, Route, as_json
from .state import SandboxState
from .turn import Quirk, Turn
from .whole_reply import WholeReplyHandler

MODELS = (
    "llama31",
    "mistralmedium",
    "o3-mini",
    "deepseek-r1",
    "deepseek-v3",
    "swiftask",
    "agentreact",
    "gemini-pro-with-search",
)
"""What the documented API's model list held when it was measured: a stub, not a catalogue."""

GENERIC = Agent(lambda _messages: "Hello! How can I help you today?", instant=True)
"""Who answers in place of an agent that is not for chat: measured, it is not refused."""

ROLES = ("system", "developer", "user", "assistant", "tool")


def routes(room: SandboxState) -> list[Route]:
    """Where this dialect is spoken."""
    return [
        (r"/v1/chat/completions", CompletionsHandler, {"room": room}),
        (r"/v1/models", ModelsHandler, {"room": room}),
    ]


class ModelsHandler(DialectHandler):
    """Eight fixed slugs, with or without a key (measured)."""

    async def get(self) -> None:
        """Answers the list."""
        if await self.misbehave(self.fault()):
            return
        self.give({"object": "list", "data": [{"id": id_, "object": "model"} for id_ in MODELS]})


class CompletionsHandler(WholeReplyHandler):
    """A question to an agent, answered whole or as server-sent events."""

    async def post(self) -> None:
        """Answers it."""
        await self.attend(self._answer())

    async def _answer(self) -> None:
        if not self.authorised() or (body := self.read_json()) is None:
            return
        slug = body.get("model")
        fault = self.fault(slug if isinstance(slug, str) else "")
        if await self.misbehave(fault):
            return
        agent = self.room.agents.get(slug) if isinstance(slug, str) else None
        if problem := complaint(body) or _unready(slug, agent):
            self.refuse(400, problem)
            return
        assert agent is not None
        if not agent.chat:
            agent = GENERIC
        turn = Turn(self.room, agent, _question(body), fault, keep=self.keep)
        self._head = {
            "id": f"chatcmpl-{self.room.letters(24)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": slug,
        }
        if body.get("stream"):
            await self._stream(turn, body, fault or Fault())
        else:
            await self.tell(turn, lambda said: as_json(self._completion(said, turn)))

    async def _stream(self, turn: Turn, body: dict[str, Any], fault: Fault) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self._spoken = False
        try:
            async with contextlib.aclosing(turn.pieces()) as pieces:
                async for piece in pieces:
                    await self._event(piece)
                    if piece is Quirk.ERROR:
                        return
        except (AgentRefused, AgentFailed) as error:
            if not self._spoken:
                self.refuse(400 if isinstance(error, AgentRefused) else 500, str(error))
                return
            await self.send(b"data: %s\n\n" % as_json(_failure(str(error))))
            return
        if not self._spoken:
            await self._event("")
        await self._chunk({}, turn.finish)
        usage = turn.usage()
        if usage is not None and (body.get("stream_options") or {}).get("include_usage"):
            # As it was captured from the documented API: no choices, and no id.
            await self.send(b"data: %s\n\n" % as_json({"choices": [], "usage": usage}))
        if not fault.no_done:
            await self.send(b"data: [DONE]\n\n")

    async def _event(self, piece: str | Quirk) -> None:
        match piece:
            case Quirk.GARBAGE:
                await self.send(b'data: {"choices":[{"delta":{"content":"torn\n\n')
            case Quirk.ERROR:
                await self.send(
                    b"data: %s\n\n" % as_json(_failure("the sandbox was asked to fail"))
                )
            case str():
                role = {} if self._spoken else {"role": "assistant"}
                await self._chunk({**role, "content": piece}, None)
        self._spoken = True

    async def _chunk(self, delta: dict[str, Any], finish: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        await self.send(b"data: %s\n\n" % as_json(chunk))

    def _completion(self, text: str, turn: Turn) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": turn.finish}
        usage = turn.usage()
        return {**self._head, "choices": [choice], **({} if usage is None else {"usage": usage})}


def complaint(body: dict[str, Any]) -> str | None:
    """What is wrong with a request, in the words of the validator the service seems to use.

    Only `"reasoning_effort" is not allowed` was seen; the other sentences are its kin.
    """
    rules = {
        "model": (isinstance(body.get("model"), str), "must be a string"),
        "messages": (_are_messages(body.get("messages")), "must be an array of messages"),
        "stream": (isinstance(body.get("stream"), bool), "must be a boolean"),
        "stream_options": (isinstance(body.get("stream_options"), dict), "must be an object"),
        "temperature": (_is_number(body.get("temperature")), "must be a number"),
        "max_tokens": (_is_positive(body.get("max_tokens")), "must be a positive integer"),
        "stateless": (isinstance(body.get("stateless"), bool), "must be a boolean"),
    }
    for name in body:
        if name not in rules:
            return f'"{name}" is not allowed'
    for name, (right, sentence) in rules.items():
        if name not in body and name in ("model", "messages"):
            return f'"{name}" is required'
        if name in body and not right:
            return f'"{name}" {sentence}'
    return None


def _unready(slug: Any, agent: Agent | None) -> str | None:
    if agent is None:
        # 400 and not 404, as the documented API says.
        return f'the agent "{slug}" does not exist'
    return agent.missing() if agent.missing is not None else None


def _are_messages(given: Any) -> bool:
    return (
        isinstance(given, list)
        and bool(given)
        and all(
            isinstance(each, dict)
            and each.get("role") in ROLES
            and (isinstance(each.get("content"), str) or _are_parts(each.get("content")))
            for each in given
        )
    )


def _are_parts(content: Any) -> bool:
    # Undocumented: whether /v1 takes OpenAI's content parts; images are accepted and not looked at.
    return isinstance(content, list) and all(
        isinstance(part, dict)
        and isinstance(part.get("type"), str)
        and (part["type"] != "text" or isinstance(part.get("text"), str))
        for part in content
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _question(body: dict[str, Any]) -> Question:
    said = tuple({"role": m["role"], "content": _text(m["content"])} for m in body["messages"])
    return Question(said, body.get("max_tokens"), body.get("temperature"))


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def _failure(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "server_error", "param": None, "code": None}}
