"""The `native` dialect: `POST /api/ai/{slug}`, Swiftask's own API, which answers with JSON.

According to its documentation, the API takes a Bearer token and the fields `input`,
`messageHistory`, `sessionId`, `files` and `documentAnalysisMode`. The token is an API key or the
agent's client token. Other fields are sent only if the user passes them as options.

The documentation contradicts itself. This dialect accepts all documented forms:

- `sessionId` is a number in the schema and in the examples, but a string on one page.
- The keys of the answer are printed with and without a leading `$`.
- Token counts have two sets of names.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from swiftask_jupyter import errors
from swiftask_jupyter.answers.turn import ConversationId, Delta, Event, Raw, Usage
from swiftask_jupyter.prompts.prompt import Attachment, Prompt
from swiftask_jupyter.protocols.base import Decoder, JSONBodyDecoder, Protocol, plausible_usage
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.connection import is_unencrypted
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.structs import replace


class Native(Protocol):
    """The dialect for Swiftask's own API; `base_url` must end in `/api`.

    Args:
        base_url: the URL that the routes are appended to.
        token: an API key, or the agent's client token.
        session_type: the type of `sessionId` in requests: `int` or `str`.
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
        """Yield the requests that upload attachments; return the prompt with the files' URLs.

        Attachments that already are URLs are not uploaded.

        Raises:
            ServiceError: the service or the storage provider refused an upload.
            StreamError: the service returned no URL for an upload.
        """
        files = []
        for attachment in prompt.attachments:
            if attachment.content is None:
                files.append(attachment)
            else:
                url = yield from self._upload(attachment)
                files.append(replace(attachment, content=None, url=url))
        return replace(prompt, attachments=tuple(files))

    def _upload(self, file: Attachment) -> Generator[Request, tuple[ResponseHead, bytes], str]:
        """Yield the requests that upload one file; return the URL of the uploaded file.

        The first request gets a signed URL from the service. The second request PUTs the file to
        the signed URL. The PUT contains no token: the signature is sufficient, and the storage
        provider must not receive the token.

        Raises:
            ServiceError: the service or the storage provider refused a request.
            StreamError: the service returned no URL.
        """
        query = urlencode({"fileName": file.name, "clientToken": self.token.reveal()})
        origin = self.base_url.removesuffix(self.base_path)
        head, body = yield Request("GET", f"{origin}/widget/get-signed-url?{query}", {})
        if head.status != 200:
            raise self.error(head, body, "")
        upload_url, file_url = parse_upload_urls(body)
        if is_unencrypted(upload_url) and not is_unencrypted(self.base_url):
            raise errors.StreamError(
                "the service gave an unencrypted address to upload to", advice="no file was sent"
            )
        head, body = yield Request(
            "PUT", upload_url, {"Content-Type": file.type}, file.content or b"", file.name
        )
        if head.status >= 300:
            raise self.error(head, body, "")
        return file_url

    def request(self, prompt: Prompt) -> Request:
        """Return the POST request for a prompt.

        The request contains a `sessionId` only if the prompt has the id of a conversation.
        """
        body: dict[str, object] = {"input": prompt.text}
        if prompt.attachments:
            body["files"] = [
                {"url": file.url, "name": file.name, "type": file.type}
                | ({"size": file.size} if file.size else {})
                for file in prompt.attachments
            ]
            body["documentAnalysisMode"] = "ADVANCED"  # other clients send this value with files
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
        except ValueError:  # the service's id is not a number: send it unchanged
            return known

    def decoder(self, head: ResponseHead) -> Decoder:
        """Return a new decoder for the JSON body of an answer."""
        return NativeDecoder(self, head)

    def fallback(self, error: errors.ServiceError) -> Protocol | None:
        """Return a variant of this dialect that sends `sessionId` as a string, or `None`.

        The variant is returned if `sessionId` was sent as a number, and the service answered with
        status 400 and a message about the type of the session id.
        """
        message = str(error).lower()
        about_the_type = "session" in message and ("string" in message or "number" in message)
        if error.status == 400 and about_the_type and self._session_type is int:
            return Native(self.base_url, self.token, str)
        return None


class NativeDecoder(JSONBodyDecoder):
    """Decodes the JSON body of an answer, with or without `$` at the beginning of the keys."""

    def events(self, body: dict[str, Any]) -> Iterator[Event]:
        """Yield the text, the usage, the session id and the remaining fields as events.

        Raises:
            QuotaSpent: the answer says that the subscription's usage limit is reached.
            ServiceError: the agent failed, although the HTTP status is 200.
        """
        fields = {key.removeprefix("$"): value for key, value in body.items()}
        text = fields.pop("text", None)
        text = text if isinstance(text, str) else ""
        if fields.get("isSubscriptionUsageLimitReachedMessage") is True:
            raise errors.QuotaSpent(
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
            yield ConversationId(session)
        yield Raw(fields)


def parse_upload_urls(body: bytes) -> tuple[str, str]:
    """Return two URLs for an upload: the target of the PUT request, and the uploaded file's URL.

    Args:
        body: the JSON response to a request for a signed URL. The documented form is
            `{signedUrl, fileUrl}`. If `fileUrl` is missing, the file's URL is `signedUrl` without
            its query. Real responses also had the form `{url, fileUrl}`; then `url` is returned
            twice.

    Raises:
        StreamError: the body contains neither `url` nor `signedUrl`.
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
    """Return the token counts and the credits that an answer reports.

    The token counts are read from `tokenUsage`. A count that is missing in `tokenUsage` is read
    from `usageDetail`. The credits are the value of `totalBotUsage`, stored unchanged: the
    documentation does not define its unit.

    Args:
        fields: the fields of the answer, without `$` in the keys.
        has_text: whether the answer has text. If so, an output count of 0 is ignored.
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
