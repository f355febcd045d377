"""Serve the `widget` dialect: the HTTP API of a chat widget for the visitors of a website.

A dialect is one of the HTTP APIs that the sandbox imitates. In this dialect, the client token in
the query selects the agent. The documentation shows the requests but hardly any responses. The
sandbox sends a minimal plausible response in place of an undocumented response.
"""

import hmac
from typing import Any

from .faults import Fault
from .handler import Route
from .native import NativeHandler, ValidRequest, request_rule
from .state import SandboxState
from .validation import nonempty_string, number, object_with, one_of

FEEDBACK = one_of("POSITIVE", "NEGATIVE")
"""POSITIVE is documented, NEGATIVE inferred."""


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado routes under /api/widget, and the route /widget/get-signed-url."""
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
    """Base class of the request handlers of the `widget` dialect.

    The class reads query parameters and checks client tokens.
    """

    def agent_of_token(self) -> str | None:
        """Return the slug of the agent that has the client token in the query.

        If the client token is missing or invalid, send a 401 response and return None.
        """
        given = self.get_query_argument("clientToken", "", strip=False).encode()
        for slug, token in self.state.client_tokens.items():
            if hmac.compare_digest(given, token.encode()):
                return slug
        self.respond_error(401, "Unauthorized: the client token is invalid or missing")
        return None

    def require_query(self, name: str) -> str | None:
        """Return the value of the query parameter `name`.

        If the parameter is missing or empty, send a 400 response and return None.
        """
        if value := self.get_query_argument(name, ""):
            return value
        self.respond_error(400, f'"{name}" is required')
        return None

    async def respond_path_fault(self) -> bool:
        """Apply the fault that a request header or the queue of faults specifies, if any.

        Return True if a response was sent, and False if the caller must send a response.
        """
        return await self.respond_fault(self.take_fault())


class WidgetAskHandler(WidgetHandler):
    """Tornado request handler that sends a prompt to an agent: POST /api/widget/ai."""

    async def post(self) -> None:
        """Send the agent's reply as a JSON object."""
        await self.run_until_disconnect(self._answer())

    async def _answer(self) -> None:
        if (slug := self.agent_of_token()) is None or (body := self.read_json()) is None:
            return
        fault = self.take_fault(slug)
        if await self.respond_fault(fault):
            return
        fault = fault or Fault()
        # The list of fields is missing in the documentation, which only shows a request with
        # `input` and `sessionId`. It is inferred that the other fields of the native dialect are
        # accepted too.
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
        # Inferred: the service uses the stored messages of the session, unless the request
        # contains a history.
        messages = self.messages(body, body.get("messageHistory", session.messages))
        reply = await self.respond(ValidRequest(slug, agent, messages, session_id, session, fault))
        if reply is not None:
            sessions.add_turn(session, messages[-1], reply)


class ConfigHandler(WidgetHandler):
    """Tornado request handler that sends the widget's appearance: GET /api/widget/config."""

    async def get(self) -> None:
        """Send the agent's name, an avatar and colours.

        The documentation shows no JSON keys, so the keys are invented.
        """
        if (slug := self.agent_of_token()) is None or await self.respond_path_fault():
            return
        name = self.state.agents[slug].name or slug
        colours = {"primaryColor": "#4f46e5", "textColor": "#ffffff"}
        self.respond_json({"botSlug": slug, "name": name, "avatar": None, **colours})


class FeedbackHandler(WidgetHandler):
    """Tornado request handler for visitors' ratings of conversations: POST /api/widget/feedback."""

    async def post(self) -> None:
        """Validate a visitor's rating, and send a confirmation. The rating is not stored.

        If the rating is invalid, send a 400 response. The confirmation is undocumented.
        """
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
    """Tornado request handler for visitors' ratings of messages: POST /api/widget/like-dislike.

    No token is needed.
    """

    async def post(self) -> None:
        """Validate a visitor's rating, and send a confirmation. The rating is not stored.

        If the rating is invalid, send a 400 response. The rated message may be unknown. The
        confirmation is undocumented.
        """
        if (body := self.read_json()) is None or await self.respond_path_fault():
            return
        fields = {"messageId": number, "feedback": FEEDBACK}
        if problem := object_with(fields, ["messageId", "feedback"])("", body):
            self.respond_error(400, problem)
        else:
            self.respond_json({"success": True})


class ConversationHandler(WidgetHandler):
    """Tornado request handler that sends a session's messages: GET /api/widget/conversation.

    No token is needed.
    """

    async def get(self) -> None:
        """Send the messages of a session. If the session does not exist, send a 404 response.

        Both responses are undocumented.
        """
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
    """Tornado request handler that deletes a session: POST /api/widget/conversation/delete.

    No token is needed.
    """

    async def post(self) -> None:
        """Delete a session. If the session does not exist, send a 404 response.

        Both responses are undocumented.
        """
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
    """Tornado request handler that creates URLs for a new file: GET /widget/get-signed-url.

    The client uploads the file to one of the URLs. A later request can name the file.
    """

    async def get(self) -> None:
        """Send two URLs for a new file: one for the upload and one for the download.

        The client token is optional, but a wrong token is rejected. The account's API key is also
        valid.
        """
        fault = self.take_fault()
        if await self.respond_fault(fault):
            return
        # The documentation shows no token here. The author of a client reports that the account's
        # API key is accepted.
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
