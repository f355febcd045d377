"""Serve the `openai` dialect: POST /v1/chat/completions and GET /v1/models, as in OpenAI's API.

A dialect is one of the HTTP APIs that the sandbox imitates.
"""

import contextlib
import time
from typing import Any

from .agent_run import AgentRun, StreamFault
from .agents import Agent, AgentFailed, AgentInput, AgentRefused
from .faults import Fault
from .handler import DialectHandler, Route, encode_json
from .state import SandboxState
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
"""The model list that the real API returned: eight fixed entries, not a list of its agents."""

GENERIC = Agent(lambda _messages: "Hello! How can I help you today?", nonblocking=True)
"""The agent that answers in place of an agent that is not meant for chat. The real /v1 also sent a
reply for such agents, and not an error."""

ROLES = ("system", "developer", "user", "assistant", "tool")


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado routes for POST /v1/chat/completions and GET /v1/models."""
    return [
        (r"/v1/chat/completions", ChatCompletionsHandler, {"state": state}),
        (r"/v1/models", ModelsHandler, {"state": state}),
    ]


class ModelsHandler(DialectHandler):
    """Tornado request handler that sends the list of models: GET /v1/models.

    No token is needed, as on the real API.
    """

    async def get(self) -> None:
        """Send the fixed list of models."""
        if await self.respond_fault(self.take_fault()):
            return
        models = [{"id": id_, "object": "model"} for id_ in MODELS]
        self.respond_json({"object": "list", "data": models})


class ChatCompletionsHandler(WholeReplyHandler):
    """Tornado request handler that sends messages to an agent: POST /v1/chat/completions.

    The field `model` of the request contains the agent's slug.
    """

    async def post(self) -> None:
        """Send the agent's reply as JSON, or as an event stream if the body has `stream: true`."""
        await self.run_until_disconnect(self._answer())

    async def _answer(self) -> None:
        if not self.check_token() or (body := self.read_json()) is None:
            return
        slug = body.get("model")
        fault = self.take_fault(slug if isinstance(slug, str) else "")
        if await self.respond_fault(fault):
            return
        agent = self.state.agents.get(slug) if isinstance(slug, str) else None
        if problem := validation_error(body) or _agent_error(slug, agent):
            self.respond_error(400, problem)
            return
        assert agent is not None
        if not agent.chat:
            agent = GENERIC
        run = AgentRun(self.state, agent, _prompt(body), fault, store_file=self.store_file)
        self._head = {
            "id": f"chatcmpl-{self.state.random_id(24)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": slug,
        }
        if body.get("stream"):
            await self._stream(run, body, fault or Fault())
        else:
            await self.respond_whole(run, lambda text: encode_json(self._completion(text, run)))

    async def _stream(self, run: AgentRun, body: dict[str, Any], fault: Fault) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self._started = False
        try:
            async with contextlib.aclosing(run.pieces()) as pieces:
                async for piece in pieces:
                    await self._send_piece(piece)
                    if piece is StreamFault.ERROR:
                        return
        except (AgentRefused, AgentFailed) as error:
            if not self._started:
                self.respond_error(400 if isinstance(error, AgentRefused) else 500, str(error))
                return
            await self._send_event(_error(str(error)))
            return
        if not self._started:
            await self._send_piece("")
        await self._send_delta({}, run.finish_reason)
        usage = run.usage()
        if usage is not None and (body.get("stream_options") or {}).get("include_usage"):
            # The real API sends this event with empty `choices` and without an id.
            await self._send_event({"choices": [], "usage": usage})
        if not fault.no_done:
            await self.send_chunk(b"data: [DONE]\n\n")

    async def _send_piece(self, piece: str | StreamFault) -> None:
        match piece:
            case StreamFault.GARBAGE:
                await self.send_chunk(b'data: {"choices":[{"delta":{"content":"torn\n\n')
            case StreamFault.ERROR:
                await self._send_event(_error("the sandbox was asked to fail"))
            case str():
                role = {} if self._started else {"role": "assistant"}
                await self._send_delta({**role, "content": piece}, None)
        self._started = True

    async def _send_delta(self, delta: dict[str, Any], finish_reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        await self._send_event(chunk)

    async def _send_event(self, value: dict[str, Any]) -> None:
        await self.send_chunk(b"data: %s\n\n" % encode_json(value))

    def _completion(self, text: str, run: AgentRun) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": run.finish_reason}
        usage = run.usage()
        return {**self._head, "choices": [choice], **({} if usage is None else {"usage": usage})}


def validation_error(body: dict[str, Any]) -> str | None:
    """Return an error message for an invalid request body, or None for a valid body.

    The messages are worded like those of the JavaScript validator Joi. Only the message
    `"reasoning_effort" is not allowed` was seen on the real service.
    """
    rules = {
        "model": (isinstance(body.get("model"), str), "must be a string"),
        "messages": (_are_messages(body.get("messages")), "must be an array of messages"),
        "stream": (isinstance(body.get("stream"), bool), "must be a boolean"),
        "stream_options": (isinstance(body.get("stream_options"), dict), "must be an object"),
        "temperature": (_is_number(body.get("temperature")), "must be a number"),
        "max_tokens": (_is_positive_integer(body.get("max_tokens")), "must be a positive integer"),
        "stateless": (isinstance(body.get("stateless"), bool), "must be a boolean"),
    }
    for name in body:
        if name not in rules:
            return f'"{name}" is not allowed'
    for name, (valid, requirement) in rules.items():
        if name not in body and name in ("model", "messages"):
            return f'"{name}" is required'
        if name in body and not valid:
            return f'"{name}" {requirement}'
    return None


def _agent_error(slug: Any, agent: Agent | None) -> str | None:
    if agent is None:
        # The documentation gives status 400 for an unknown agent, not 404.
        return f'the agent "{slug}" does not exist'
    return agent.unmet_requirement() if agent.unmet_requirement is not None else None


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(each, dict)
            and each.get("role") in ROLES
            and (isinstance(each.get("content"), str) or _are_parts(each.get("content")))
            for each in value
        )
    )


def _are_parts(content: Any) -> bool:
    # The documentation does not say whether /v1 accepts OpenAI's content parts. The sandbox accepts
    # parts of every type, and ignores parts that are not text.
    return isinstance(content, list) and all(
        isinstance(part, dict)
        and isinstance(part.get("type"), str)
        and (part["type"] != "text" or isinstance(part.get("text"), str))
        for part in content
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_positive_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _prompt(body: dict[str, Any]) -> AgentInput:
    messages = tuple({"role": m["role"], "content": _text(m["content"])} for m in body["messages"])
    return AgentInput(messages, body.get("max_tokens"), body.get("temperature"))


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "server_error", "param": None, "code": None}}
