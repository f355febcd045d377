"""The `agencii` dialect: `POST /get_completion` of the Agencii platform.

Documented: a Bearer token of the platform, `message`, `apiIntegrationId`, and either `chatId` or
an `aliasChatId` that the caller chooses. The answer is JSON, or plain text if the integration is
set to text only. The documents renamed the route to `/get_response` while clients kept using the
old name, so both are tried. The service stores the conversation; a plain text answer carries no
id, so our alias continues it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

import msgspec

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Conversation, Delta, Event, Raw
from swiftask_jupyter.prompts.prompt import ALIAS_PREFIX, Prompt
from swiftask_jupyter.protocols.base import Decoder, JSONBodyDecoder, Protocol
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.secrets import Secret

ROUTES = ("/get_completion", "/get_response")


class Agencii(Protocol):
    """The Agencii dialect; the agent is the `apiIntegrationId`.

    Args:
        base_url: the service's address.
        token: the platform's token.
        route: the path to POST to, one of `ROUTES`.
    """

    name = "agencii"
    base_path = ""
    streams = False
    takes_history = False
    owns_conversation = True
    takes_alias = True
    auth_advice = "agencii takes its platform's own token; of a Sandbox: box.agencii_token"

    def __init__(self, base_url: str, token: Secret, route: str = ROUTES[0]) -> None:
        super().__init__(base_url, token)
        self._route = route

    def request(self, prompt: Prompt) -> Request:
        """Return the request; it continues the chat by the service's id, or by our alias."""
        chat = prompt.alias if prompt.conversation is None else str(prompt.conversation)
        chat_key = "aliasChatId" if chat.startswith(ALIAS_PREFIX) else "chatId"
        body = {
            "message": prompt.text,
            "apiIntegrationId": prompt.agent,
            **({chat_key: chat} if chat else {}),
            **prompt.options,
        }
        return Request(
            "POST",
            self.base_url + self._route,
            {**self.authorization(), "Content-Type": "application/json"},
            msgspec.json.encode(body),
        )

    def decoder(self, head: ResponseHead) -> Decoder:
        """Return a decoder for JSON, or for the plain text of a text-only integration."""
        return TextDecoder() if head.media_type == "text/plain" else ChatDecoder(self, head)

    def fallback(self, error: errors.ServiceError) -> Protocol | None:
        """Return a variant with the route's other name, if this one is not found."""
        if error.status == 404 and self._route == ROUTES[0]:
            return Agencii(self.base_url, self.token, ROUTES[1])
        return None


class ChatDecoder(JSONBodyDecoder):
    """Decodes `{"message": {"content": "…"}, "chatId": "…", …}`."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield the answer's events."""
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
    """Decodes a plain text answer in UTF-8."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the text, except the first bytes of a character that is not complete yet."""
        if text := self._decode(data):
            yield Delta(text)

    def finish(self) -> Iterator[Event]:
        """Yield a replacement character for an incomplete character at the end."""
        if text := self._decode(b"", final=True):
            yield Delta(text)
