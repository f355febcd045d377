"""Chooses the dialect of a prompt, and the one to try after a refusal.

`auto` speaks the OpenAI-compatible dialect, which streams, and the native one where that is
needed:

- for an agent that the catalogue does not list as a chat agent: measured, `/v1` answers for it as
  a generic chatbot;
- for files and fields that only the native API accepts;
- for a token that `/v1` refuses: an agent's client token belongs to `/api/ai`.
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
from swiftask_jupyter.protocols.base import NATIVE_ONLY_FIELDS, OPENAI_ONLY_FIELDS, Protocol
from swiftask_jupyter.protocols.openai import OpenAI
from swiftask_jupyter.protocols.registry import PROTOCOLS, find_protocol, protocol_names
from swiftask_jupyter.settings.connection import AUTO, Connection
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.suggest import closest
from swiftask_jupyter.turns.catalogue import Catalogue

NATIVE = "native"
# The dialects of Swiftask itself. The others are platforms without a documented host, and the
# catalogue does not list their agents.
SWIFTASK_DIALECTS = (AUTO, OpenAI.name, NATIVE, "widget")


def dialect_choices() -> tuple[str, ...]:
    """Return the names that `--dialect` accepts."""
    return (AUTO, *protocol_names())


class Route:
    """The dialects by which one prompt may be sent, over one connection.

    Attributes:
        host: the host of the request digest; all ports of this machine count as one host.
        secrets: the tokens that no prompt may contain, of any connection.
    """

    def __init__(
        self, dialects: Dialects, connection: Connection, prompt: Prompt, protocol: Protocol
    ) -> None:
        self.host = connection.digest_host
        self.secrets: Sequence[Secret] = (protocol.token,)
        self._protocol = protocol
        self._dialects = dialects
        self._connection = connection
        self._prompt = prompt

    @property
    def token(self) -> Secret:
        """The token that the request carries."""
        return self._protocol.token

    def candidates(self) -> tuple[Protocol, ...]:
        """Return every dialect that may be used; sends nothing."""
        return (self._protocol,)

    async def protocol(self) -> Protocol:
        """Return the dialect to use first; may fetch the catalogue.

        Raises:
            PromptError: the prompt has a field that this dialect does not accept.
        """
        return self._protocol

    def preview(self) -> tuple[Protocol, str]:
        """Return the dialect that would be used first, and a remark on what is unknown.

        Sends nothing.
        """
        return self._protocol, ""

    def fallback(self, failed: Protocol, error: ServiceError) -> Protocol | None:
        """Return the dialect to try after a refusal, each one once; `None` to give up."""
        return failed.fallback(error)

    def record_success(self, protocol: Protocol) -> None:
        """Remember that the service answered in this dialect."""

    async def enrich(self, error: SwiftaskError) -> SwiftaskError:
        """Return the error; if no such agent exists, with the most similar slug added."""
        if isinstance(error, AgentNotFound) and (suggested := await self.suggest()):
            return AgentNotFound(f"{error}; did you mean {suggested}?", status=error.status)
        return error

    async def suggest(self) -> str | None:
        """Return the slug in the catalogue most similar to the prompt's, if that is not in it."""
        if self._connection.dialect not in SWIFTASK_DIALECTS:
            return None
        public = self._connection.root("/public")
        agents = await self._dialects.catalogue.agents_if_available(public)
        slugs = [agent.slug for agent in agents]
        return None if self._prompt.agent in slugs else closest(self._prompt.agent, slugs)


