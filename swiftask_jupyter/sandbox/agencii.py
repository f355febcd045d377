"""The platform of POST /get_completion, newly called /get_response; it keeps the chat itself.

Documented without a slash at the end, and called with one by every client seen: both are here.
"""

from datetime import UTC, datetime
from typing import Any

from .agents import Question
from .handler import Route, as_json
from .integrations import Integration, made_up
from .rules import Rule, array, record
from .sessions import Conversation
from .state import SandboxState
from .turn import Turn
from .whole_reply import WholeReplyHandler

MISSING = "Your JSON payload is missing required fields. Please consult the documentation."
"""The documented 400, also for JSON that is malformed."""


def routes(room: SandboxState) -> list[Route]:
    """Where this dialect is spoken; a fault for the path takes one of the names away."""
    here = {"room": room}
    return [
        (r"/(?:get_completion|get_response)/?", CompletionHandler, here),
        (r"/create_new_chat/?", CreateChatHandler, here),
    ]


def _string(name: str, given: Any) -> str | None:
    return None if isinstance(given, str) else f'"{name}" must be a string'


def _nullable(rule: Rule) -> Rule:
    return lambda name, given: None if given is None else rule(name, given)


ATTACHMENT = record(
    {"file_id": _string, "tools": array(record({"type": _string}, ["type"]))}, ["file_id", "tools"]
)
FIELDS: dict[str, Rule] = {
    "message": _string,
    "apiIntegrationId": _string,
    "chatId": _nullable(_string),
    "attachments": _nullable(array(ATTACHMENT)),
    "additionalInstructions": _nullable(_string),
    "aliasChatId": _nullable(_string),
}


class Platform(WholeReplyHandler):
    """A request with the platform's own token, about one integration."""

    shape = "detail"
    not_json = MISSING

    def admitted(self) -> bool:
        """Whether the bearer token is the platform's; answers 401 if not."""
        if self.bears(self.room.agencii_token):
            return True
        self.refuse(401, "Invalid or missing authorization token.")  # documented
        return False

    def new_id(self) -> str:
        """A made-up id as the platform's are."""
        return made_up("id", self.room.letters(24))

    def integration(self, body: dict[str, Any], *required: str) -> Integration | None:
        """The integration that a good request names; answers 400 and gives None otherwise."""
        if any(name not in body for name in (*required, "apiIntegrationId")):
            self.refuse(400, MISSING)
            return None
        # Undocumented: keys that no page names. They are not looked at.
        known = {name: value for name, value in body.items() if name in FIELDS}
        if problem := record(FIELDS)("", known):
            self.refuse(400, problem)
            return None
        if (found := self.room.integrations.get(body["apiIntegrationId"])) is None:
            # "Ensure the apiIntegrationId corresponds to an existing integration": no words, and
            # of the three statuses documented this is the one for a wrong request.
            self.refuse(400, "The API integration does not exist.")
        return found


class CreateChatHandler(Platform):
    """A new chat, before anything is said in it."""

    async def post(self) -> None:
        """Answers its id."""
        if not self.admitted() or (body := self.read_json()) is None:
            return
        if await self.misbehave(self.fault()):
            return
        if self.integration(body) is not None:
            chat = self.new_id()
            self.room.chats.of(_key(body, chat))
            self.give({"chatId": chat})


class CompletionHandler(Platform):
    """A message to the agent of an integration."""

    async def post(self) -> None:
        """Answers it."""
        await self.attend(self._ask())

    async def _ask(self) -> None:
        if not self.admitted() or (body := self.read_json()) is None:
            return
        named = body.get("apiIntegrationId")
        known = self.room.integrations.get(named) if isinstance(named, str) else None
        fault = self.fault(known.slug if known else "")
        if await self.misbehave(fault):
            return
        if (integration := self.integration(body, "message")) is None:
            return
        agent = self.room.agents[integration.slug]
        if not self.ready(agent):
            return
        if (conversation := self._conversation(body)) is None:
            return
        asked = self._message(body)
        # "Appends additional instructions at the end of the agent's instructions for the run":
        # before everything said, and not remembered.
        more = body.get("additionalInstructions")
        told = [{"role": "system", "content": more}] if more else []
        question = Question((*told, *conversation.said, asked))
        turn = Turn(self.room, agent, question, fault, keep=self.keep)
        said = await self._tell(turn, integration, conversation)
        if said is not None:
            self.room.chats.remember(conversation, asked, said)

    def _conversation(self, body: dict[str, Any]) -> Conversation | None:
        """The chat asked for, or a new one; answers 400 and gives None for an unknown id."""
        # Inferred: an empty id is none, the platform's id counts for more than the client's, and
        # an alias is one integration's own.
        alias = body.get("aliasChatId") or None
        if given := body.get("chatId"):
            self._chat = given
            if (known := self.room.chats.find(_key(body, given))) is None:
                self.refuse(400, "The chat does not exist.")  # undocumented
            return known
        named = made_up("alias", body["apiIntegrationId"], alias) if alias else None
        self._chat = named or self.new_id()
        conversation = self.room.chats.of(_key(body, self._chat))
        conversation.alias = alias
        return conversation

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the user says, with the files named, whose bytes are not here but at OpenAI."""
        message = {"role": "user", "content": body["message"]}
        if given := body.get("attachments"):
            message["files"] = [{**each, "uploaded": None} for each in given]
            self.room.requests.note(self.seen, files=message["files"])
        return message

    async def _tell(
        self, turn: Turn, integration: Integration, conversation: Conversation
    ) -> str | None:
        if integration.text_only:
            kind = "text/plain; charset=utf-8"
            return await self.tell(turn, lambda said: said.encode(errors="replace"), kind=kind)
        return await self.tell(
            turn, lambda said: as_json(self._answer(said, turn, integration, conversation))
        )

    def _answer(
        self, said: str, turn: Turn, integration: Integration, conversation: Conversation
    ) -> dict[str, Any]:
        # The example of the documents has no time zone, and microseconds.
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        slug = integration.slug
        message = {
            "id": f"msg_{self.new_id()}",
            "content": said,
            "role": "assistant",
            "type": "text",
            "createdAt": now,
            "references": [],
            "fileIds": [f"file-{each['url'].split('/')[-2]}" for each in turn.files],
            "assistantData": None,
            "functions": None,
        }
        return {
            "chatId": self._chat,
            "createdAt": now,
            "threadId": f"thread_{made_up('thread', self._chat)}",
            "assistantId": made_up("assistant", slug),
            "name": self.room.agents[slug].name or slug,
            "message": message,
            "numMessages": conversation.total + 2,
            # Undocumented: what stands here when the client gave none.
            "aliasChatId": conversation.alias,
        }


def _key(body: dict[str, Any], chat: str) -> str:
    return f"agencii/{body['apiIntegrationId']}/{chat}"
