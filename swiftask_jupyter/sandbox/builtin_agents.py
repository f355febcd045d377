"""Define the built-in agents of the sandbox.

Other modules define the agents `smollm2` and `fault-<name>`.
"""

import json
from collections.abc import Mapping

from .agents import Agent, Message
from .arithmetic import answer_arithmetic
from .lorem import LOREM
from .pictures import image_file, image_in_text

LOREM_PIECE = 24  # characters


def echo(messages: list[Message]) -> list[str]:
    """Return the last user message, split into pieces for streaming.

    The pieces get longer towards the end of a long message. A message of one megabyte has fewer
    than 2000 pieces. If there is no user message, the list is empty.
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
    """Return a fixed Markdown document, split into pieces for streaming.

    The document uses every Markdown feature.
    """
    return [LOREM[at : at + LOREM_PIECE] for at in range(0, len(LOREM), LOREM_PIECE)]


def slow(_messages: list[Message]) -> list[str]:
    """Return 650 words, one per piece.

    The agent `slow` pauses for 0.1 s between two words. The whole reply takes more than a minute.
    """
    return [f"word{number} " for number in range(1, 651)]


def mirror(messages: list[Message]) -> str:
    """Return all messages as JSON text, including roles and files."""
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
