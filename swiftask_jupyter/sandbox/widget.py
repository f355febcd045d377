"""The dialect `widget`: one agent, named by its client token in the query, and its visitors.

The documents show the requests and hardly any responses. Where a response is called undocumented
below, the sandbox sends the smallest one that makes sense.
"""

import hmac
from typing import Any

from .faults import Fault
from .handler import Route
from .native import NativeHandler, ValidRequest, request_rule
from .rules import nonempty_string, number, object_with, one_of
from .state import SandboxState

FEEDBACK = one_of("POSITIVE", "NEGATIVE")
"""POSITIVE is documented, NEGATIVE inferred."""


def routes(state: SandboxState) -> list[Route]:
    """Return the routes under /api/widget, and that of uploads, which has no /api."""
    arguments = {"state": state}
    return [
        (r"/api/widget/ai", WidgetAskHandler, arguments),
        (r"/api/widget/config", ConfigHandler, arguments),
        (r"/api/widget/feedback", FeedbackHandler, arguments),
        (r"/api/widget/like-dislike", LikeHandler, arguments),
        (r"/api/widget/conversation", ConversationHandler, arguments),
        (r"/api/widget/conversation/delete", DeleteConversationHandler, arguments),
        (r"/widget/get-signed-url", SignedUrlHandler, arguments),
    ]


class WidgetHandler(NativeHandler):
    """Base class of this dialect's handlers: reads the query and its client token."""

    def agent_of_token(self) -> str | None:
        """Return the slug of the agent whose client token is in the query.

        Respond 401 and return None if the token is missing or invalid.
        """
        given = self.get_query_argument("clientToken", "", strip=False).encode()
        for slug, token in self.state.client_tokens.items():
            if hmac.compare_digest(given, token.encode()):
                return slug
        self.respond_error(401, "Unauthorized: the client token is invalid or missing")
        return None

    def require_query(self, name: str) -> str | None:
        """Return a parameter of the query; respond 400 and return None if it is missing."""
        if value := self.get_query_argument(name, ""):
            return value
        self.respond_error(400, f'"{name}" is required')
        return None

    async def respond_path_fault(self) -> bool:
        """Send the fault queued for this path, if there is one; return whether it was sent."""
        return await self.respond_fault(self.take_fault())


class WidgetAskHandler(WidgetHandler):
    """Handler of POST /api/widget/ai: sends a visitor's prompt to the agent."""

    async def post(self) -> None:
        """Respond with the agent's reply."""
        await self.run_until_disconnect(self._answer())

    async def _answer(self) -> None:
        if (slug := self.agent_of_token()) is None or (body := self.read_json()) is None:
            return
        fault = self.take_fault(slug)
        if await self.respond_fault(fault):
            return
        fault = fault or Fault()
        # The documents' list of fields is lost; they show a request with input and sessionId.
        # The other fields of the native dialect are accepted too (inferred).
        session_type = fault.session_type or "string"
        if problem := request_rule(session_type)("", body):
            self.respond_error(400, problem)
            return
        agent = self.state.agents[slug]
        if not self.check_requirement(agent):
            return
        sessions = self.state.widget_sessions
        if (session_id := body.get("sessionId")) is None:
            session_id = sessions.new_id() if session_type == "number" else str(sessions.new_id())
        session = sessions.get_or_create(session_id)
        # Inferred: the service remembers a visitor's messages, unless the request brings a
        # history.
        messages = self.messages(body, body.get("messageHistory", session.messages))
        reply = await self.respond(ValidRequest(slug, agent, messages, session_id, session, fault))
        if reply is not None:
            sessions.add_turn(session, messages[-1], reply)


class ConfigHandler(WidgetHandler):
    """Handler of GET /api/widget/config: the appearance of the widget."""

    async def get(self) -> None:
        """Respond with colours and an avatar, which are documented; their keys are invented."""
        if (slug := self.agent_of_token()) is None or await self.respond_path_fault():
            return
        name = self.state.agents[slug].name or slug
        colours = {"primaryColor": "#4f46e5", "textColor": "#ffffff"}
        self.respond_json({"botSlug": slug, "name": name, "avatar": None, **colours})


class FeedbackHandler(WidgetHandler):
    """Handler of POST /api/widget/feedback: a visitor's rating of a conversation."""

    async def post(self) -> None:
        """Validate the rating and discard it; the response is undocumented."""
        if self.agent_of_token() is None or (body := self.read_json()) is None:
            return
        if await self.respond_path_fault():
            return
        # The documents' example has a number here, but the widget's session ids are strings:
        # both are accepted.
        session = number if isinstance(body.get("sessionId"), int) else nonempty_string
        fields = {"feedback": FEEDBACK, "comment": _comment, "sessionId": session}
        if problem := object_with(fields, ["feedback"])("", body):
            self.respond_error(400, problem)
        else:
            self.respond_json({"success": True})


class LikeHandler(WidgetHandler):
    """Handler of POST /api/widget/like-dislike: a rating of one message; needs no token."""

    async def post(self) -> None:
        """Validate the rating and discard it.

        The response is undocumented, also that to an unknown message.
        """
        if (body := self.read_json()) is None or await self.respond_path_fault():
            return
        fields = {"messageId": number, "feedback": FEEDBACK}
        if problem := object_with(fields, ["messageId", "feedback"])("", body):
            self.respond_error(400, problem)
        else:
            self.respond_json({"success": True})


class ConversationHandler(WidgetHandler):
    """Handler of GET /api/widget/conversation: the messages of a session; needs no token."""

    async def get(self) -> None:
        """Respond with the messages, or 404 to an unknown session; both are undocumented."""
        if (
            await self.respond_path_fault()
            or (session_id := self.require_query("sessionId")) is None
        ):
            return
        session = self.state.widget_sessions.find(session_id)
        if session is None:
            self.respond_error(404, "the conversation does not exist")
            return
        self.respond_json({"sessionId": session_id, "messages": session.messages})


class DeleteConversationHandler(WidgetHandler):
    """Handler of POST /api/widget/conversation/delete; needs no token."""

    async def post(self) -> None:
        """Delete the session, or respond 404 if it is unknown; both are undocumented."""
        if (
            await self.respond_path_fault()
            or (session_id := self.require_query("sessionId")) is None
        ):
            return
        if self.state.widget_sessions.delete(session_id):
            self.respond_json({"success": True})
        else:
            self.respond_error(404, "the conversation does not exist")


class SignedUrlHandler(WidgetHandler):
    """Handler of GET /widget/get-signed-url: where to upload a file for a later request."""

    async def get(self) -> None:
        """Respond with two URLs. No token is documented, but a wrong token is refused.

        The author of a client reports that the account's key is accepted here as a client
        token.
        """
        fault = self.take_fault()
        if await self.respond_fault(fault):
            return
        given = self.get_query_argument("clientToken", "", strip=False).encode()
        is_account = hmac.compare_digest(given, self.state.token.encode())
        if given and not is_account and self.agent_of_token() is None:
            return
        if (name := self.require_query("fileName")) is None:
            return
        paths = self.state.uploads.create_urls(name, fault or Fault())
        self.respond_json({key: self.absolute_url(path) for key, path in paths.items()})


def _comment(name: str, value: Any) -> str | None:
    return None if value == "" else nonempty_string(name, value)
