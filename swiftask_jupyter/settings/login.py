"""Stores the tokens that the user enters for `%swiftask login`.

The tokens are stored in the system's keyring. Without a keyring, the tokens are stored in memory.
Each token belongs to one host (see `token_host`) and is returned only for this host.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from swiftask_jupyter.settings.connection import parse_token

# The service name under which the tokens appear in the keyring.
KEYRING_SERVICE = "swiftask_jupyter"


class Logins:
    """The tokens that the user entered for `%swiftask login`: one token per host."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def keep(self, host: str, token: str) -> bool:
        """Store a token for a host. Return True if the token was stored in the system's keyring.

        The token is also kept in memory until the process ends.

        Raises:
            ConfigurationError: the token contains an invalid character.
        """
        secret = parse_token(token).reveal()
        self._tokens[host] = secret
        keyring = _keyring()
        if keyring is None:
            return False
        try:
            keyring.set_password(KEYRING_SERVICE, host, secret)
        except keyring.errors.KeyringError:
            return False
        return True

    def token(self, host: str) -> str | None:
        """Return the stored token for a host, or `None`. The keyring is read once per host."""
        if host not in self._tokens and (keyring := _keyring()) is not None:
            try:
                self._tokens[host] = keyring.get_password(KEYRING_SERVICE, host) or ""
            except keyring.errors.KeyringError:
                self._tokens[host] = ""
        return self._tokens.get(host) or None


def _keyring() -> Any:
    """Return the module of the optional package `keyring`, or `None` if it is not installed."""
    if importlib.util.find_spec("keyring") is None:
        return None
    import keyring
    import keyring.errors

    return keyring
