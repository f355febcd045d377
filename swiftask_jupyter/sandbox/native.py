"""Serve the `native` dialect: POST /api/ai/{slug}. The response is one JSON object.

A dialect is one of the HTTP APIs that the sandbox imitates. The dialect `native` has no streaming.
The dialect `widget` has the same requests and responses. So both dialects use `NativeHandler`.
"""

from dataclasses import dataclass
from typing import Any

from .agent_run import AgentRun
from .agents import Agent, AgentInput
from .faults import Fault
from .handler import Route, encode_json
from .sessions import StoredSession
from .state import SandboxState
from .validation import (
    Rule,
    any_object,
    array_of,
    nonempty_string,
    number,
    object_with,
    one_of,
    uri,
)
from .whole_reply import WholeReplyHandler

_FILES = array_of(
    object_with(
        {
            "url": uri,
            "type": nonempty_string,
            "size": number,
            "name": nonempty_string,
            "id": number,
        },
        ["url"],
    )
)
_HISTORY = array_of(
    object_with(
        {
            "role": one_of("user", "assistant", "system"),
            "content": nonempty_string,
            "files": _FILES,
        },
        ["role", "content"],
    )
)


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado route for POST /api/ai/{slug}."""
    return [(r"/api/ai/([^/]+)", NativeAskHandler, {"state": state})]


def request_rule(session_type: str) -> Rule:
    """Return the rule for the JSON body of a request. A rule is a validation function.

    Args:
        session_type: the JSON type that `sessionId` must have, "number" or "string".
    """
    return object_with(
        {
            "sessionId": number if session_type == "number" else nonempty_string,
            "input": nonempty_string,
            "files": _FILES,
            "documentAnalysisMode": one_of("SIMPLE", "ADVANCED"),
            "messageHistory": _HISTORY,
            "extraConfig": any_object,  # undocumented; clients of voice agents send it
        },
        ["input"],
    )


@dataclass
class ValidRequest:
    """A validated request to an agent, with the session and the fault to use."""

    slug: str
    agent: Agent
    messages: list[dict[str, Any]]
    session_id: int | str
    session: StoredSession
    fault: Fault


class NativeHandler(WholeReplyHandler):
    """Base class of the request handlers of the dialects `native` and `widget`."""

    error_shape = "string"

    def read_json(self) -> Any:
        """Return the request body as a dict.

        If the Content-Type is not JSON, or if the body is not a JSON object, send a 400 response
        and return None.
        """
        if "json" in self.request.headers.get("Content-Type", ""):
            return super().read_json()
        self.respond_error(400, "Content-Type must be application/json")
        return None

    def messages(self, body: dict[str, Any], history: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the messages for the agent, and log the files that the request names.

        The last message is the `input` of the body. This message is added even if the history
        already ends with an equal message.

        Args:
            body: the validated JSON body.
            history: the earlier messages of the conversation, oldest first.
        """
        requested = [*body.get("messageHistory", ()), body]
        files = [self._describe(file) for each in requested for file in each.get("files", ())]
        self.state.requests.update(self.record, files=files)
        messages = []
        # Nothing indicates that the service removes a duplicate of the last message.
        for each in (*history, {**body, "role": "user", "content": body["input"]}):
            message = {"role": each["role"], "content": each["content"]}
            if given := each.get("files"):
                message["files"] = [self._describe(file) for file in given]
            messages.append(message)
        return messages

    def _describe(self, file: dict[str, Any]) -> dict[str, Any]:
        return self.state.uploads.describe(file, self.request.host)

    async def respond(self, request: ValidRequest) -> str | None:
        """Run the agent, send the reply as JSON, and return the reply's text.

        Return None if the agent failed, or if the fault replaced the reply with an error.
        """
        fault = request.fault
        if fault.soft_error or fault.limit_reached:
            self.respond_json(self._response(request, fault.message, None))
            return None
        run = AgentRun(
            self.state,
            request.agent,
            AgentInput(tuple(request.messages)),
            fault,
            store_file=self.store_file,
            usage=self.state.usage_outside_v1,
        )
        return await self.respond_whole(
            run,
            lambda text: encode_json(self._response(request, text, run)),
            # The documentation says "isBotError indicates if there was an error during
            # processing", so a failed agent gets a normal response with this field set.
            on_failure=lambda reason: self.respond_json(
                self._response(request, reason, None, failed=True)
            ),
        )

    def _response(
        self, request: ValidRequest, text: str, run: AgentRun | None, *, failed: bool = False
    ) -> dict[str, Any]:
        fault, usage = request.fault, run.usage() if run is not None else None
        # totalBotUsage could count the request or the session. One page of the documentation says
        # "overall usage count for the session", and the key says total, so it counts the session.
        # The unit is invented: one per ten tokens.
        request.session.usage += -(-usage["total_tokens"] // 10) if usage else 0
        response = {
            "text": text,
            "botId": 1 + list(self.state.agents).index(request.slug),
            "botSlug": request.slug,
            "sessionId": request.session_id,
            "totalBotUsage": request.session.usage,
            "files": [] if run is None else run.files,
            "isBotError": failed or fault.soft_error,
            **_usage_fields(usage, fault.usage_shape),
            # The elements of these two lists are not documented, so the lists are empty.
            "additionalMessages": [],
            "sourceMetadatas": [],
            "isSubscriptionUsageLimitReachedMessage": fault.limit_reached,
        }
        return {f"${k}": v for k, v in response.items()} if fault.dollar_keys else response


def _usage_fields(usage: dict[str, int] | None, shape: str | None) -> dict[str, Any]:
    if usage is None:
        return {}
    input_tokens, output_tokens = usage["prompt_tokens"], usage["completion_tokens"]
    token_usage = {
        "inputTokens": input_tokens,
        "outputTokens": output_tokens,
        "totalTokens": usage["total_tokens"],
    }
    # One page of the documentation names usageDetail but not its keys; the keys used here come
    # from the type definitions of a client.
    usage_detail = {"totalInputTokens": input_tokens, "totalOutputTokens": output_tokens}
    shapes: dict[str, dict[str, Any]] = {
        "tokenUsage": {"tokenUsage": token_usage},
        "usageDetail": {"usageDetail": usage_detail},
        "both": {"tokenUsage": token_usage, "usageDetail": usage_detail},
        "none": {},
    }
    return shapes[shape or "tokenUsage"]


class NativeAskHandler(NativeHandler):
    """Tornado request handler that sends a prompt to one agent: POST /api/ai/{slug}.

    A request needs the account's API key or the agent's client token.
    """

    async def post(self, slug: str) -> None:
        """Send the agent's reply as a JSON object."""
        await self.run_until_disconnect(self._answer(slug))

    async def _answer(self, slug: str) -> None:
        if not self.check_token(slug) or (body := self.read_json()) is None:
            return
        fault = self.take_fault(slug)
        if await self.respond_fault(fault):
            return
        fault = fault or Fault()
        session_type = fault.session_type or "number"
        if problem := request_rule(session_type)("", body):
            self.respond_error(400, problem)
            return
        agent = self.state.agents.get(slug)
        if agent is None:
            # The status for an unknown agent is not documented; 404 is a guess.
            self.respond_error(404, f'the agent "{slug}" does not exist')
            return
        if not self.check_requirement(agent):
            return
        sessions = self.state.native_sessions
        if (session_id := body.get("sessionId")) is None:  # then the service creates a session
            session_id = sessions.new_id() if session_type == "number" else str(sessions.new_id())
        # It is not known whether the service stores the messages of a session, so the sandbox
        # stores only the session's usage.
        messages = self.messages(body, body.get("messageHistory", []))
        session = sessions.get_or_create(session_id)
        await self.respond(ValidRequest(slug, agent, messages, session_id, session, fault))
