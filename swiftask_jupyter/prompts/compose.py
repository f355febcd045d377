"""A prompt out of what a caller gives."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from swiftask_jupyter.conversation.rules import Exchange
from swiftask_jupyter.errors import ConfigurationError, PromptError
from swiftask_jupyter.prompts.prompt import BYTES_PER_TOKEN, Attachment, Message, Prompt
from swiftask_jupyter.settings.secrets import Secret

# Fields of a request that say what a prompt says: no option may say otherwise.
RESERVED = frozenset(("model", "messages", "input", "message", "apiIntegrationId"))


# What `ask` takes itself; a field that is spelt almost so is a slip, and might be billed.
OURS = (
    "agent", "cache", "connection", "dialect", "files", "fresh", "history", "last", "replay",
    "stream", "system", "timeout",
)  # fmt: skip
ALIKE = 0.8
MISTAKEN = {
    "dry_run": "write swiftask.dry_run(…), or --dry-run in a cell",
    "session": "write swiftask.session(name).ask(…), or -s NAME in a cell",
}


def compose(
    agent: str,
    text: str,
    *,
    system: str | None = None,
    files: Iterable[object] = (),
    stream: bool | None = None,
    timeout: float | None = None,
    **fields: object,
) -> Prompt:
    """Return the prompt; what is `None` is left to the service.

    Args:
        agent: the slug.
        text: what is asked.
        system: a message before it.
        files: what goes along.
        stream: False asks for the answer in one piece.
        timeout: the seconds the service may be silent.
        fields: all others are fields of the request.

    Raises:
        ConfigurationError: an option says what an argument says, or makes no sense.
        PromptError: a file can't be had.
    """
    if taken := RESERVED & fields.keys():
        raise ConfigurationError(
            f"{min(taken)} is not yours to set", advice="it is asked for by an argument of its own"
        )
    if mistaken := next((name for name in fields if name in MISTAKEN), None):
        raise ConfigurationError(f"{mistaken} is no field", advice=MISTAKEN[mistaken])
    refuse_slips(fields, OURS)
    for name, said in {"the prompt": text, "system": system or ""}.items():
        if not isinstance(said, str):
            raise PromptError(f"{name} must be text, not {type(said).__name__}")
    return Prompt(
        agent,
        text,
        history=(Message("system", system),) if system else (),
        options={key: value for key, value in fields.items() if value is not None},
        attachments=_gathered(files),
        stream=stream is not False,
        timeout=None if timeout is None else _seconds(timeout),
    )


def refuse_slips(fields: Iterable[str], ours: Collection[str]) -> None:
    """Refuse a field that is spelt almost as an option of ours.

    Raises:
        ConfigurationError: one is.
    """
    for name in fields:
        import difflib

        if near := difflib.get_close_matches(name, ours, n=1, cutoff=ALIKE):
            raise ConfigurationError(f"no option {name}", advice=f"did you mean {near[0]}?")


def retold(prompt: Prompt) -> str:
    """Return the conversation so far and the question, as one text."""
    names = {"user": "I", "assistant": "You", "system": "System"}

    def line(message: Message) -> str:
        return f"{names.get(message.role, message.role)}: {message.text}"

    said_before = "\n\n".join(line(message) for message in prompt.history)
    return f"Our conversation so far:\n\n{said_before}\n\nI: {prompt.text}"


def _seconds(timeout: object) -> float:
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not number or not 0 < timeout < 1e6:  # type: ignore[operator]  # a number, and no NaN
        raise ConfigurationError(
            f"a timeout of {timeout!r} makes no sense", advice="give it in seconds, such as 30"
        )
    return float(timeout)  # type: ignore[arg-type]  # as above


def _gathered(files: Iterable[object]) -> tuple[Attachment, ...]:
    one = isinstance(files, str | bytes) or hasattr(files, "shape")  # its letters or columns
    if one or not isinstance(files, Iterable):
        raise PromptError(
            f"files must be a list, not {type(files).__name__}",
            advice='write files=["report.pdf"]',
        )
    if not files:
        return ()
    from swiftask_jupyter.prompts.attachments import gather

    return gather(files, {})


def forked(earlier: Iterable[Exchange], dialect: str, agent: str) -> str:
    """Say that a service which keeps the conversation itself was not told what stands before."""
    there = any((each.dialect, each.agent) == (dialect, agent) for each in earlier)
    one = "an" if dialect[:1] in "aeiou" else "a"
    return f"{'another' if there else one} {dialect} conversation, which knows none before"


def fitting(exchanges: list[Exchange], limit: int) -> list[Exchange]:
    """Return the newest turns that fit the limit, in tokens; the oldest go first, and whole."""
    size, kept = 0, len(exchanges)
    for n, each in enumerate(reversed(exchanges), 1):
        size += len((each.prompt + each.answer).encode("utf-8", "replace")) // BYTES_PER_TOKEN
        if limit and size > limit:
            kept = n - 1
            break
    return exchanges[len(exchanges) - kept :]


def said_before(exchanges: Iterable[Exchange], secrets: Collection[Secret]) -> Iterator[Message]:
    """Yield what was said before, as it is sent along: what has become a token since is masked."""

    def masked(text: str) -> str:
        for token in secrets:
            text = token.mask(text) if token.stands_in(text) else text
        return text

    for each in exchanges:
        if each.spoken:  # a service takes no empty message, and a question alone misleads
            yield Message("user", masked(each.prompt))
            yield Message("assistant", masked(each.spoken))
