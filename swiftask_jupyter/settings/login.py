"""Tokens kept by `login`: in the system's keyring where there is one, else in memory.

A token is kept for one service, as `service_of` names it, and asked for by that name only.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from swiftask_jupyter.settings.connection import sendable

SERVICE = "swiftask_jupyter"


class Logins:
    """The tokens that the user typed in."""

    def __init__(self) -> None:
        self._typed: dict[str, str] = {}

    def keep(self, service: str, token: str) -> bool:
        """Keep a token for a service; return whether a keyring took it.

        Raises:
            ConfigurationError: it is no token.
        """
        secret = sendable(token).reveal()
        self._typed[service] = secret
        keyring = _keyring()
        if keyring is None:
            return False
        try:
            keyring.set_password(SERVICE, service, secret)
        except keyring.errors.KeyringError:
            return False
        return True

    def token(self, service: str) -> str | None:
        """Return the token kept for a service."""
        if service not in self._typed and (keyring := _keyring()) is not None:
            try:
                self._typed[service] = keyring.get_password(SERVICE, service) or ""
            except keyring.errors.KeyringError:
                self._typed[service] = ""
        return self._typed.get(service) or None


def _keyring() -> Any:
    """Return the keyring package, which is not a dependency, if it can keep something."""
    if importlib.util.find_spec("keyring") is None:
        return None
    import keyring
    import keyring.errors

    return keyring
