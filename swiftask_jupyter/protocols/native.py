"""`POST /api/ai/{slug}`: Swiftask's own API, one JSON answer at the end.

Documented: Bearer token (an API key or the agent's client token), `input`, `messageHistory`,
`sessionId`, `files`, `documentAnalysisMode`. The documents contradict each other on the type of
`sessionId` (a number in the schema and the examples, a string in the troubleshooting), print the
answer's keys with and without a `$`, and name token counts in two ways; all are read. What is
not documented is not sent.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Conversation, Delta, Event, Raw, Usage
from swiftask_jupyter.prompts.prompt import Attachment, Prompt
from swiftask_jupyter.protocols.base import BodyDecoder, Decoder, Protocol, Request, counted
from swiftask_jupyter.protocols.errors import Head
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.structs import replace


class Native(Protocol):
    """The native dialect; `root` is the address that ends in `/api`."""

    name = "native"
    family = "/api"
    streams = False
    takes_history = True
    owns_conversation = False
    takes_files = True
    takes_system = True

    def __init__(self, root: str, token: Secret, session_type: type[int | str] = int) -> None:
        super().__init__(root, token)
        self._session_type = session_type

    def prepare(self, prompt: Prompt) -> Generator[Request, tuple[Head, bytes], Prompt]:
        """Upload what is not on the web yet; then every file is one that a URL names."""
        files = []
        for attachment in prompt.attachments:
            if attachment.content is None:
                files.append(attachment)
            else:
                url = yield from self._upload(attachment)
                files.append(replace(attachment, content=None, url=url))
        return replace(prompt, attachments=tuple(files))

    def _upload(self, file: Attachment) -> Generator[Request, tuple[Head, bytes], str]:
        """Sign, then put. The signature is the permission: a token would break it, and leak."""
        query = urlencode({"fileName": file.name, "clientToken": self.token.reveal()})
        origin = self.root.removesuffix(self.family)
        head, body = yield Request("GET", f"{origin}/widget/get-signed-url?{query}", {})
        if head.status != 200:
            raise self.error(head, body, "")
        put, reference = signed(body)
        head, body = yield Request(
            "PUT", put, {"Content-Type": file.type}, file.content or b"", file.name
        )
        if head.status >= 300:
            raise self.error(head, body, "")
        return reference

    def request(self, prompt: Prompt) -> Request:
        """Return the request for the prompt; a session id that is not known is left out."""
        body: dict[str, object] = {"input": prompt.text}
        if prompt.attachments:
            body["files"] = [
                {"url": file.url, "name": file.name, "type": file.type}
                | ({"size": file.size} if file.size else {})
                for file in prompt.attachments
            ]
            body["documentAnalysisMode"] = "ADVANCED"  # as clients with files were seen to ask
        if prompt.conversation is not None:
            body["sessionId"] = self._session_id(prompt.conversation)
        if prompt.history:
            body["messageHistory"] = [
                {"role": said.role, "content": said.text} for said in prompt.history
            ]
        return Request(
            "POST",
            f"{self.root}/ai/{quote(prompt.agent, safe='')}",
            {**self.authorization(), "Content-Type": "application/json"},
            msgspec.json.encode({**body, **prompt.options}),
        )

    def _session_id(self, known: int | str) -> int | str:
        try:
            return self._session_type(known)
        except ValueError:  # a service that named its sessions otherwise gets its own name back
            return known

    def decoder(self, head: Head) -> Decoder:
        """Return a reader for the JSON answer."""
        return AnswerDecoder(self, head)

    def alternative(self, error: errors.ServiceError) -> Protocol | None:
        """Send the session id as the other type where a 400 asks for it, once."""
        said = str(error).lower()
        about_it = "session" in said and ("string" in said or "number" in said)
        if error.status == 400 and about_it and self._session_type is int:
            return Native(self.root, self.token, str)
        return None


def signed(body: bytes) -> tuple[str, str]:
    """Return the URL to put a file to and the URL that then names it.

    Documented: `{signedUrl, fileUrl}`, where the file's URL is given. Seen in practice:
    `{url, fileUrl}`, where the bare `url` takes the file and names it.

    Raises:
        StreamError: neither is there.
    """
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        if isinstance(url := answer.get("url"), str) and url:
            return url, url
        put, named = answer.get("signedUrl"), answer.get("fileUrl")
        if isinstance(put, str) and put:
            return put, named if isinstance(named, str) and named else put.partition("?")[0]
    raise errors.StreamError("the service gave no URL to upload to")


class AnswerDecoder(BodyDecoder):
    """Reads the JSON answer."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield what the answer holds.

        Raises:
            ServiceError: it is a failure of status 200.
        """
        fields = {key.removeprefix("$"): value for key, value in body.items()}
        text = fields.pop("text", None)
        text = text if isinstance(text, str) else ""
        if fields.get("isSubscriptionUsageLimitReachedMessage") is True:
            raise errors.RateLimited(
                f"the subscription's limit is reached: {self.masked(text)}", status=200
            )
        if fields.get("isBotError") is True:
            raise errors.ServiceError(
                f"the agent failed: {self.masked(text) or 'it does not say why'}", status=200
            )
        if text:
            yield Delta(text)
        yield usage_of(fields, answered=bool(text))
        session = fields.get("sessionId")
        if isinstance(session, int | str) and not isinstance(session, bool) and session != "":
            yield Conversation(session)
        yield Raw(fields)


def usage_of(fields: dict[str, Any], *, answered: bool) -> Usage:
    """Return the usage under either of its documented names, and the credits as they are.

    `totalBotUsage` is documented once as the request's and once as the session's usage, in no
    unit: it is kept raw.
    """
    named = fields.get("tokenUsage")
    tokens: dict[str, Any] = named if isinstance(named, dict) else {}
    detail = fields.get("usageDetail")
    older: dict[str, Any] = detail if isinstance(detail, dict) else {}
    sent, made = tokens.get("inputTokens"), tokens.get("outputTokens")
    return counted(
        older.get("totalInputTokens") if sent is None else sent,
        older.get("totalOutputTokens") if made is None else made,
        tokens.get("totalTokens"),
        source="api",
        answered=answered,
        credits=fields.get("totalBotUsage"),
    )
