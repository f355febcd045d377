"""The way of a prompt: one dialect, and what to try instead.

Which dialect a prompt travels by.

`auto` speaks the OpenAI-compatible dialect, which streams, except where that would go wrong:
an agent that the catalogue does not call a chat one answers there as a generic chatbot
(measured); fields and files that only the native API takes; and a token that `/v1` refuses,
because an agent's client token belongs to `/api/ai`.
"""

from __future__ import annotations

from collections.abc import Sequence

from swiftask_jupyter.errors import (
    AgentNotFound,
    ConfigurationError,
    PromptError,
    ServiceError,
    SwiftaskError,
)
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.protocols.base import ONLY_NATIVE, Protocol
from swiftask_jupyter.protocols.openai import ONLY_HERE as ONLY_OPENAI
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.protocols.registry import PROTOCOLS, find, names
from swiftask_jupyter.settings.connection import AUTO, Connection
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.suggest import closest
from swiftask_jupyter.turns.catalogue import Catalogue


class Route:
    """By which dialect a prompt travels, and by which instead if it is refused.

    Attributes:
        host: the host that is asked; any port of this machine is one host.
        secrets: the tokens that no prompt may hold, of whatever connection.
    """

    def __init__(self, protocol: Protocol, host: str) -> None:
        self._protocol = protocol
        self.host = host
        self.secrets: Sequence[Secret] = (protocol.token,)

    @property
    def token(self) -> Secret:
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

    async def explained(self, error: SwiftaskError) -> SwiftaskError:
        """Return the error; that of an agent that there is not names the nearest that there is."""
        if isinstance(error, AgentNotFound) and (near := await self.near()):
            return AgentNotFound(f"{error}; did you mean {near}?", status=error.status)
        return error

    async def near(self) -> str | None:
        """Return the agent whose slug is nearest to one that there is not."""
        return None


NATIVE = "native"
# All others are platforms of their own: no documented host, and no catalogue of Swiftask's.
SWIFTASKS = (AUTO, OpenAI.name, NATIVE, "widget")


def choices() -> tuple[str, ...]:
    """Return what `--dialect` may name."""
    return (AUTO, *names())


class Dialects:
    """Chooses the dialect of each prompt, and remembers what a service refused."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._native_only: set[tuple[str, Secret]] = set()

    def route(self, connection: Connection, prompt: Prompt) -> Route:
        """Return how a prompt travels over a connection.

        Raises:
            ConfigurationError: there is no such dialect, or it has no address.
            PromptError: the prompt carries what the dialect can't.
        """
        name = connection.dialect
        if name == AUTO:
            return _Auto(self, connection, prompt)
        kind = find(name)
        if name not in SWIFTASKS and connection.base_url is None:
            raise ConfigurationError(
                f"the {name} platform has no documented address",
                advice="configure a connection with its base_url, and choose it by -c NAME",
            )
        if prompt.attachments and not kind.takes_files:
            raise PromptError(
                f"{name} takes no files", advice="native does: --dialect native; nothing was sent"
            )
        if not kind.takes_system and any(said.role == "system" for said in prompt.history):
            raise PromptError(f"{name} takes no system message", advice="nothing was sent")
        _check_fields(kind, prompt)
        return _Known(self, connection, prompt, _speak(kind, connection))

    def refuses_openai(self, connection: Connection) -> bool:
        """Tell whether `/v1` is known to refuse the connection's token."""
        return (connection.root(""), connection.token) in self._native_only

    def remember_native(self, connection: Connection) -> None:
        """Remember that only the native API takes the connection's token."""
        self._native_only.add((connection.root(""), connection.token))


def _speak(kind: type[Protocol], connection: Connection) -> Protocol:
    return kind(connection.root(kind.family), connection.token)


def _check_fields(kind: type[Protocol], prompt: Prompt) -> None:
    if (only := ONLY_OPENAI & prompt.options.keys()) and not issubclass(kind, OpenAI):
        raise PromptError(
            f"{kind.name} knows no field {min(only)}",
            advice="openai does: --dialect openai; nothing was sent",
        )


class _Known(Route):
    """A route to a service that may have a catalogue."""

    def __init__(
        self, dialects: Dialects, connection: Connection, prompt: Prompt, protocol: Protocol
    ) -> None:
        super().__init__(protocol, connection.digest_host)
        self._dialects = dialects
        self._connection = connection
        self._prompt = prompt

    async def near(self) -> str | None:
        """Return the catalogue's nearest slug to the one that was asked and is not in it."""
        if self._connection.dialect not in SWIFTASKS:
            return None
        agents = await self._dialects.catalogue.agents_if_available(
            self._connection.root("/public")
        )
        slugs = [agent.slug for agent in agents]
        if self._prompt.agent in slugs:
            return None
        return closest(self._prompt.agent, slugs)


class _Auto(_Known):
    def __init__(self, dialects: Dialects, connection: Connection, prompt: Prompt) -> None:
        super().__init__(dialects, connection, prompt, _speak(OpenAI, connection))
        self._refused = False

    def candidates(self) -> tuple[Protocol, ...]:
        return self._protocol, _speak(PROTOCOLS[NATIVE], self._connection)

    async def protocol(self) -> Protocol:
        if self._needs_native():
            return self._native()
        public = self._connection.root("/public")
        chats = await self._dialects.catalogue.is_chat_agent(public, self._prompt.agent)
        return self._native() if chats is False else await super().protocol()

    def likely(self) -> tuple[Protocol, str]:
        if self._needs_native():
            return self._native(), ""
        agents = self._dialects.catalogue.fetched_agents(self._connection.root("/public"))
        if agents is None:
            return self._protocol, "native instead, should the catalogue not call it a chat agent"
        chats = next((each.chat for each in agents if each.slug == self._prompt.agent), None)
        return (self._native() if chats is False else self._protocol), ""

    def _needs_native(self) -> bool:
        carries = bool(ONLY_NATIVE & self._prompt.options.keys() or self._prompt.attachments)
        return carries or self._dialects.refuses_openai(self._connection)

    def _native(self) -> Protocol:
        _check_fields(PROTOCOLS[NATIVE], self._prompt)
        return _speak(PROTOCOLS[NATIVE], self._connection)

    def instead(self, failed: Protocol, error: ServiceError) -> Protocol | None:
        if isinstance(failed, OpenAI) and error.status == 401:
            try:
                native = self._native()
            except PromptError:
                return None  # it holds what native can't take: the refusal is the reason
            self._refused = True
            return native
        return super().instead(failed, error)

    def works(self, protocol: Protocol) -> None:
        if self._refused and protocol.name == NATIVE:
            self._dialects.remember_native(self._connection)
