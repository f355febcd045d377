"""The agents every sandbox has."""

import json
from collections.abc import Mapping

from .agents import Agent, Message
from .arithmetic import calculated
from .lorem import LOREM
from .pictures import picture, picture_in_text


def echo(messages: list[Message]) -> list[str]:
    """The last user message, byte for byte; a long one in pieces that grow as it goes on."""
    said = [each["content"] for each in messages if each["role"] == "user"]
    text = said[-1] if said else ""
    pieces = []
    sent = 0
    while sent < len(text):
        size = max(4, sent // 150)
        pieces.append(text[sent : sent + size])
        sent += size
    return pieces


def lorem(_messages: list[Message]) -> list[str]:
    """Markdown with everything in it, a few letters at a time."""
    return [LOREM[at : at + 24] for at in range(0, len(LOREM), 24)]


def slow(_messages: list[Message]) -> list[str]:
    """A word every tenth of a second, for more than a minute."""
    return [f"word{number} " for number in range(1, 651)]


def mirror(messages: list[Message]) -> str:
    """The messages it was given, as JSON: their roles, contents and files."""
    return json.dumps(messages, ensure_ascii=False)


BUILT_IN: Mapping[str, Agent] = {
    "echo": Agent(echo, "Echo: says it back", instant=True),
    "lorem": Agent(lorem, "Lorem: Markdown with everything in it", pause=0.02, instant=True),
    "slow": Agent(slow, "Slow: a word every tenth of a second", pause=0.1, instant=True),
    "math": Agent(calculated, "Math: works out simple arithmetic", instant=True),
    "mirror": Agent(mirror, "Mirror: the messages it was given, as JSON", instant=True),
    "image": Agent(picture, "Image: a small picture as a file", chat=False, instant=True),
    "image-markdown": Agent(
        picture_in_text, "Image: a small picture linked in the text", chat=False, instant=True
    ),
}
