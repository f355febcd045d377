"""The `widget` dialect: `/api/widget/*`, the routes of Swiftask's embedded chat.

The documentation gives only examples of these routes. It specifies only one response: the signed
URL for an upload. The agent's client token is sent in the URL, as the query parameter
`clientToken`, so the URLs must be kept secret. The service stores the conversation under a session
id that the client chooses.
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
    """The dialect for the embedded chat widget's API; `base_url` must end in `/api`.

    `Native` is the base class because both APIs answer with the same JSON form.
    """

    name = "widget"
    takes_history = False
    owns_conversation = True
    takes_alias = True
    takes_files = False
    takes_system = False
    auth_advice = "the widget takes an agent's client token; of a Sandbox: box.client_token(slug)"

    def request(self, prompt: Prompt) -> Request:
        """Return the POST request for a prompt.

        The request does not contain the agent's slug, because the client token identifies the
        agent.
        """
        session = prompt.conversation if prompt.conversation is not None else prompt.alias
        body = {"input": prompt.text, "sessionId": str(session), **prompt.options}
        return self._route("POST", "/widget/ai", body)

    def fallback(self, error: ServiceError) -> Protocol | None:  # noqa: ARG002 - as in the base class
        """Return `None`: this dialect has no variant.

        The variant of `Native` sends `sessionId` as a string. `Widget` always sends a string.
        """
        return None

    def config(self) -> Request:
        """Return the GET request for the appearance of the widget, such as colours and avatar."""
        return self._route("GET", "/widget/config")

    def feedback(self, feedback: str, comment: str, session: int | str) -> Request:
        """Return the POST request that rates a whole conversation.

        Args:
            feedback: the rating, `POSITIVE` or `NEGATIVE`.
            comment: the user's comment; may be empty.
            session: the session id of the conversation.
        """
        body = {"feedback": feedback, "comment": comment, "sessionId": session}
        return self._route("POST", "/widget/feedback", body)

    def like(self, message: int | str, feedback: str) -> Request:
        """Return the POST request that rates one message.

        Args:
            message: the id of the message.
            feedback: the rating, `POSITIVE` or `NEGATIVE`.
        """
        body = {"messageId": message, "feedback": feedback}
        return self._route("POST", "/widget/like-dislike", body, with_token=False)

    def conversation(self, session: int | str) -> Request:
        """Return the GET request for the messages of the conversation with this session id."""
        return self._route(
            "GET", "/widget/conversation", query={"sessionId": str(session)}, with_token=False
        )

    def delete(self, session: int | str) -> Request:
        """Return the POST request that deletes the conversation with this session id."""
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
        """Return a request to one route of the widget's API.

        Args:
            method: the HTTP method.
            path: the path of the route, which is appended to `base_url`.
            body: the object to send as JSON; `None` for no body.
            query: the query parameters without the token.
            with_token: whether to send the client token as a query parameter. According to the
                documentation, some routes take no token.
        """
        token = {"clientToken": self.token.reveal()} if with_token else {}
        parameters = urlencode({**token, **(query or {})})
        return Request(
            method,
            f"{self.base_url}{path}?{parameters}" if parameters else self.base_url + path,
            {"Content-Type": "application/json"} if body is not None else {},
            msgspec.json.encode(body) if body is not None else b"",
        )
