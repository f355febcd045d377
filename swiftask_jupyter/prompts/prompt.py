"""What is said to an agent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from swiftask_jupyter.support.structs import Redacted, Struct, field

# What our own ids of a conversation begin with, beside those that a service gives.
ALIAS = "swiftask-jupyter-"
BYTES_PER_TOKEN = 4  # of UTF-8; a rule of thumb that holds within a half for most languages


class Message(Struct, frozen=True):
    """One thing said in a conversation.

    Attributes:
        role: `user`, `assistant` or `system`.
        text: what was said.
    """

    role: str
    text: str


class Attachment(Redacted, frozen=True):
    """A file that goes with a prompt: its content, or the URL where it lies.

    Attributes:
        name: its base name.
        type: its MIME type.
        size: its bytes; 0 for a URL, which nobody has looked at.
        content: what is in it, or None for a URL.
        url: where it lies, or None for content.
    """

    unshown = frozenset(("content",))

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
        """The SHA-256 (hex) of the content, or of the URL."""
        return hashlib.sha256(
            (self.url or "").encode() if self.content is None else self.content
        ).hexdigest()


class Prompt(Struct, frozen=True):
    """All that goes into one request, whatever the dialect.

    Attributes:
        agent: the agent's slug, exactly as the platform spells it.
        text: what the user asks now.
        history: what was said before, oldest first.
        conversation: the service's own id of the conversation, where it gave one.
        alias: our own id of the conversation, for services that take one.
        options: extra body fields the user named (`temperature`, `max_tokens`, …).
        attachments: the files that go with it.
        stream: whether the answer may come while it is made.
        timeout: the seconds the service may be silent; None for the usual patience.
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

    def parts(self) -> Iterator[tuple[str, str | bytes]]:
        """Yield what it carries of the user's, each with what to call it: any may hold a secret."""
        for said in (self.text, *(message.text for message in self.history)):
            yield "the prompt", said
        for key, value in self.options.items():
            yield f"the option {key}", f"{key}={value}"
        for file in self.attachments:
            yield f"the name of {file.name}", file.name
            yield f"the file {file.name}", file.content or file.url or ""

    def digest(self, dialect: str, realm: str) -> str:
        """Return the SHA-256 (hex) of what is asked: equal requests have equal digests.

        Args:
            dialect: the protocol it travels by.
            realm: whom it is asked: a host, whose agents are its own.
        """
        asked: list[object] = [
            dialect,
            realm,
            self.agent,
            [[message.role, message.text] for message in self.history],
            self.text,
            sorted((key, repr(value)) for key, value in self.options.items()),
        ]
        if self.attachments:  # without any, a digest is what it was before there were any
            asked.append([[each.name, each.digest] for each in self.attachments])
        encoded = json.dumps(asked, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(encoded.encode()).hexdigest()
