"""`/api/widget/*`: the routes of Swiftask's embedded chat, documented by examples alone.

The agent's client token goes into the query (`clientToken`), so these URLs are as secret as the
token. The session id is a string of our own, and the server keeps the conversation. Bodies of
responses are not documented, but for the signed upload URL's.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from swiftask_jupyter.errors import ServiceError
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import Protocol, Request
from swiftask_jupyter.protocols.native import Native

POSITIVE = "POSITIVE"
NEGATIVE = "NEGATIVE"  # inferred: the documents show the other one only


class Widget(Native):
    """The widget dialect: answers as the native one does; `root` ends in `/api`."""

    name = "widget"
    takes_history = False
    owns_conversation = True
    takes_alias = True
    takes_files = False
    takes_system = False
    credential = "the widget takes an agent's client token; of a Sandbox: box.client_token(slug)"

    def request(self, prompt: Prompt) -> Request:
        """Return the request; the client token says which agent is asked."""
        session = prompt.conversation if prompt.conversation is not None else prompt.alias
        body = {"input": prompt.text, "sessionId": str(session), **prompt.options}
        return self._call("POST", "/widget/ai", body)

    def alternative(self, error: ServiceError) -> Protocol | None:  # noqa: ARG002 - as its base
        """Return `None`: a session's name of ours is no number, and the token has no other way."""
        return None

    def config(self) -> Request:
        """Return the request for the widget's appearance."""
        return self._call("GET", "/widget/config")

    def feedback(self, feedback: str, comment: str, session: int | str) -> Request:
        """Return the request that says how a whole conversation was."""
        body = {"feedback": feedback, "comment": comment, "sessionId": session}
        return self._call("POST", "/widget/feedback", body)

    def like(self, message: int | str, feedback: str) -> Request:
        """Return the request that says how one message was."""
        body = {"messageId": message, "feedback": feedback}
        return self._call("POST", "/widget/like-dislike", body, with_token=False)

    def conversation(self, session: int | str) -> Request:
        """Return the request for what was said in a session."""
        return self._call(
            "GET", "/widget/conversation", query={"sessionId": str(session)}, with_token=False
        )

    def delete(self, session: int | str) -> Request:
        """Return the request that deletes a session's conversation."""
        return self._call(
            "POST", "/widget/conversation/delete", {}, {"sessionId": str(session)}, with_token=False
        )

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        with_token: bool = True,  # the documents show none on some routes
    ) -> Request:
        token = {"clientToken": self.token.reveal()} if with_token else {}
        asked = urlencode({**token, **(query or {})})
        return Request(
            method,
            f"{self.root}{path}?{asked}" if asked else self.root + path,
            {"Content-Type": "application/json"} if body is not None else {},
            msgspec.json.encode(body) if body is not None else b"",
        )
