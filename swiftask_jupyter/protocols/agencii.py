"""The `agencii` dialect: `POST /get_completion` of the Agencii platform.

According to its documentation, the API takes a Bearer token of the platform, the fields `message`
and `apiIntegrationId`, and one of two chat ids: the service creates `chatId`, the client creates
`aliasChatId`. The service stores the conversation.

The answer is JSON, or plain text if the agent is set to text only. A plain text answer contains no
chat id. Then later prompts repeat the `aliasChatId` of the first prompt.

The documentation now names the route `/get_response`. Existing clients still use
`/get_completion`. So `/get_completion` is tried first, and `/get_response` after status 404.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

import msgspec

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import ConversationId, Delta, Event, Raw
from swiftask_jupyter.prompts.prompt import ALIAS_PREFIX, Prompt
from swiftask_jupyter.protocols.base import Decoder, JSONBodyDecoder, Protocol
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.secrets import Secret

ROUTES = ("/get_completion", "/get_response")


class Agencii(Protocol):
    """The dialect for the Agencii platform; the agent's slug is sent as `apiIntegrationId`.

    Args:
        base_url: the root URL of the service.
        token: a token of the Agencii platform.
        route: the path of the POST request, one of `ROUTES`.
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
        """Return the POST request for a prompt.

        A conversation id from the service is sent as `chatId`. A conversation id that this package
        created is sent as `aliasChatId`. A prompt without a conversation id starts a new
        conversation, and `prompt.alias` is sent as `aliasChatId`.
        """
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
        """Return a decoder for plain text or for JSON, depending on the response's content type."""
        if head.media_type == "text/plain":
            return AgenciiTextDecoder()
        return AgenciiJSONDecoder(self, head)

    def fallback(self, error: errors.ServiceError) -> Protocol | None:
        """Return a variant of this dialect that uses the route `/get_response`, or `None`.

        The variant is returned if the service answered with status 404 on `/get_completion`.
        """
        if error.status == 404 and self._route == ROUTES[0]:
            return Agencii(self.base_url, self.token, ROUTES[1])
        return None


class AgenciiJSONDecoder(JSONBodyDecoder):
    """Decodes a JSON answer of the form `{"message": {"content": "…"}, "chatId": "…", …}`."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield the chat id, the text and the remaining fields of the answer as events.

        Raises:
            StreamError: the object contains no message.
        """
        message = body.get("message")
        if not isinstance(message, dict) or not isinstance(message.get("content", ""), str):
            raise errors.StreamError("the answer holds no message")
        text = message.pop("content", "")
        if isinstance(chat := body.get("chatId"), str) and chat:
            yield ConversationId(chat)
        if text:
            yield Delta(text)
        yield Raw(body)


class AgenciiTextDecoder(Decoder):
    """Decodes an answer that is plain text in UTF-8."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, data: bytes) -> Iterator[Event]:
        """Decode the bytes and yield the text.

        If the bytes end inside a character, the incomplete character is kept for the next call.
        """
        if text := self._decode(data):
            yield Delta(text)

    def finish(self) -> Iterator[Event]:
        """Yield U+FFFD if the response ended inside a character; otherwise yield nothing."""
        if text := self._decode(b"", final=True):
            yield Delta(text)
