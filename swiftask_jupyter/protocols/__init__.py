"""The dialects by name. Each says what to send and how to read what comes back; none does I/O."""

from __future__ import annotations

from swiftask_jupyter.protocols.agencii import Agencii
from swiftask_jupyter.protocols.base import BodyDecoder, Decoder, Protocol, Request
from swiftask_jupyter.protocols.chat import Chat
from swiftask_jupyter.protocols.failures import Head
from swiftask_jupyter.protocols.native import Native
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.protocols.widget import Widget

PROTOCOLS: dict[str, type[Protocol]] = {
    each.name: each for each in (OpenAI, Native, Widget, Chat, Agencii)
}

__all__ = ["PROTOCOLS", "BodyDecoder", "Decoder", "Head", "Protocol", "Request"]
