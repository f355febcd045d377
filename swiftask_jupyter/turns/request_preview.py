"""Dry runs: shows the request for a prompt without sending it, and the cost of earlier calls.

A preview never opens a connection. It also shows the requests that would be sent before the prompt,
such as file uploads. Data from a response that is not available is shown as a placeholder in angle
brackets, such as `<the signed URL>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.prompts.prompt import BYTES_PER_TOKEN, Attachment, Message, Prompt
from swiftask_jupyter.protocols.base import Protocol
from swiftask_jupyter.protocols.http import Request, ResponseHead
from swiftask_jupyter.settings.secrets import MASK, Secret
from swiftask_jupyter.support.sanitize import sanitize
from swiftask_jupyter.support.structs import Struct, replace

# How many characters of each message and field `print` shows; the attributes contain all.
MAX_PRINTED = 2000
_SECRET_QUERY = re.compile(r"(?<=clientToken=)[^&]*")
# Fields of the body that are not printed again, because the messages and files are printed.
_PRINTED_APART = frozenset(("messages", "messageHistory", "input", "message", "files"))


class CallCost(Struct, frozen=True):
    """The tokens, credits and duration of one earlier call to an agent.

    An attribute is `None` if its value is unknown, for example because the service did not report
    the value.

    Attributes:
        input_tokens: the tokens of the request.
        output_tokens: the tokens of the answer.
        reported_total: the total that the service reported, in an undocumented unit.
        credits: the credits, in an undocumented unit.
        seconds: the time from the request to the end of the answer.
    """

    input_tokens: int | None
    output_tokens: int | None
    reported_total: int | None
    credits: float | None
    seconds: float | None


class RequestPreview(Struct, frozen=True):
    """The HTTP request that a prompt would send: the result of a dry run. `print` shows all of it.

    Attributes:
        dialect: the protocol's name.
        method: the HTTP method.
        url: the URL, with the token masked.
        headers: the headers, with the token masked.
        body: the decoded JSON of the body, with the token masked; a string if it is not JSON.
        messages: the system message, the earlier messages and the prompt, in this order.
        files: the attachments; each has a name, a type and a size in bytes.
        before: the method and the URL of each request to send first, such as an upload.
        tokens: the estimated number of tokens of all messages.
        calls: the costs of the agent's last calls, newest call first.
        note: remarks about unknown parts of the request, and about missing parts of variables;
            may be empty.
    """

    dialect: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: Any
    messages: tuple[Message, ...]
    files: tuple[Attachment, ...]
    before: tuple[tuple[str, str], ...]
    tokens: int
    calls: tuple[CallCost, ...]
    note: str

    def with_remarks(self, remarks: Iterable[str]) -> RequestPreview:
        """Return a copy of the preview with the remarks at the end of `note`."""
        return replace(self, note="; ".join(filter(None, (self.note, *remarks))))

    def __repr__(self) -> str:
        return f"<RequestPreview: {self.method} {self.url}, about {self.tokens} tokens>"

    def __str__(self) -> str:
        return sanitize("\n".join(_lines(self)))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's
        printer.text(str(self))


def preview_request(
    protocol: Protocol, prompt: Prompt, note: str, calls: Iterable[CallCost]
) -> RequestPreview:
    """Return a preview of the request for a prompt; send nothing.

    Args:
        protocol: creates the request.
        prompt: the prompt.
        note: a remark if another protocol may be chosen when the prompt is really sent; may be
            empty.
        calls: the costs of the last calls to the agent, newest first.

    Raises:
        PromptError: the protocol cannot encode this prompt.
    """
    before, prepared, unknown = _prepare(protocol, prompt)
    request = protocol.build_request(prepared)
    token = protocol.token
    earlier = prompt.history if protocol.takes_history else ()
    messages = (*earlier, Message("user", prepared.text))
    return RequestPreview(
        dialect=protocol.name,
        method=request.method,
        url=_masked_url(request, token),
        headers={
            name: _masked_header(name, value, token) for name, value in request.headers.items()
        },
        body=_parsed_body(request, token),
        messages=messages,
        files=prompt.attachments,
        before=tuple((each.method, _masked_url(each, token)) for each in before),
        tokens=sum(_estimated_tokens(message.text) for message in messages),
        calls=tuple(calls),
        note="; ".join(filter(None, (note, unknown))),
    )


def _prepare(protocol: Protocol, prompt: Prompt) -> tuple[list[Request], Prompt, str]:
    """Run `Protocol.prepare` with placeholders instead of real responses.

    Returns:
        Three values: the requests to send before the prompt, such as uploads; the prompt to send;
        and a remark. The prompt contains the URLs of the files, or placeholders. The remark is
        empty, except if the protocol did not accept the placeholders.
    """
    steps, requests = protocol.prepare(prompt), []
    response: tuple[ResponseHead, bytes] | None = None
    try:
        while True:
            request = steps.send(response)  # type: ignore[arg-type]  # None starts a generator
            requests.append(request)
            response = ResponseHead(200, {}), json.dumps({"url": "<the signed URL>"}).encode()
    except StopIteration as done:
        prepared: Prompt = done.value
        return requests, prepared, ""
    except SwiftaskError:  # the protocol does not accept the placeholder
        attachments = tuple(
            replace(each, content=None, url="<its URL>") if each.url is None else each
            for each in prompt.attachments
        )
        unknown = "what follows the first request depends on its answer"
        return requests, replace(prompt, attachments=attachments), unknown


def _estimated_tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def _masked_url(request: Request, token: Secret) -> str:
    return token.mask(_SECRET_QUERY.sub(MASK, request.url))


def _masked_header(name: str, value: str, token: Secret) -> str:
    scheme = value.partition(" ")[0]
    return f"{scheme} {MASK}" if name.lower() == "authorization" else token.mask(value)


def _parsed_body(request: Request, token: Secret) -> Any:
    text = token.mask(request.content.decode("utf-8", "replace"))
    try:
        return json.loads(text)
    except ValueError:
        return text


def _lines(preview: RequestPreview) -> Iterable[str]:
    yield "dry run: nothing was sent"
    for method, url in preview.before:
        yield f"{method} {url}"
    yield f"{preview.method} {preview.url}  ({preview.dialect})"
    for name, value in preview.headers.items():
        yield f"  {name}: {value}"
    fields = preview.body.items() if isinstance(preview.body, dict) else ()
    for name, value in fields:
        if name not in _PRINTED_APART:
            yield f"  {name} = {json.dumps(value, ensure_ascii=False)[:MAX_PRINTED]}"
    yield "messages"
    for message in preview.messages:
        yield f"  {message.role}: " + _shortened(message.text).replace("\n", "\n    ")
    if preview.files:
        yield "files"
        for file in preview.files:
            yield f"  {file.name}  {file.type}  {_size(file)}"
    without_files = ", the files not counted" if preview.files else ""
    yield f"about {preview.tokens:,} tokens to read{without_files}"
    yield _average_cost(preview.calls)
    if preview.note:
        yield preview.note


def _shortened(text: str) -> str:
    more = len(text) - MAX_PRINTED
    return text if more <= 0 else f"{text[:MAX_PRINTED]}… and {more} characters more"


def _size(file: Attachment) -> str:
    if file.content is None:
        return "not looked at"
    return f"{file.size:,} bytes" if file.size != 1 else "1 byte"


def _average_cost(calls: tuple[CallCost, ...]) -> str:
    """Return a line of text with the average tokens, credits and seconds of these calls.

    A value that is `None` for all calls is left out.
    """
    if not calls:
        return "no earlier call of this agent"
    averages = []
    for words, values in (
        ("{:,.0f} tokens in", [each.input_tokens for each in calls]),
        ("{:,.0f} tokens out", [each.output_tokens for each in calls]),
        ("{:,.0f} as the service's total", [each.reported_total for each in calls]),
        ("{:g} credits", [each.credits for each in calls]),
        ("{:.2f} s", [each.seconds for each in calls]),
    ):
        reported = [value for value in values if value is not None]
        if reported:
            averages.append(words.format(sum(reported) / len(reported)))
    subject = f"last {len(calls)} calls" if len(calls) > 1 else "last call"
    return f"{subject} of this agent, on average: " + ", ".join(averages)
