"""What would be sent, and what the like of it has cost: a dry run.

Nothing here opens a socket. Requests that come before the question (uploads) are written with
words in angle brackets where only the service's answer could say more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from swiftask_jupyter.errors import SwiftaskError
from swiftask_jupyter.prompts.prompt import BYTES_PER_TOKEN, Attachment, Message, Prompt
from swiftask_jupyter.protocols.base import Protocol, Request
from swiftask_jupyter.protocols.errors import Head
from swiftask_jupyter.settings.secrets import MASK, Secret
from swiftask_jupyter.support.sanitize import visible
from swiftask_jupyter.support.structs import Struct, replace

SHOWN = 2000  # characters of a message that are printed; `messages` holds all of them
_SECRET_QUERY = re.compile(r"(?<=clientToken=)[^&]*")
_SAID_ELSEWHERE = frozenset(("messages", "messageHistory", "input", "message", "files"))


class Call(Struct, frozen=True):
    """What an earlier call of the same agent cost, as the service reported it."""

    input_tokens: int | None
    output_tokens: int | None
    reported_total: int | None
    credits: float | None
    seconds: float | None


class RequestPreview(Struct, frozen=True):
    """A request as it would be sent; `print` shows it.

    Attributes:
        dialect: the protocol's name.
        method: the HTTP method.
        url: where it would go, without any token.
        headers: its headers, without any token.
        body: its JSON.
        messages: what is said: the system message, earlier turns, the prompt.
        files: what goes along; each has a name, a type and a size in bytes.
        before: the requests that come first, as method and URL.
        tokens: roughly how many the messages are.
        calls: what this agent's last calls cost, newest first.
        note: what a dry run can't know.
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
    calls: tuple[Call, ...]
    note: str

    def __repr__(self) -> str:
        return f"<Draft: {self.method} {self.url}, about {self.tokens} tokens>"

    def __str__(self) -> str:
        return visible("\n".join(_lines(self)))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's
        printer.text(str(self))


def preview(protocol: Protocol, prompt: Prompt, note: str, calls: Iterable[Call]) -> RequestPreview:
    """Return what asking the prompt would send.

    Raises:
        PromptError: the request can't be written.
    """
    before, prepared, unsure = _prepared(protocol, prompt)
    request = protocol.written(prepared)
    token = protocol.token
    earlier = prompt.history if protocol.takes_history else ()
    messages = (*earlier, Message("user", prepared.text))
    return RequestPreview(
        dialect=protocol.name,
        method=request.method,
        url=_address(request, token),
        headers={name: _header(name, value, token) for name, value in request.headers.items()},
        body=_body(request, token),
        messages=messages,
        files=prompt.attachments,
        before=tuple((each.method, _address(each, token)) for each in before),
        tokens=sum(-(-len(said.text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
                   for said in messages),
        calls=tuple(calls),
        note="; ".join(filter(None, (note, unsure))),
    )  # fmt: skip


def _prepared(protocol: Protocol, prompt: Prompt) -> tuple[list[Request], Prompt, str]:
    """Return the requests that come before the question, answered as nobody answered them."""
    steps, requests = protocol.prepare(prompt), []
    answer: tuple[Head, bytes] | None = None
    try:
        while True:
            request = steps.send(answer)  # type: ignore[arg-type]  # None begins
            requests.append(request)
            answer = Head(200, {}), json.dumps({"url": "<the signed URL>"}).encode()
    except StopIteration as done:
        prepared: Prompt = done.value
        return requests, prepared, ""
    except SwiftaskError:
        names = tuple(
            replace(each, content=None, url="<its URL>") if each.url is None else each
            for each in prompt.attachments
        )
        unsure = "what follows the first request depends on its answer"
        return requests, replace(prompt, attachments=names), unsure


def _address(request: Request, token: Secret) -> str:
    return token.mask(_SECRET_QUERY.sub(MASK, request.url))


def _header(name: str, value: str, token: Secret) -> str:
    kind = value.partition(" ")[0]
    return f"{kind} {MASK}" if name.lower() == "authorization" else token.mask(value)


def _body(request: Request, token: Secret) -> Any:
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
        if name not in _SAID_ELSEWHERE:
            yield f"  {name} = {json.dumps(value, ensure_ascii=False)[:SHOWN]}"
    yield "messages"
    for said in preview.messages:
        more = len(said.text) - SHOWN
        text = said.text if more <= 0 else f"{said.text[:SHOWN]}… and {more} characters more"
        yield f"  {said.role}: " + text.replace("\n", "\n    ")
    if preview.files:
        yield "files"
        for file in preview.files:
            yield f"  {file.name}  {file.type}  {_size(file)}"
    beside = ", the files not counted" if preview.files else ""
    yield f"about {preview.tokens:,} tokens to read{beside}"
    yield _past(preview.calls)
    if preview.note:
        yield preview.note


def _size(file: Attachment) -> str:
    if file.content is None:
        return "not looked at"
    return f"{file.size:,} bytes" if file.size != 1 else "1 byte"


def _past(calls: tuple[Call, ...]) -> str:
    """Return what the last calls cost; what a service did not report is left out."""
    if not calls:
        return "no earlier call of this agent"
    said = []
    for words, values in (
        ("{:,.0f} tokens in", [each.input_tokens for each in calls]),
        ("{:,.0f} tokens out", [each.output_tokens for each in calls]),
        ("{:,.0f} as the service's total", [each.reported_total for each in calls]),
        ("{:g} credits", [each.credits for each in calls]),
        ("{:.2f} s", [each.seconds for each in calls]),
    ):
        known = [value for value in values if value is not None]
        if known:
            said.append(words.format(sum(known) / len(known)))
    many = f"last {len(calls)} calls" if len(calls) > 1 else "last call"
    return f"{many} of this agent, on average: " + ", ".join(said)
