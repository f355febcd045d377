"""The `widget` dialect: `/api/widget/*`, the routes of Swiftask's embedded chat.

These routes are documented by examples alone. The agent's client token goes into the query
(`clientToken`), so the URLs are as secret as the token. The session id is a string that we choose,
and the service stores the conversation. Of the response bodies, only the signed upload URL's is
documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from swiftask_jupyter.errors import ServiceError
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import Protocol
from swiftask_jupyter.protocols.http import Request
from swiftask_jupyter.protocols.native import Native

POSITIVE = "POSITIVE"
NEGATIVE = "NEGATIVE"  # undocumented: inferred from POSITIVE


class Widget(Native):
    """The widget dialect: answers have the native form; `base_url` ends in `/api`."""

    name = "widget"
    takes_history = False
    owns_conversation = True
    takes_alias = True
    takes_files = False
    takes_system = False
    auth_advice = "the widget takes an agent's client token; of a Sandbox: box.client_token(slug)"

    def request(self, prompt: Prompt) -> Request:
        """Return the request; it names no agent, because the client token does."""
        session = prompt.conversation if prompt.conversation is not None else prompt.alias
        body = {"input": prompt.text, "sessionId": str(session), **prompt.options}
        return self._route("POST", "/widget/ai", body)

    def fallback(self, error: ServiceError) -> Protocol | None:  # noqa: ARG002 - as in the base class
        """Return `None`: the session ids are strings of ours, and the token fits no other route."""
        return None

    def config(self) -> Request:
        """Return the request for the widget's appearance."""
        return self._route("GET", "/widget/config")

    def feedback(self, feedback: str, comment: str, session: int | str) -> Request:
        """Return the request that rates a whole conversation.

        Args:
            feedback: `POSITIVE` or `NEGATIVE`.
            comment: the user's comment; may be empty.
            session: the conversation's id.
        """
        body = {"feedback": feedback, "comment": comment, "sessionId": session}
        return self._route("POST", "/widget/feedback", body)

    def like(self, message: int | str, feedback: str) -> Request:
        """Return the request that rates one message.

        Args:
            message: the message's id.
            feedback: `POSITIVE` or `NEGATIVE`.
        """
        body = {"messageId": message, "feedback": feedback}
        return self._route("POST", "/widget/like-dislike", body, with_token=False)

    def conversation(self, session: int | str) -> Request:
        """Return the request for a conversation's messages."""
        return self._route(
            "GET", "/widget/conversation", query={"sessionId": str(session)}, with_token=False
        )

    def delete(self, session: int | str) -> Request:
        """Return the request that deletes a conversation."""
        return self._route(
            "POST", "/widget/conversation/delete", {}, {"sessionId": str(session)}, with_token=False
        )

    def _route(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        with_token: bool = True,
    ) -> Request:
        """Return a request to a widget route.

        Args:
            method: the HTTP method.
            path: the route's path after `base_url`.
            body: the JSON body; `None` for no body.
            query: query parameters besides the token.
            with_token: whether the query carries the client token; some documented routes do not.
        """
        token = {"clientToken": self.token.reveal()} if with_token else {}
        parameters = urlencode({**token, **(query or {})})
        return Request(
            method,
            f"{self.base_url}{path}?{parameters}" if parameters else self.base_url + path,
            {"Content-Type": "application/json"} if body is not None else {},
            msgspec.json.encode(body) if body is not None else b"",
        )
