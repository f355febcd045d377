"""Make a prompt out of the arguments of a call, and earlier turns into its history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from swiftask_jupyter.answers.turn import Turn
from swiftask_jupyter.errors import ConfigurationError, PromptError
from swiftask_jupyter.options import DOCS_MODES, RequestOptions, check_options
from swiftask_jupyter.prompts.prompt import BYTES_PER_TOKEN, Attachment, Message, Prompt
from swiftask_jupyter.settings.secrets import Secret

# Request fields that the agent and the prompt set: no option may set them too.
RESERVED = frozenset(("model", "messages", "input", "message", "apiIntegrationId"))


def compose(
    agent: str,
    text: str,
    *,
    system: str | None = None,
    files: Iterable[object] = (),
    docs: str | None = None,
    stream: bool | None = None,
    timeout: float | None = None,
    fields: Mapping[str, object] | None = None,
    **other_fields: object,
) -> Prompt:
    """Return the prompt that the arguments of a call describe.

    Args:
        agent: the agent's slug.
        text: the prompt.
        system: a system message before the prompt.
        files: files to attach: paths, URLs, DataFrames, figures, `(name, bytes)`.
        docs: how the service reads files: `simple` or `advanced`; `None` leaves it to the dialect.
        stream: `False` requests the answer in one piece.
        timeout: the seconds that the service may be silent; `None` for the default.
        fields: fields of the request, sent unchanged.
        other_fields: fields of the request too; a name that misspells an option is refused. A
            field whose value is `None` is not sent.

    Raises:
        ConfigurationError: a field is not the caller's to set, or an option makes no sense.
        PromptError: the prompt or the system message is no text, or a file can't be read.
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
        attachments=_load_files(files),
        stream=stream is not False,
        timeout=None if timeout is None else _valid_timeout(timeout),
    )


def _request_fields(
    docs: str | None, fields: Mapping[str, object], others: Mapping[str, object]
) -> dict[str, object]:
    """Return the request fields of a call: from `docs`, `fields` and other keywords."""
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


def _load_files(files: Iterable[object]) -> tuple[Attachment, ...]:
    # A text, bytes and a DataFrame can be iterated over too, but not file by file.
    single = isinstance(files, str | bytes) or hasattr(files, "shape")
    if single or not isinstance(files, Iterable):
        raise PromptError(
            f"files must be a list, not {type(files).__name__}",
            advice='write files=["report.pdf"]',
        )
    if not files:
        return ()
    from swiftask_jupyter.prompts.attachments import load_attachments

    return load_attachments(files, {})


def newest_within(turns: list[Turn], limit: int) -> list[Turn]:
    """Return the newest turns that fit a limit of tokens, counted roughly; 0 is no limit."""
    size, kept = 0, len(turns)
    for n, each in enumerate(reversed(turns), 1):
        size += len((each.prompt + each.answer).encode("utf-8", "replace")) // BYTES_PER_TOKEN
        if limit and size > limit:
            kept = n - 1
            break
    return turns[len(turns) - kept :]


def history_messages(turns: Iterable[Turn], secrets: Collection[Secret]) -> Iterator[Message]:
    """Yield the messages of earlier turns, as they are sent along with a prompt.

    Every secret is masked again: a text may have become a token after it was first sent.
    """

    def masked(text: str) -> str:
        for secret in secrets:
            text = secret.mask(text) if secret.is_in(text) else text
        return text

    for each in turns:
        if each.text_or_files:  # a service takes no empty message, and a question alone misleads
            yield Message("user", masked(each.prompt))
            yield Message("assistant", masked(each.text_or_files))


def replayed_text(prompt: Prompt) -> str:
    """Return the history and the question as one text, for `--replay`."""
    names = {"user": "I", "assistant": "You", "system": "System"}

    def line(message: Message) -> str:
        return f"{names.get(message.role, message.role)}: {message.text}"

    earlier = "\n\n".join(line(message) for message in prompt.history)
    return f"Our conversation so far:\n\n{earlier}\n\nI: {prompt.text}"


def fork_remark(earlier: Iterable[Turn], dialect: str, agent: str) -> str:
    """Return the footer's remark that the service starts a conversation without these turns."""
    forks = any((each.dialect, each.agent) == (dialect, agent) for each in earlier)
    article = "an" if dialect[:1] in "aeiou" else "a"
    return f"{'another' if forks else article} {dialect} conversation, which knows none before"
