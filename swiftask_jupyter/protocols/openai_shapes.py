"""The JSON objects of OpenAI-compatible services: typed structs, and readers of unusual shapes.

msgspec decodes the usual shape of a chunk into the structs. A chunk that does not fit the structs
is decoded without type checks and converted by `lenient_chunk`. Services that are called compatible
send, for example, a list of parts as `content`, or the token counts inside a choice.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

# These finish reasons say that the answer has not ended; some services send one with every chunk.
NO_REASON = frozenset(("", "null", "none"))


# gc=False excludes these structs from garbage collection: they are short-lived and have no cycles.
class Message(msgspec.Struct, gc=False):
    """The text of an answer or, in a stream, the next piece of the text.

    `refusal` is the text of an agent that declines. The reasoning is no part of the answer's text.
    """

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None


class TokenUsage(msgspec.Struct, gc=False):
    """The token counts in a response, as the service reports them, under either pair of names."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the alternative answers in a response; the dialect reads only one of them."""

    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None
    index: int | None = None
    text: str | None = None
    usage: TokenUsage | None = None
    error: Any = None


class Chunk(msgspec.Struct, gc=False):
    """One JSON object of a response: a chunk of a stream, or a whole answer.

    Only the fields that the dialect reads are declared.
    """

    choices: list[Choice] | None = None
    usage: TokenUsage | None = None
    error: Any = None
    id: str | None = None
    model: str | None = None
    x_groq: Any = None


decode_chunk = msgspec.json.Decoder(Chunk).decode


def decode_leniently(data: bytes) -> Chunk | None:
    """Decode a chunk without type checks; return `None` if the chunk is not a JSON object.

    Used for chunks that the typed msgspec decoder rejects, for example because of a lone surrogate
    or of a value with an undocumented type.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return lenient_chunk(value) if isinstance(value, dict) else None


def lenient_chunk(value: dict[str, Any]) -> Chunk:
    """Convert a decoded JSON object to a `Chunk`; values of an unexpected type become `None`."""
    choices = value.get("choices")
    return Chunk(
        choices=[_choice(each) for each in choices if isinstance(each, dict)]
        if isinstance(choices, list)
        else None,
        usage=_token_usage(value.get("usage")),
        error=value.get("error"),
        id=_text_or_none(value.get("id")),
        model=_text_or_none(value.get("model")),
        x_groq=value.get("x_groq"),
    )


def _choice(value: dict[str, Any]) -> Choice:
    index = value.get("index")
    return Choice(
        delta=_message(value.get("delta")),
        message=_message(value.get("message")),
        finish_reason=_text_or_none(value.get("finish_reason")),
        index=index if isinstance(index, int) else None,
        text=_text_or_none(value.get("text")),
        usage=_token_usage(value.get("usage")),
        error=value.get("error"),
    )


def _message(value: Any) -> Message | None:
    if not isinstance(value, dict):
        return None
    content = value.get("content")
    tools = value.get("tool_calls")
    return Message(
        content=part_text(content) or None,
        refusal=_text_or_none(value.get("refusal")),
        reasoning_content="…" if has_thinking(content) else None,
        tool_calls=tools if isinstance(tools, list) else None,
        function_call=value.get("function_call"),
    )


def _token_usage(value: Any) -> TokenUsage | None:
    if not isinstance(value, dict):
        return None
    return TokenUsage(*(value.get(name) for name in TokenUsage.__struct_fields__))


def message_text(message: Message | None) -> str:
    """Return the content of a message, or the words of its refusal; `""` without a message."""
    return (message and (message.content or message.refusal)) or ""


def counted(chunk: Chunk) -> TokenUsage | None:
    """Return the token counts of a chunk, which Groq puts into a field of its own."""
    if chunk.usage is None and isinstance(chunk.x_groq, dict):
        return _token_usage(chunk.x_groq.get("usage"))
    return chunk.usage


def parsed(data: bytes) -> Any:
    """Return the decoded JSON, or `None` if the bytes are no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def part_text(content: Any, depth: int = 3) -> str:
    """Return the text in a `content` of any shape: a text, a part, or a list of parts.

    The text of a part is under `text`, `refusal` or `content`, or under `value` in its `text`.
    Parts of reasoning have no text of the answer.
    """
    if isinstance(content, str):
        return content
    if depth <= 0:
        return ""
    if isinstance(content, list):
        return "".join(part_text(each, depth - 1) for each in content)
    if not isinstance(content, dict) or _is_thinking(content):
        return ""
    for key in ("text", "refusal", "content", "value"):
        if text := part_text(content.get(key), depth - 1):
            return text
    return ""


def has_thinking(content: Any) -> bool:
    """Return whether a list of parts contains a part of the agent's reasoning."""
    parts = content if isinstance(content, list) else []
    return any(isinstance(each, dict) and _is_thinking(each) for each in parts)


def _is_thinking(part: dict[str, Any]) -> bool:
    return part.get("type") in {"thinking", "reasoning", "redacted_thinking"}


class ToolCalls:
    """The calls of tools that an agent asked for, put together from the pieces in a stream."""

    def __init__(self) -> None:
        self._calls: dict[Any, dict[str, Any]] = {}

    def add(self, message: Message) -> None:
        """Add the pieces in one message. Pieces of one call have the same `index`."""
        pieces = list(message.tool_calls or ())
        if isinstance(message.function_call, dict):  # the older name
            pieces.append({"type": "function", "function": message.function_call})
        for place, piece in enumerate(pieces):
            if isinstance(piece, dict):
                index = piece.get("index")
                key = index if isinstance(index, int) else place
                _merge(self._calls.setdefault(key, {}), piece)

    def listed(self) -> list[dict[str, Any]]:
        """Return the calls in their order."""
        return list(self._calls.values())


def _merge(call: dict[str, Any], piece: dict[str, Any]) -> None:
    """Add a piece of a call: `arguments` are joined, other values are replaced."""
    for key, value in piece.items():
        if isinstance(value, dict):
            inner = call.setdefault(key, {})
            _merge(inner if isinstance(inner, dict) else {}, value)
        elif key == "arguments" and isinstance(value, str):
            call[key] = f"{call.get(key) or ''}{value}"
        elif value is not None:
            call[key] = value


def is_incomplete(data: bytes) -> bool:
    """Return whether bytes are the beginning of a JSON object, and could be continued."""
    try:
        text = data.decode().strip()
        json.loads(text)
    except json.JSONDecodeError as error:
        cut_in_a_text = error.msg.startswith("Unterminated string")
        return text[:1] == "{" and (cut_in_a_text or error.pos >= len(text))
    except (ValueError, RecursionError):
        return False
    return False


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
