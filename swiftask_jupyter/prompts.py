"""A prompt out of what a caller gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.messages import Attachment, Message, Prompt

# Fields of a request that say what a prompt says: no option may say otherwise.
RESERVED = frozenset(("model", "messages", "stream", "input", "message", "apiIntegrationId"))


def compose(
    agent: str,
    text: str,
    *,
    system: str | None,
    files: Iterable[object],
    options: Mapping[str, object],
) -> Prompt:
    """Return the prompt; options that are `None` are left to the service.

    Raises:
        ConfigurationError: an option says what an argument says.
        PromptError: a file can't be had.
    """
    if taken := RESERVED & options.keys():
        raise ConfigurationError(
            f"{min(taken)} is not yours to set", advice="it is asked for by an argument of its own"
        )
    return Prompt(
        agent,
        text,
        history=(Message("system", system),) if system else (),
        options={key: value for key, value in options.items() if value is not None},
        attachments=_gathered(files),
    )


def retold(prompt: Prompt) -> str:
    """Return the conversation so far and the question, as one text."""
    names = {"user": "I", "assistant": "You", "system": "System"}

    def line(message: Message) -> str:
        return f"{names.get(message.role, message.role)}: {message.text}"

    said_before = "\n\n".join(line(message) for message in prompt.history)
    return f"Our conversation so far:\n\n{said_before}\n\nI: {prompt.text}"


def _gathered(files: Iterable[object]) -> tuple[Attachment, ...]:
    if not files:
        return ()
    from swiftask_jupyter.attachments import gather

    return gather(files, {})
