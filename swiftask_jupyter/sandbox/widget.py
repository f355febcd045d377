"""The widget's dialect: one agent, known by its client token in the query, and its visitors.

The documents show these calls and next to nothing of their answers; where an answer's shape is
said to be undocumented below, it is the smallest sensible thing.
"""

import hmac
from typing import Any

from .faults import Fault
from .handler import Route
from .native import Asked, NativeHandler, schema
from .rules import number, one_of, record, text
from .state import SandboxState

FEEDBACK = one_of("POSITIVE", "NEGATIVE")
"""Documented is only the first; the second is inferred."""


def routes(room: SandboxState) -> list[Route]:
    """Where this dialect is spoken; the last path has no /api, as the documents print it."""
    here = {"room": room}
    return [
        (r"/api/widget/ai", WidgetAskHandler, here),
        (r"/api/widget/config", ConfigHandler, here),
        (r"/api/widget/feedback", FeedbackHandler, here),
        (r"/api/widget/like-dislike", LikeHandler, here),
        (r"/api/widget/conversation", ConversationHandler, here),
        (r"/api/widget/conversation/delete", DeleteConversationHandler, here),
        (r"/widget/get-signed-url", SignedUrlHandler, here),
    ]


class WidgetHandler(NativeHandler):
    """A request that may bring a client token."""

    def agent_asked(self) -> str | None:
        """The slug whose client token the query holds; answers 401 and gives None otherwise."""
        given = self.get_query_argument("clientToken", "", strip=False).encode()
        for slug, token in self.room.client_tokens.items():
            if hmac.compare_digest(given, token.encode()):
                return slug
        self.refuse(401, "Unauthorized: the client token is invalid or missing")
        return None

    def required(self, name: str) -> str | None:
        """A parameter of the query; answers 400 and gives None when it is missing."""
        if given := self.get_query_argument(name, ""):
            return given
        self.refuse(400, f'"{name}" is required')
        return None

    async def misbehaves(self) -> bool:
        """Whether a fault was ordered for this path, and answered."""
        return await self.misbehave(self.fault())


class WidgetAskHandler(WidgetHandler):
    """A visitor's question."""

    async def post(self) -> None:
        """Answers it."""
        await self.attend(self._ask())

    async def _ask(self) -> None:
        if (slug := self.agent_asked()) is None or (body := self.read_json()) is None:
            return
        fault = self.fault(slug)
        if await self.misbehave(fault):
            return
        fault = fault or Fault()
        # The list of fields is lost; documented is a call with input and sessionId. The others
        # of the native dialect are taken too (inferred).
        session_type = fault.session_type or "string"
        if problem := schema(session_type)("", body):
            self.refuse(400, problem)
            return
        agent = self.room.agents[slug]
        if not self.ready(agent):
            return
        visits = self.room.visits
        if (session := body.get("sessionId")) is None:
            session = visits.number() if session_type == "number" else str(visits.number())
        conversation = visits.of(session)
        # Inferred: a widget remembers its visitor's conversation, unless the request says
        # itself what was said before.
        told = self.messages(body, body.get("messageHistory", conversation.messages))
        said = await self.reply(Asked(slug, agent, told, session, conversation, fault))
        if said is not None:
            visits.remember(conversation, told[-1], said)


class ConfigHandler(WidgetHandler):
    """How the widget looks."""

    async def get(self) -> None:
        """Documented are colours and an avatar, without their keys: these are made up."""
        if (slug := self.agent_asked()) is None or await self.misbehaves():
            return
        name = self.room.agents[slug].name or slug
        colours = {"primaryColor": "#4f46e5", "textColor": "#ffffff"}
        self.give({"botSlug": slug, "name": name, "avatar": None, **colours})


class FeedbackHandler(WidgetHandler):
    """A visitor's opinion of a conversation."""

    async def post(self) -> None:
        """Takes it; the answer is undocumented."""
        if self.agent_asked() is None or (body := self.read_json()) is None:
            return
        if await self.misbehaves():
            return
        # The example gives a number here, and the widget's own session ids are strings: both pass.
        session = number if isinstance(body.get("sessionId"), int) else text
        rules = {"feedback": FEEDBACK, "comment": _comment, "sessionId": session}
        if problem := record(rules, ["feedback"])("", body):
            self.refuse(400, problem)
        else:
            self.give({"success": True})


class LikeHandler(WidgetHandler):
    """A visitor's opinion of one message; documented without any token."""

    async def post(self) -> None:
        """Takes it, whether the message is known or not; the answer is undocumented."""
        if (body := self.read_json()) is None or await self.misbehaves():
            return
        fields = ["messageId", "feedback"]
        if problem := record({"messageId": number, "feedback": FEEDBACK}, fields)("", body):
            self.refuse(400, problem)
        else:
            self.give({"success": True})


class ConversationHandler(WidgetHandler):
    """What was said in one session; documented without any token."""

    async def get(self) -> None:
        """Lists the messages; the answer, and that of an unknown session, is undocumented."""
        if await self.misbehaves() or (session := self.required("sessionId")) is None:
            return
        conversation = self.room.visits.find(session)
        if conversation is None:
            self.refuse(404, "the conversation does not exist")
            return
        self.give({"sessionId": session, "messages": conversation.messages})


class DeleteConversationHandler(WidgetHandler):
    """The end of one session; documented without any token."""

    async def post(self) -> None:
        """Forgets it; the answer, and that for an unknown session, is undocumented."""
        if await self.misbehaves() or (session := self.required("sessionId")) is None:
            return
        if self.room.visits.forget(session):
            self.give({"success": True})
        else:
            self.refuse(404, "the conversation does not exist")


class SignedUrlHandler(WidgetHandler):
    """Where to upload a file before it is named in a request."""

    async def get(self) -> None:
        """Answers two URLs; a token is not documented, but one that is sent must be good."""
        fault = self.fault()
        if await self.misbehave(fault):
            return
        # A client's author reports that the account's key is taken for a client token here.
        given = self.get_query_argument("clientToken", "", strip=False).encode()
        account = hmac.compare_digest(given, self.room.token.encode())
        if given and not account and self.agent_asked() is None:
            return
        if (name := self.required("fileName")) is None:
            return
        places = self.room.uploads.promise(name, fault or Fault())
        self.give({key: self.here(path) for key, path in places.items()})


def _comment(name: str, given: Any) -> str | None:
    return None if given == "" else text(name, given)
