"""The `native` dialect: `POST /api/ai/{slug}`, Swiftask's own API, with one JSON answer.

Documented: a Bearer token (an API key or the agent's client token), and the fields `input`,
`messageHistory`, `sessionId`, `files` and `documentAnalysisMode`. The documents contradict each
other: `sessionId` is a number in the schema and the examples, and a string in the troubleshooting
page; the answer's keys are printed with and without a leading `$`; and token counts have two sets
of names. All of these are read. What is not documented is not sent.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import Conversation, Delta, Event, Raw, Usage
from swiftask_jupyter.prompts.prompt import Attachment, Prompt
from swiftask_jupyter.protocols.base import Decoder, JSONBodyDecoder, Protocol, plausible_usage
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.structs import replace


class Native(Protocol):
    """The native dialect; `base_url` ends in `/api`.

    Args:
        base_url: the service's address.
        token: the API key or client token.
        session_type: the type that `sessionId` is sent as.
    """

    name = "native"
    base_path = "/api"
    streams = False
    takes_history = True
    owns_conversation = False
    takes_files = True
    takes_system = True

    def __init__(self, base_url: str, token: Secret, session_type: type[int | str] = int) -> None:
        super().__init__(base_url, token)
        self._session_type = session_type

    def prepare(self, prompt: Prompt) -> Generator[Request, tuple[ResponseHead, bytes], Prompt]:
        """Upload the attachments that have content, and return the prompt with their URLs."""
        files = []
        for attachment in prompt.attachments:
            if attachment.content is None:
                files.append(attachment)
            else:
                url = yield from self._upload(attachment)
                files.append(replace(attachment, content=None, url=url))
        return replace(prompt, attachments=tuple(files))

    def _upload(self, file: Attachment) -> Generator[Request, tuple[ResponseHead, bytes], str]:
        """Get a signed URL, PUT the file to it, and return the URL that names the file.

        The signature authorizes the PUT: a token would invalidate it, and would leak to the
        storage provider.
        """
        query = urlencode({"fileName": file.name, "clientToken": self.token.reveal()})
        origin = self.base_url.removesuffix(self.base_path)
        head, body = yield Request("GET", f"{origin}/widget/get-signed-url?{query}", {})
        if head.status != 200:
            raise self.error(head, body, "")
        upload_url, file_url = parse_upload_urls(body)
        head, body = yield Request(
            "PUT", upload_url, {"Content-Type": file.type}, file.content or b"", file.name
        )
        if head.status >= 300:
            raise self.error(head, body, "")
        return file_url

    def request(self, prompt: Prompt) -> Request:
        """Return the request; it has a `sessionId` only if the service has named one."""
        body: dict[str, object] = {"input": prompt.text}
        if prompt.attachments:
            body["files"] = [
                {"url": file.url, "name": file.name, "type": file.type}
                | ({"size": file.size} if file.size else {})
                for file in prompt.attachments
            ]
            body["documentAnalysisMode"] = "ADVANCED"  # as seen from clients that send files
        if prompt.conversation is not None:
            body["sessionId"] = self._session_id(prompt.conversation)
        if prompt.history:
            body["messageHistory"] = [
                {"role": each.role, "content": each.text} for each in prompt.history
            ]
        return Request(
            "POST",
            f"{self.base_url}/ai/{quote(prompt.agent, safe='')}",
            {**self.authorization(), "Content-Type": "application/json"},
            msgspec.json.encode({**body, **prompt.options}),
        )

    def _session_id(self, known: int | str) -> int | str:
        try:
            return self._session_type(known)
        except ValueError:  # the service's ids are not numbers: send back what it sent
            return known

    def decoder(self, head: ResponseHead) -> Decoder:
        """Return a decoder for the JSON answer."""
        return AnswerDecoder(self, head)

    def fallback(self, error: errors.ServiceError) -> Protocol | None:
        """Return a variant that sends `sessionId` as a string, if a 400 objects to its type."""
        message = str(error).lower()
        about_the_type = "session" in message and ("string" in message or "number" in message)
        if error.status == 400 and about_the_type and self._session_type is int:
            return Native(self.base_url, self.token, str)
        return None


class AnswerDecoder(JSONBodyDecoder):
    """Decodes the JSON answer, whose keys may begin with `$`."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield the answer's events.

        Raises:
            ServiceError: the answer reports a failure in spite of its status 200.
        """
        fields = {key.removeprefix("$"): value for key, value in body.items()}
        text = fields.pop("text", None)
        text = text if isinstance(text, str) else ""
        if fields.get("isSubscriptionUsageLimitReachedMessage") is True:
            raise errors.RateLimited(
                f"the subscription's limit is reached: {self.mask(text)}", status=200
            )
        if fields.get("isBotError") is True:
            raise errors.ServiceError(
                f"the agent failed: {self.mask(text) or 'it does not say why'}", status=200
            )
        if text:
            yield Delta(text)
        yield _usage(fields, has_text=bool(text))
        session = fields.get("sessionId")
        if isinstance(session, int | str) and not isinstance(session, bool) and session != "":
            yield Conversation(session)
        yield Raw(fields)


def parse_upload_urls(body: bytes) -> tuple[str, str]:
    """Return the URL to PUT a file to, and the URL that then names the file.

    Documented: `{signedUrl, fileUrl}`, where `fileUrl` names the file. Seen in practice:
    `{url, fileUrl}`, where `url`, which has no query, does both.

    Raises:
        StreamError: the body holds neither `url` nor `signedUrl`.
    """
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        if isinstance(url := answer.get("url"), str) and url:
            return url, url
        upload_url, file_url = answer.get("signedUrl"), answer.get("fileUrl")
        if isinstance(upload_url, str) and upload_url:
            if isinstance(file_url, str) and file_url:
                return upload_url, file_url
            return upload_url, upload_url.partition("?")[0]
    raise errors.StreamError("the service gave no URL to upload to")


def _usage(fields: dict[str, Any], *, has_text: bool) -> Usage:
    """Return the token counts under either of their documented names, and the raw credits.

    `totalBotUsage` is documented once as the request's usage and once as the session's, in no
    unit, so its value is kept unchanged as credits.
    """
    token_usage = fields.get("tokenUsage")
    tokens: dict[str, Any] = token_usage if isinstance(token_usage, dict) else {}
    usage_detail = fields.get("usageDetail")
    older: dict[str, Any] = usage_detail if isinstance(usage_detail, dict) else {}
    sent, generated = tokens.get("inputTokens"), tokens.get("outputTokens")
    return plausible_usage(
        older.get("totalInputTokens") if sent is None else sent,
        older.get("totalOutputTokens") if generated is None else generated,
        tokens.get("totalTokens"),
        source="api",
        has_text=has_text,
        credits=fields.get("totalBotUsage"),
    )
