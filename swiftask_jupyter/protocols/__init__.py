"""The dialects by name. Each says what to send and how to read what comes back; none does I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar

from swiftask_jupyter.protocols.base import BodyDecoder, Decoder, Protocol, Request
from swiftask_jupyter.protocols.failures import Head

__all__ = ["PROTOCOLS", "BodyDecoder", "Decoder", "Head", "Protocol", "Request"]


class _Ours(Mapping[str, type[Protocol]]):
    """Our dialects, each imported when it is first asked for: most cells speak one of them."""

    _names: ClassVar = {
        "openai": "OpenAI",
        "native": "Native",
        "widget": "Widget",
        "chat": "Chat",
        "agencii": "Agencii",
    }

    def __getitem__(self, name: str) -> type[Protocol]:
        found: Any = getattr(import_module(f"{__name__}.{name}"), self._names[name])
        return found  # type: ignore[no-any-return]  # a module's attribute is anything

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


PROTOCOLS: Mapping[str, type[Protocol]] = _Ours()
