"""The content of a request to an agent: the prompt's text, earlier messages, files and options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping

from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.errors import ConfigurationError, PromptError
from swiftask_jupyter.options import DOCS_MODES, RequestOptions, check_options
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.structs import RedactedStruct, Struct, field

# The prefix of the conversation ids that this package creates; a service's ids do not have it.
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


class Attachment(RedactedStruct, frozen=True):
    """A file that is sent with a prompt, either as content or as a URL.

    Attributes:
        name: the file's base name.
        type: the MIME type.
        size: the size in bytes; 0 for a URL.
        content: the file's content; `None` if the file is sent as a URL.
        url: the file's URL; `None` if the file is sent as content.
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
        """The SHA-256 of the content in hex digits. Without content, the SHA-256 of the URL."""
        return hashlib.sha256(
            (self.url or "").encode() if self.content is None else self.content
        ).hexdigest()


class Prompt(Struct, frozen=True):
    """The content of one request. The content does not depend on the service's API.

    Attributes:
        agent: the agent's slug, exactly as the service spells the slug.
        text: the text of the prompt.
        history: the earlier messages of the conversation, oldest first.
        conversation: the service's id of the conversation to continue; `None` for a new
            conversation.
        alias: an id that this package creates for a new conversation.
        options: additional fields of the request body, such as `temperature`.
        attachments: the attached files.
        stream: whether to request a streamed response.
        timeout: the maximum number of seconds without data; `None` for the default.
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
        """Yield `(label, content)` for each part of the prompt that comes from the user.

        Each content is searched for tokens before the prompt is sent. A label names a part of the
        prompt in an error message.
        """
        for text in (self.text, *(message.text for message in self.history)):
            yield "the prompt", text
        for key, value in self.options.items():
            yield f"the option {key}", f"{key}={value}"
        for file in self.attachments:
            yield f"the name of {file.name}", file.name
            yield f"the file {file.name}", file.content or file.url or ""

    def digest(self, dialect: str, service: str) -> str:
        """Return the SHA-256 of the request in hex digits. Equal requests have equal digests.

        Args:
            dialect: the name of the protocol by which the request is sent.
            service: the identity of the service, because each service has different agents.
        """
        request: list[object] = [
            dialect,
            service,
            self.agent,
            [[message.role, message.text] for message in self.history],
            self.text,
            sorted((key, repr(value)) for key, value in self.options.items()),
        ]
        if self.attachments:  # only then, so that digests in old ledgers stay valid
            request.append([[each.name, each.digest] for each in self.attachments])
        encoded = json.dumps(request, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(encoded.encode()).hexdigest()


# Request fields that the agent and the prompt set: no option may set them too.
RESERVED = frozenset(("model", "messages", "input", "message", "apiIntegrationId"))


def compose(
    agent: str,
    text: str,
    *,
    system: str | None = None,
    files: tuple[Attachment, ...] = (),
    docs: str | None = None,
    stream: bool | None = None,
    timeout: float | None = None,
    fields: Mapping[str, object] | None = None,
    **other_fields: object,
) -> Prompt:
    """Create a prompt from the arguments of a call.

    Args:
        agent: the agent's slug.
        text: the text of the prompt.
        system: a system message before the prompt.
        files: the attached files, already loaded.
        docs: how the service reads files: `simple` or `advanced`; `None` for the dialect's default.
        stream: `False` requests the answer in one piece.
        timeout: the maximum number of seconds without data; `None` for the default.
        fields: a dict that maps the names of request fields to values. A field with the value
            `None` is not sent.
        other_fields: more request fields. A name that looks like a misspelt option is rejected.

    Raises:
        ConfigurationError: a field is reserved for the package, a field is given twice, or an
            option has an invalid value.
        PromptError: the prompt or the system message is not a string.
    """
    check_options(other_fields, RequestOptions)
    for name, value in {"the prompt": text, "system": system or ""}.items():
        if not isinstance(value, str):
            raise PromptError(f"{name} must be text, not {type(value).__name__}")
    return Prompt(
        agent,
        text,
        history=(Message("system", system),) if system else (),
        options=_request_fields(docs, fields or {}, other_fields),
        attachments=files,
        stream=stream is not False,
        timeout=None if timeout is None else _valid_timeout(timeout),
    )


def _request_fields(
    docs: str | None, fields: Mapping[str, object], others: Mapping[str, object]
) -> dict[str, object]:
    """Return one dict with all request fields: `fields`, `others` and a field for `docs`.

    Fields with the value `None` are left out.

    Raises:
        ConfigurationError: a field is reserved or is given twice, or an argument is invalid.
    """
    if not isinstance(fields, Mapping):
        raise ConfigurationError(
            f"fields must be a mapping, not {type(fields).__name__}",
            advice='write fields={"name": value}',
        )
    if twice := fields.keys() & others.keys():
        raise ConfigurationError(f"{min(twice)} is given twice", advice="leave one of them out")
    given = {**fields, **others}
    if reserved := RESERVED & given.keys():
        raise ConfigurationError(
            f"{min(reserved)} is not yours to set", advice="the agent and the prompt set it"
        )
    if docs is not None:
        if docs not in DOCS_MODES:
            raise ConfigurationError(
                f"no docs mode {docs!r}", advice=f"there is: {', '.join(DOCS_MODES)}"
            )
        given["documentAnalysisMode"] = docs.upper()
    return {name: value for name, value in given.items() if value is not None}


def _valid_timeout(timeout: object) -> float:
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not number or not 0 < timeout < 1e6:  # type: ignore[operator]  # a number, and no NaN
        raise ConfigurationError(
            f"a timeout of {timeout!r} makes no sense", advice="give it in seconds, such as 30"
        )
    return float(timeout)  # type: ignore[arg-type]  # as above


def validate_prompt(prompt: Prompt, secrets: Iterable[Secret]) -> None:
    """Raise an error if a prompt must not be sent.

    Raises:
        PromptError: the text is empty, the text can't be encoded as UTF-8, or the prompt contains a
            token.
    """
    if not prompt.text.strip():
        raise PromptError("the prompt is empty", advice="write it below the magic line")
    for token in secrets:
        for name, part in prompt.labelled_parts():
            if token.is_in(part):
                said = f"{token.mask(name)} holds your token"
                raise PromptError(said, advice="take it out; it was not sent")
        if token.is_in(prompt.agent):
            raise PromptError("the agent's name is your token", advice="name the agent's slug")
    try:
        prompt.text.encode()
    except UnicodeEncodeError as error:
        raise PromptError(
            f"character {error.start + 1} of the prompt is half a surrogate pair",
            advice="it has no encoding; take it out",
        ) from None


def newest_within(turns: list[Turn], limit: int) -> list[Turn]:
    """Return the newest turns that fit into `limit` tokens. A limit of 0 means all turns.

    The number of tokens is estimated from the number of bytes.
    """
    size, kept = 0, len(turns)
    for n, each in enumerate(reversed(turns), 1):
        size += len((each.prompt + each.answer).encode("utf-8", "replace")) // BYTES_PER_TOKEN
        if limit and size > limit:
            kept = n - 1
            break
    return turns[len(turns) - kept :]


def history_messages(turns: Iterable[Turn], secrets: Collection[Secret]) -> Iterator[Message]:
    """Yield two messages for each earlier turn: the prompt and the answer.

    The messages are sent before a new prompt. A turn with an empty answer is left out. All tokens
    in `secrets` are masked in the messages.
    """

    # A token may have been set only after a text that contains it was first sent.
    def masked(text: str) -> str:
        for secret in secrets:
            text = secret.mask(text) if secret.is_in(text) else text
        return text

    for each in turns:
        if each.text_or_files:  # services refuse empty messages, and a question alone misleads
            yield Message("user", masked(each.prompt))
            yield Message("assistant", masked(each.text_or_files))


def replayed_text(prompt: Prompt) -> str:
    """Return the earlier messages and the prompt as one text, for the option `replay`.

    The text is for a service that stores conversations but lacks the earlier messages.
    """
    names = {"user": "I", "assistant": "You", "system": "System"}

    def line(message: Message) -> str:
        return f"{names.get(message.role, message.role)}: {message.text}"

    earlier = "\n\n".join(line(message) for message in prompt.history)
    return f"Our conversation so far:\n\n{earlier}\n\nI: {prompt.text}"


def fork_remark(earlier: Iterable[Turn], dialect: str, agent: str) -> str:
    """Return a remark for the user: a new conversation starts without the earlier turns.

    The remark is shown in the footer below the answer.
    """
    forks = any((each.dialect, each.agent) == (dialect, agent) for each in earlier)
    article = "an" if dialect[:1] in "aeiou" else "a"
    return f"{'another' if forks else article} {dialect} conversation, which knows none before"
