"""Where to send, and on whose behalf: option > %config > environment > .env > pyproject > user."""

from __future__ import annotations

from swiftask_jupyter.settings.connection import Connection, Wanted, resolve
from swiftask_jupyter.settings.sources import Sources

__all__ = ["Connection", "Sources", "Wanted", "resolve"]
