"""The way of a prompt: one dialect, and what to try instead."""

from __future__ import annotations

from collections.abc import Sequence

from swiftask_jupyter.errors import ServiceError
from swiftask_jupyter.protocols import Protocol
from swiftask_jupyter.tokens import Token


class Route:
    """By which dialect a prompt travels, and by which instead if it is refused.

    Attributes:
        realm: the host that is asked; any port of this machine is one realm.
        secrets: the tokens that no prompt may hold, of whatever connection.
    """

    def __init__(self, protocol: Protocol, realm: str) -> None:
        self._protocol = protocol
        self.realm = realm
        self.secrets: Sequence[Token] = (protocol.token,)

    @property
    def token(self) -> Token:
        """The token that goes along."""
        return self._protocol.token

    def candidates(self) -> tuple[Protocol, ...]:
        """Return the dialects that it may travel by, without asking anybody."""
        return (self._protocol,)

    async def protocol(self) -> Protocol:
        """Return the dialect to begin with; may ask the service what kind of agent it is."""
        return self._protocol

    def likely(self) -> tuple[Protocol, str]:
        """Return the dialect to begin with, as far as is known, and what is not; asks nobody."""
        return self._protocol, ""

    def instead(self, failed: Protocol, error: ServiceError) -> Protocol | None:
        """Return what to try after a refusal, each way once; `None` to give up."""
        return failed.alternative(error)

    def works(self, protocol: Protocol) -> None:
        """Note that an answer has come this way."""

    async def near(self) -> str | None:
        """Return the agent whose slug is nearest to one that there is not."""
        return None
