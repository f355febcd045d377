"""`POST /get_completion`: the Agencii platform.

Documented: Bearer platform token, `message`, `apiIntegrationId`, and `chatId` or an `aliasChatId`
of one's own; JSON, or plain text where the integration says so. The route was renamed
`/get_response` in the documents while clients went on using the old name: both are tried. The
server keeps the conversation; a plain text answer carries no id, so our alias keeps it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

import msgspec

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Conversation, Delta, Event, Raw
from swiftask_jupyter.prompts.prompt import ALIAS_PREFIX, Prompt
from swiftask_jupyter.protocols.base import BodyDecoder, Decoder, Protocol, Request
from swiftask_jupyter.protocols.errors import Head
from swiftask_jupyter.settings.secrets import Secret

ROUTES = ("/get_completion", "/get_response")


class Agencii(Protocol):
    """The Agencii dialect; the agent is the `apiIntegrationId`."""

    name = "agencii"
    family = ""
    streams = False
    takes_history = False
    owns_conversation = True
    takes_alias = True
    credential = "agencii takes its platform's own token; of a Sandbox: box.agencii_token"

    def __init__(self, root: str, token: Secret, route: str = ROUTES[0]) -> None:
        super().__init__(root, token)
        self._route = route

    def request(self, prompt: Prompt) -> Request:
        """Return the request; it continues the chat by its id, else by our alias."""
        known = prompt.alias if prompt.conversation is None else str(prompt.conversation)
        chat = (
            {"aliasChatId" if known.startswith(ALIAS_PREFIX) else "chatId": known} if known else {}
        )
        body = {
            "message": prompt.text,
            "apiIntegrationId": prompt.agent,
            **chat,
            **prompt.options,
        }
        return Request(
            "POST",
            self.root + self._route,
            {**self.authorization(), "Content-Type": "application/json"},
            msgspec.json.encode(body),
        )

    def decoder(self, head: Head) -> Decoder:
        """Return a reader for JSON, or for the plain text of a text-only integration."""
        return TextDecoder() if head.media_type == "text/plain" else ChatDecoder(self, head)

    def alternative(self, error: errors.ServiceError) -> Protocol | None:
        """Try the route's other name where this one is not found."""
        if error.status == 404 and self._route == ROUTES[0]:
            return Agencii(self.root, self.token, ROUTES[1])
        return None


class ChatDecoder(BodyDecoder):
    """Reads the JSON answer."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield what the answer holds."""
        message = body.get("message")
        if not isinstance(message, dict) or not isinstance(message.get("content", ""), str):
            raise errors.StreamError("the answer holds no message")
        text = message.pop("content", "")
        if isinstance(chat := body.get("chatId"), str) and chat:
            yield Conversation(chat)
        if text:
            yield Delta(text)
        yield Raw(body)


class TextDecoder(Decoder):
    """Reads plain text."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the text, but for the start of a character that is cut in two."""
        if text := self._decode(data):
            yield Delta(text)

    def finish(self) -> Iterator[Event]:
        """Yield what is left."""
        if text := self._decode(b"", final=True):
            yield Delta(text)
