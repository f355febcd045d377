"""The dialects: bytes out of a prompt, events out of bytes. Nothing here does I/O.

A dialect of another package builds on the names below (see `protocols.registry`).
"""

from swiftask_jupyter.protocols.base import BodyDecoder, Decoder, Protocol, Request
from swiftask_jupyter.protocols.errors import Head

__all__ = ["BodyDecoder", "Decoder", "Head", "Protocol", "Request"]
