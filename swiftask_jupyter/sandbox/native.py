"""How the native routes answer: one JSON object, at the end; none of them streams.

The native dialect: POST /api/ai/{slug}. The catalogue beside it is in `catalogue`.
"""

from dataclasses import dataclass
from typing import Any

from .agents import Agent, Question
from .faults import Fault
from .handler import Route, as_json
from .rules import Rule, anything, array, number, one_of, record, text, uri
from .sessions import Conversation
from .state import SandboxState
from .turn import Turn
from .whole_reply import WholeReplyHandler

_FILES = array(
    record({"url": uri, "type": text, "size": number, "name": text, "id": number}, ["url"])
)
_HISTORY = array(
    record(
        {"role": one_of("user", "assistant", "system"), "content": text, "files": _FILES},
        ["role", "content"],
    )
)


def schema(session_type: str) -> Rule:
    """What a request may hold, on a route that takes this type of session id."""
    return record(
        {
            "sessionId": number if session_type == "number" else text,
            "input": text,
            "files": _FILES,
            "documentAnalysisMode": one_of("SIMPLE", "ADVANCED"),
            "messageHistory": _HISTORY,
            "extraConfig": anything,  # undocumented; clients of voice agents send it
        },
        ["input"],
    )


@dataclass
class Asked:
    """A request that may be answered."""

    slug: str
    agent: Agent
    messages: list[dict[str, Any]]
    session: int | str
    conversation: Conversation
    fault: Fault


class NativeHandler(WholeReplyHandler):
    """A request in the native dialect and its answer."""

    shape = "string"

    def read_json(self) -> Any:
        """The body, which must also say that it is JSON, as the documents demand."""
        if "json" in self.request.headers.get("Content-Type", ""):
            return super().read_json()
        self.refuse(400, "Content-Type must be application/json")
        return None

    def messages(self, body: dict[str, Any], earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the agent is told: the turns before, and the input. Notes the files named."""
        # Nothing shows that the service leaves out an input repeated in the history: it stays.
        asked = [*body.get("messageHistory", ()), body]
        named = [self._described(file) for each in asked for file in each.get("files", ())]
        self.room.requests.note(self.seen, files=named)
        told = []
        for each in (*earlier, {**body, "role": "user", "content": body["input"]}):
            message = {"role": each["role"], "content": each["content"]}
            if given := each.get("files"):
                message["files"] = [self._described(file) for file in given]
            told.append(message)
        return told

    def _described(self, file: dict[str, Any]) -> dict[str, Any]:
        return self.room.uploads.described(file, self.request.host)

    async def reply(self, asked: Asked) -> str | None:
        """Answers; the text of an answer that is no error."""
        fault = asked.fault
        if fault.soft_error or fault.limit_reached:
            self.give(self._answer(asked, fault.message, None))
            return None
        question = Question(tuple(asked.messages))
        usage = self.room.usage_seen
        turn = Turn(self.room, asked.agent, question, fault, keep=self.keep, usage=usage)
        return await self.tell(
            turn,
            lambda said: as_json(self._answer(asked, said, turn)),
            # "isBotError indicates if there was an error during processing".
            failed=lambda reason: self.give(self._answer(asked, reason, None, failed=True)),
        )

    def _answer(
        self, asked: Asked, said: str, turn: Turn | None, *, failed: bool = False
    ) -> dict[str, Any]:
        counts = turn.usage() if turn is not None else None
        # Whether this is the request's or the session's is undocumented; "overall usage count
        # for the session" says one page, and the key says total. The unit is made up.
        asked.conversation.spent += -(-counts["total_tokens"] // 10) if counts else 0
        answer = {
            "text": said,
            "botId": 1 + list(self.room.agents).index(asked.slug),
            "botSlug": asked.slug,
            "sessionId": asked.session,
            "totalBotUsage": asked.conversation.spent,
            "files": [] if turn is None else turn.files,
            "isBotError": failed or asked.fault.soft_error,
            **_usage(counts, asked.fault.usage_shape),
            # What stands in these two lists is undocumented, so nothing does.
            "additionalMessages": [],
            "sourceMetadatas": [],
            "isSubscriptionUsageLimitReachedMessage": asked.fault.limit_reached,
        }
        return {f"${k}": v for k, v in answer.items()} if asked.fault.dollar_keys else answer


def _usage(counts: dict[str, int] | None, shape: str | None) -> dict[str, Any]:
    if counts is None:
        return {}
    given, made = counts["prompt_tokens"], counts["completion_tokens"]
    total = counts["total_tokens"]
    newer = {"inputTokens": given, "outputTokens": made, "totalTokens": total}
    # One page names usageDetail without its keys; these are how a client types them.
    older = {"totalInputTokens": given, "totalOutputTokens": made}
    shapes: dict[str, dict[str, Any]] = {
        "tokenUsage": {"tokenUsage": newer},
        "usageDetail": {"usageDetail": older},
        "both": {"tokenUsage": newer, "usageDetail": older},
        "none": {},
    }
    return shapes[shape or "tokenUsage"]


def routes(room: SandboxState) -> list[Route]:
    """Where this dialect is spoken."""
    return [(r"/api/ai/([^/]+)", AskHandler, {"room": room})]


class AskHandler(NativeHandler):
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