class AutoRoute(Route):
    """The route of the dialect `auto`: OpenAI-compatible first, native where that is needed."""

    def __init__(self, dialects: Dialects, connection: Connection, prompt: Prompt) -> None:
        super().__init__(dialects, connection, prompt, _protocol(OpenAI, connection))
        self._refused = False

    def candidates(self) -> tuple[Protocol, ...]:
        """Return the OpenAI-compatible dialect, then the native one."""
        return self._protocol, _protocol(PROTOCOLS[NATIVE], self._connection)

    async def protocol(self) -> Protocol:
        """Return the dialect that the prompt, the token and the catalogue call for."""
        if self._needs_native():
            return self._native()
        public = self._connection.root("/public")
        chats = await self._dialects.catalogue.is_chat_agent(public, self._prompt.agent)
        return self._native() if chats is False else self._protocol

    def preview(self) -> tuple[Protocol, str]:
        """Return the same, from what is known of the catalogue so far."""
        if self._needs_native():
            return self._native(), ""
        agents = self._dialects.catalogue.fetched_agents(self._connection.root("/public"))
        if agents is None:
            return self._protocol, "native instead, should the catalogue not call it a chat agent"
        chats = next((each.chat for each in agents if each.slug == self._prompt.agent), None)
        return (self._native() if chats is False else self._protocol), ""

    def fallback(self, failed: Protocol, error: ServiceError) -> Protocol | None:
        """Return the native dialect after a 401 of the OpenAI-compatible one."""
        if isinstance(failed, OpenAI) and error.status == 401:
            try:
                native = self._native()
            except PromptError:
                return None  # the prompt can't be sent as native: the 401 is the reason to report
            self._refused = True
            return native
        return super().fallback(failed, error)

    def record_success(self, protocol: Protocol) -> None:
        """Remember the token as native only, if `/v1` had refused it."""
        if self._refused and protocol.name == NATIVE:
            self._dialects.remember_native(self._connection)

    def _needs_native(self) -> bool:
        needs = bool(NATIVE_ONLY_FIELDS & self._prompt.options.keys() or self._prompt.attachments)
        return needs or self._dialects.refuses_openai(self._connection)

    def _native(self) -> Protocol:
        _check_fields(PROTOCOLS[NATIVE], self._prompt)
        return _protocol(PROTOCOLS[NATIVE], self._connection)


class Dialects:
    """Chooses the route of each prompt, and remembers which tokens `/v1` refused."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._native_only: set[tuple[str, Secret]] = set()

    def route(self, connection: Connection, prompt: Prompt) -> Route:
        """Return the route of a prompt over a connection.

        Raises:
            ConfigurationError: the dialect does not exist, or needs a base URL.
            PromptError: the dialect does not accept the prompt's files, system message or fields.
        """
        name = connection.dialect
        if name == AUTO:
            return AutoRoute(self, connection, prompt)
        kind = find_protocol(name)
        if name not in SWIFTASK_DIALECTS and connection.base_url is None:
            raise ConfigurationError(
                f"the {name} platform has no documented address",
                advice="configure a connection with its base_url, and choose it by -c NAME",
            )
        if prompt.attachments and not kind.takes_files:
            raise PromptError(
                f"{name} takes no files", advice="native does: --dialect native; nothing was sent"
            )
        if not kind.takes_system and any(each.role == "system" for each in prompt.history):
            raise PromptError(f"{name} takes no system message", advice="nothing was sent")
        _check_fields(kind, prompt)
        return Route(self, connection, prompt, _protocol(kind, connection))

    def refuses_openai(self, connection: Connection) -> bool:
        """Return whether `/v1` is known to refuse the connection's token."""
        return (connection.root(""), connection.token) in self._native_only

    def remember_native(self, connection: Connection) -> None:
        """Remember that only the native API accepts the connection's token."""
        self._native_only.add((connection.root(""), connection.token))


def _protocol(kind: type[Protocol], connection: Connection) -> Protocol:
    return kind(connection.root(kind.base_path), connection.token)


def _check_fields(kind: type[Protocol], prompt: Prompt) -> None:
    if (only := OPENAI_ONLY_FIELDS & prompt.options.keys()) and not issubclass(kind, OpenAI):
        raise PromptError(
            f"{kind.name} knows no field {min(only)}",
            advice="openai does: --dialect openai; nothing was sent",
        )
