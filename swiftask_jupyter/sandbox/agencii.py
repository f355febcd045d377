"""Serve the `agencii` dialect: POST /get_completion (alias /get_response) and /create_new_chat.

A dialect is one of the HTTP APIs that the sandbox imitates. In this dialect the server stores the
conversations. A stored conversation is called a chat. A request names an agent by the id of an
integration (see `Integration`).

The documentation writes each path without a trailing slash. All known clients send a trailing
slash. The sandbox accepts both forms.
"""

from datetime import UTC, datetime
from typing import Any

from .agent_run import AgentRun
from .agents import AgentInput
from .handler import Route, encode_json
from .integrations import Integration, derived_id
from .sessions import StoredSession
from .state import SandboxState
from .validation import Rule, array_of, object_with
from .whole_reply import WholeReplyHandler

MISSING_FIELDS = "Your JSON payload is missing required fields. Please consult the documentation."
"""The documented error message of a 400 response; also sent if the body is malformed JSON."""


def routes(state: SandboxState) -> list[Route]:
    """Return the tornado routes of the `agencii` dialect.

    A trailing slash in the URL path is optional.
    """
    arguments = {"state": state}
    return [
        (r"/(?:get_completion|get_response)/?", GetCompletionHandler, arguments),
        (r"/create_new_chat/?", CreateChatHandler, arguments),
    ]


def _string(name: str, value: Any) -> str | None:
    return None if isinstance(value, str) else f'"{name}" must be a string'


def _nullable(rule: Rule) -> Rule:
    return lambda name, value: None if value is None else rule(name, value)


ATTACHMENT = object_with(
    {"file_id": _string, "tools": array_of(object_with({"type": _string}, ["type"]))},
    ["file_id", "tools"],
)
FIELDS: dict[str, Rule] = {
    "message": _string,
    "apiIntegrationId": _string,
    "chatId": _nullable(_string),
    "attachments": _nullable(array_of(ATTACHMENT)),
    "additionalInstructions": _nullable(_string),
    "aliasChatId": _nullable(_string),
}


class AgenciiHandler(WholeReplyHandler):
    """Base class of the request handlers of the `agencii` dialect.

    The class checks the access token and finds the integration that a request names.
    """

    error_shape = "detail"
    not_json = MISSING_FIELDS

    def check_agencii_token(self) -> bool:
        """Return True if the request has the bearer token `Sandbox.agencii_token`.

        Otherwise, send a 401 response and return False.
        """
        if self.has_bearer_token(self.state.agencii_token):
            return True
        self.respond_error(401, "Invalid or missing authorization token.")  # documented
        return False

    def new_id(self) -> str:
        """Return a random id of 20 letters and digits, like the ids in the `agencii` API."""
        return derived_id("id", self.state.random_id(24))

    def find_integration(self, body: dict[str, Any], *required: str) -> Integration | None:
        """Return the integration with the id in the body's field `apiIntegrationId`.

        If the body is invalid, or if no integration has the id, send a 400 response and return
        None.

        Args:
            body: the parsed JSON body.
            required: the names of the fields that the body must contain besides `apiIntegrationId`.
        """
        if any(name not in body for name in (*required, "apiIntegrationId")):
            self.respond_error(400, MISSING_FIELDS)
            return None
        # Unknown fields are ignored, because the documentation does not mention them.
        known = {name: value for name, value in body.items() if name in FIELDS}
        if problem := object_with(FIELDS)("", known):
            self.respond_error(400, problem)
            return None
        if (found := self.state.integrations.get(body["apiIntegrationId"])) is None:
            # The documents say "Ensure the apiIntegrationId corresponds to an existing
            # integration", but give no message. Of the three documented statuses, only 400 means
            # an invalid request.
            self.respond_error(400, "The API integration does not exist.")
        return found


class CreateChatHandler(AgenciiHandler):
    """Tornado request handler that creates an empty chat: POST /create_new_chat."""

    async def post(self) -> None:
        """Create an empty chat and send the chat's id as JSON."""
        if not self.check_agencii_token() or (body := self.read_json()) is None:
            return
        if await self.respond_fault(self.take_fault()):
            return
        if self.find_integration(body) is not None:
            chat_id = self.new_id()
            self.state.chats.get_or_create(_session_key(body, chat_id))
            self.respond_json({"chatId": chat_id})


