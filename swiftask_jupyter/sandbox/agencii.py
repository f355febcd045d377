"""The dialect `agencii`: POST /get_completion, also named /get_response; the service stores chats.

The documents write the paths without a slash at the end, and every client seen calls them with
one; both are served.
"""

from datetime import UTC, datetime
from typing import Any

from .agents import Prompt
from .handler import Route, encode_json
from .integrations import Integration, derived_id
from .rules import Rule, array_of, object_with
from .sessions import StoredSession
from .state import SandboxState
from .turn import Turn
from .whole_reply import WholeReplyHandler

MISSING_FIELDS = "Your JSON payload is missing required fields. Please consult the documentation."
"""The documented message of status 400, also for malformed JSON."""


def routes(state: SandboxState) -> list[Route]:
    """Return the routes of this dialect, each with and without a slash at the end."""
    arguments = {"state": state}
    return [
        (r"/(?:get_completion|get_response)/?", CompletionHandler, arguments),
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
    """Base class of this dialect's handlers: checks the token and finds the integration."""

    error_shape = "detail"
    not_json = MISSING_FIELDS

    def check_agencii_token(self) -> bool:
        """Tell whether the bearer token is the platform's; respond 401 if it is not."""
        if self.has_bearer_token(self.state.agencii_token):
            return True
        self.respond_error(401, "Invalid or missing authorization token.")  # documented
        return False

    def new_id(self) -> str:
        """Return a new random id in the form of the platform's ids."""
        return derived_id("id", self.state.random_id(24))

    def find_integration(self, body: dict[str, Any], *required: str) -> Integration | None:
        """Return the integration that a valid body names; respond 400 and return None if invalid.

        Args:
            body: the parsed request.
            required: the fields it must have besides `apiIntegrationId`.
        """
        if any(name not in body for name in (*required, "apiIntegrationId")):
            self.respond_error(400, MISSING_FIELDS)
            return None
        # Undocumented: unknown fields. They are ignored.
        known = {name: value for name, value in body.items() if name in FIELDS}
        if problem := object_with(FIELDS)("", known):
            self.respond_error(400, problem)
            return None
        if (found := self.state.integrations.get(body["apiIntegrationId"])) is None:
            # The documents say "Ensure the apiIntegrationId corresponds to an existing
            # integration", but give no message. Of their three statuses, 400 is the one for a
            # wrong request.
            self.respond_error(400, "The API integration does not exist.")
        return found


class CreateChatHandler(AgenciiHandler):
    """Handler of POST /create_new_chat: creates an empty chat."""

    async def post(self) -> None:
        """Respond with the id of the new chat."""
        if not self.check_agencii_token() or (body := self.read_json()) is None:
            return
        if await self.respond_fault(self.take_fault()):
            return
        if self.find_integration(body) is not None:
            chat_id = self.new_id()
            self.state.chats.get_or_create(_session_key(body, chat_id))
            self.respond_json({"chatId": chat_id})


class CompletionHandler(AgenciiHandler):
    """Handler of POST /get_completion: sends a message to the agent of an integration."""

    async def post(self) -> None:
        """Respond with the agent's reply, as JSON or as plain text."""
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
        # "Appends additional instructions at the end of the agent's instructions for the run":
        # they come before all messages, and are not stored.
        instructions = body.get("additionalInstructions")
        system = [{"role": "system", "content": instructions}] if instructions else []
        prompt = Prompt((*system, *session.history, question))
        turn = Turn(self.state, agent, prompt, fault, store_file=self.store_file)
        reply = await self._respond(turn, integration, session)
        if reply is not None:
            self.state.chats.add_turn(session, question, reply)

    def _find_session(self, body: dict[str, Any]) -> StoredSession | None:
        """Return the chat that is asked for, or a new one; respond 400 to an unknown id.

        Inferred: an empty id counts as none, the platform's id takes precedence over the
        client's alias, and an alias belongs to one integration.
        """
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
        """Return the message with its attachments, whose bytes are at OpenAI, and record them."""
        message = {"role": "user", "content": body["message"]}
        if attachments := body.get("attachments"):
            message["files"] = [{**each, "uploaded": None} for each in attachments]
            self.state.requests.update(self.record, files=message["files"])
        return message

    async def _respond(
        self, turn: Turn, integration: Integration, session: StoredSession
    ) -> str | None:
        if integration.text_only:
            return await self.respond_whole(
                turn,
                lambda text: text.encode(errors="replace"),
                content_type="text/plain; charset=utf-8",
            )
        return await self.respond_whole(
            turn, lambda text: encode_json(self._response(text, turn, integration, session))
        )

    def _response(
        self, text: str, turn: Turn, integration: Integration, session: StoredSession
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
            "fileIds": [f"file-{each['url'].split('/')[-2]}" for each in turn.files],
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
            # Undocumented: the value if the client gave no alias.
            "aliasChatId": session.alias,
        }


def _session_key(body: dict[str, Any], chat_id: str) -> str:
    return f"agencii/{body['apiIntegrationId']}/{chat_id}"
