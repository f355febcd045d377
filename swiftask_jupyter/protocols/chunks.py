"""The shapes of OpenAI's answers, read fast where they are plain and patiently where not."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from swiftask_jupyter.visible import joined


# Trees that live for a moment: the garbage collector need not look at them.
class Message(msgspec.Struct, gc=False):
    """What was said, or a piece of it."""

    content: str | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the answers; one is asked for."""

    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None


class TokenUsage(msgspec.Struct, gc=False):
    """The tokens, as the service counts them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Chunk(msgspec.Struct, gc=False):
    """A piece of a stream, or a whole completion: the fields that are read."""

    choices: list[Choice] | None = None
    usage: TokenUsage | None = None
    error: Any = None
    id: str | None = None
    model: str | None = None


def lenient(data: bytes) -> Chunk | None:
    """Return the chunk of JSON that the fast reader does not take; `None` if it is no object.

    It refuses a lone surrogate, which a service that cuts UTF-16 sends when it cuts an emoji in
    two, and fields of another type than documented, which matter to nobody.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return chunk_of(value) if isinstance(value, dict) else None


def chunk_of(value: dict[str, Any]) -> Chunk:
    """Return what can be read of an object; what has another shape is not there."""
    choices = value.get("choices")
    usage = value.get("usage")
    return Chunk(
        choices=[_choice(each) for each in choices if isinstance(each, dict)]
        if isinstance(choices, list)
        else None,
        usage=TokenUsage(*(usage.get(name) for name in TokenUsage.__struct_fields__))
        if isinstance(usage, dict)
        else None,
        error=value.get("error"),
        id=_text(value.get("id")),
        model=_text(value.get("model")),
    )


def _choice(value: dict[str, Any]) -> Choice:
    def said(key: str) -> Message | None:
        each = value.get(key)
        return Message(_text(each.get("content"))) if isinstance(each, dict) else None

    return Choice(said("delta"), said("message"), _text(value.get("finish_reason")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


class Halves:
    """Joins characters that were cut in two: the half at a piece's end waits for the next piece.

    The fast reader refuses halves, so they concern a chunk of the patient one, and the next.

    Attributes:
        expected: whether the next text may hold or complete a half.
    """

    __slots__ = ("_half", "expected")

    def __init__(self) -> None:
        self._half = ""
        self.expected = False

    def join(self, text: str) -> str:
        """Return the text with its halves joined, but for a half at its end."""
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        self.expected = bool(self._half)
        return joined(text[: len(text) - len(self._half)])

    def finish(self) -> str:
        """Return the replacement of a half that was never completed."""
        half, self._half = self._half, ""
        return joined(half)