class GetCompletionHandler(AgenciiHandler):
    """Tornado request handler that sends a message to an agent: POST /get_completion."""

    async def post(self) -> None:
        """Send the agent's reply as JSON or as plain text.

        The integration that the request names determines the format.
        """
        await self.run_until_disconnect(self._complete())

    async def _complete(self) -> None:
        if not self.check_agencii_token() or (body := self.read_json()) is None:
            return
        given_id = body.get("apiIntegrationId")
        known = self.state.integrations.get(given_id) if isinstance(given_id, str) else None
        fault = self.take_fault(known.slug if known else "")
        if await self.respond_fault(fault):
            return
        if (integration := self.find_integration(body, "message")) is None:
            return
        agent = self.state.agents[integration.slug]
        if not self.check_requirement(agent):
            return
        if (session := self._find_session(body)) is None:
            return
        question = self._user_message(body)
        # The documentation of `additionalInstructions` says "Appends additional instructions at
        # the end of the agent's instructions for the run". So the instructions are sent before
        # all messages, and are not stored with the chat.
        instructions = body.get("additionalInstructions")
        system = [{"role": "system", "content": instructions}] if instructions else []
        prompt = AgentInput((*system, *session.history, question))
        run = AgentRun(self.state, agent, prompt, fault, store_file=self.store_file)
        reply = await self._respond(run, integration, session)
        if reply is not None:
            self.state.chats.add_turn(session, question, reply)

    def _find_session(self, body: dict[str, Any]) -> StoredSession | None:
        """Return the stored chat that the request continues, or a new chat.

        A request names a chat by one of two fields. `chatId` is an id that the server generated. If
        no chat has this id, send a 400 response and return None. `aliasChatId` is an id that the
        client chose. If no chat has this id, create a chat. A request without an id gets a new
        chat.
        """
        # Inferred: an empty id is ignored. `chatId` takes precedence over `aliasChatId`. One alias
        # on two integrations refers to two chats.
        alias = body.get("aliasChatId") or None
        if given := body.get("chatId"):
            self._chat_id = given
            if (known := self.state.chats.find(_session_key(body, given))) is None:
                self.respond_error(400, "The chat does not exist.")  # undocumented
            return known
        alias_id = derived_id("alias", body["apiIntegrationId"], alias) if alias else None
        self._chat_id = alias_id or self.new_id()
        session = self.state.chats.get_or_create(_session_key(body, self._chat_id))
        session.alias = alias
        return session

    def _user_message(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the user's message as a dict with all attachments, and log the attachments."""
        message = {"role": "user", "content": body["message"]}
        if attachments := body.get("attachments"):
            # None, because the attachments refer to files stored at OpenAI.
            message["files"] = [{**each, "uploaded": None} for each in attachments]
            self.state.requests.update(self.record, files=message["files"])
        return message

    async def _respond(
        self, run: AgentRun, integration: Integration, session: StoredSession
    ) -> str | None:
        if integration.text_only:
            return await self.respond_whole(
                run,
                lambda text: text.encode(errors="replace"),
                content_type="text/plain; charset=utf-8",
            )
        return await self.respond_whole(
            run, lambda text: encode_json(self._response(text, run, integration, session))
        )

    def _response(
        self, text: str, run: AgentRun, integration: Integration, session: StoredSession
    ) -> dict[str, Any]:
        # The documents' example has microseconds and no time zone.
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        slug = integration.slug
        message = {
            "id": f"msg_{self.new_id()}",
            "content": text,
            "role": "assistant",
            "type": "text",
            "createdAt": now,
            "references": [],
            "fileIds": [f"file-{each['url'].split('/')[-2]}" for each in run.files],
            "assistantData": None,
            "functions": None,
        }
        return {
            "chatId": self._chat_id,
            "createdAt": now,
            "threadId": f"thread_{derived_id('thread', self._chat_id)}",
            "assistantId": derived_id("assistant", slug),
            "name": self.state.agents[slug].name or slug,
            "message": message,
            "numMessages": session.message_count + 2,
            # The documentation does not give the value for a chat without an alias.
            "aliasChatId": session.alias,
        }


def _session_key(body: dict[str, Any], chat_id: str) -> str:
    return f"agencii/{body['apiIntegrationId']}/{chat_id}"
