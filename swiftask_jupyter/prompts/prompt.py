"""The value types of a request: `Prompt`, `Message` (of its history) and `Attachment`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from swiftask_jupyter.support.structs import Redacted, Struct, field

# The first characters of our own conversation ids, which tell them from a service's ids.
ALIAS_PREFIX = "swiftask-jupyter-"
# UTF-8 bytes in a token: an estimate that is off by at most a half for most languages.
BYTES_PER_TOKEN = 4


class Message(Struct, frozen=True):
    """One message of a conversation.

    Attributes:
        role: `user`, `assistant` or `system`.
        text: the content.
    """

    role: str
    text: str


class Attachment(Redacted, frozen=True):
    """A file that is sent with a prompt, by its content or by its URL.

    Attributes:
        name: the file's base name.
        type: the MIME type.
        size: the size in bytes; 0 for a URL, which is never fetched.
        content: the file's content, or `None` for a URL.
        url: the file's URL, or `None` for content.
    """

    redacted_fields = frozenset(("content",))

    name: str
    type: str
    size: int
    content: bytes | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        if (self.content is None) == (self.url is None):
            raise ValueError("an attachment has either content or a URL")

    @property
    def digest(self) -> str:
        """The SHA-256 of the content or of the URL, in hex digits."""
        return hashlib.sha256(
            (self.url or "").encode() if self.content is None else self.content
        ).hexdigest()


class Prompt(Struct, frozen=True):
    """The content of one request, independent of the dialect.

    Attributes:
        agent: the agent's slug, exactly as the platform spells it.
        text: the question.
        history: the earlier messages of the conversation, oldest first.
        conversation: the service's id of the conversation, if it gave one.
        alias: our own id of the conversation, for services that accept one.
        options: additional fields of the request body (`temperature`, `max_tokens`, …).
        attachments: the files.
        stream: whether to ask for a streamed response.
        timeout: how many seconds the service may send nothing; `None` for the default.
    """

    agent: str
    text: str
    history: tuple[Message, ...] = ()
    conversation: int | str | None = None
    alias: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    stream: bool = True
    timeout: float | None = None

    def labelled_parts(self) -> Iterator[tuple[str, str | bytes]]:
        """Yield each part that comes from the user, with a label for error messages.

        Before a prompt is sent, each part is searched for tokens.
        """
        for text in (self.text, *(message.text for message in self.history)):
            yield "the prompt", text
        for key, value in self.options.items():
            yield f"the option {key}", f"{key}={value}"
        for file in self.attachments:
            yield f"the name of {file.name}", file.name
            yield f"the file {file.name}", file.content or file.url or ""

    def digest(self, dialect: str, host: str) -> str:
        """Return the SHA-256 of the request in hex digits; equal requests have equal digests.

        Args:
            dialect: the protocol that the request is sent by.
            host: the host it is sent to, because each host has its own agents.
        """
        request: list[object] = [
            dialect,
            host,
            self.agent,
            [[message.role, message.text] for message in self.history],
            self.text,
            sorted((key, repr(value)) for key, value in self.options.items()),
        ]
        if self.attachments:  # appended only if any, so that digests in old ledgers stay valid
            request.append([[each.name, each.digest] for each in self.attachments])
        encoded = json.dumps(request, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(encoded.encode()).hexdigest()
