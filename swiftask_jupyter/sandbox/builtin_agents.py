"""The agents that every sandbox has, and the replies of the simple ones."""

import json
from collections.abc import Mapping

from .agents import Agent, Message
from .arithmetic import answer_arithmetic
from .lorem import LOREM
from .pictures import image_file, image_in_text

LOREM_PIECE = 24  # characters


def echo(messages: list[Message]) -> list[str]:
    """Return the last user message unchanged, cut into pieces.

    The pieces of a long message get longer towards its end, so that a megabyte needs fewer than
    2000 of them.
    """
    user_messages = [each["content"] for each in messages if each["role"] == "user"]
    text = user_messages[-1] if user_messages else ""
    pieces = []
    sent = 0
    while sent < len(text):
        size = max(4, sent // 150)
        pieces.append(text[sent : sent + size])
        sent += size
    return pieces


def lorem(_messages: list[Message]) -> list[str]:
    """Return a fixed Markdown document that uses every Markdown feature, in short pieces."""
    return [LOREM[at : at + LOREM_PIECE] for at in range(0, len(LOREM), LOREM_PIECE)]


def slow(_messages: list[Message]) -> list[str]:
    """Return 650 words; the agent's pause of 0.1 s makes that more than a minute."""
    return [f"word{number} " for number in range(1, 651)]


def mirror(messages: list[Message]) -> str:
    """Return the messages that reached the agent as JSON: roles, contents and files."""
    return json.dumps(messages, ensure_ascii=False)


BUILT_IN: Mapping[str, Agent] = {
    "echo": Agent(echo, "Echo: says it back", nonblocking=True),
    "lorem": Agent(lorem, "Lorem: Markdown with everything in it", pause=0.02, nonblocking=True),
    "slow": Agent(slow, "Slow: a word every tenth of a second", pause=0.1, nonblocking=True),
    "math": Agent(answer_arithmetic, "Math: works out simple arithmetic", nonblocking=True),
    "mirror": Agent(mirror, "Mirror: the messages it was given, as JSON", nonblocking=True),
    "image": Agent(image_file, "Image: a small picture as a file", chat=False, nonblocking=True),
    "image-markdown": Agent(
        image_in_text, "Image: a small picture linked in the text", chat=False, nonblocking=True
    ),
}
