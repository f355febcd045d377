"""Chooses the protocol by which a prompt is sent, and another protocol after an error.

The option `--dialect` names the protocol. Its default `auto` uses the OpenAI-compatible protocol
(`/v1`), because it streams. In these cases, `auto` uses Swiftask's native protocol (`/api/ai`):

- The catalogue says that the agent is not a chat agent. In tests, `/v1` answered prompts to such an
  agent as a generic chatbot.
- The prompt has files or fields that only the native API accepts.
- `/v1` refuses the token. A client token of an agent is valid only for `/api/ai`.
"""

from __future__ import annotations

from collections.abc import Sequence

from swiftask_jupyter.answers.turn import Turn
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
from swiftask_jupyter.settings.connection import AUTO, Connection, service
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.support.suggest import closest
from swiftask_jupyter.transport.errors import unreachable
from swiftask_jupyter.turns.catalogue import Catalogue

NATIVE = "native"
# The dialects for Swiftask. The other dialects are for platforms without a documented host, whose
# agents are not in the catalogue.
SWIFTASK_DIALECTS = (AUTO, OpenAI.name, NATIVE, "widget")


def dialect_choices() -> tuple[str, ...]:
    """Return the values that `--dialect` accepts: `auto` and the names of all protocols."""
    return (AUTO, *protocol_names())


class Route:
    """Chooses the protocol of each request that sends one prompt. The connection is fixed.

    Attributes:
        service: the identity of the service, which is part of each request's digest.
        sandbox: whether the service is a sandbox of this user.
        secrets: the tokens of all connections. The prompt must not contain any of these tokens.
    """

    def __init__(
        self, dialects: DialectRouter, connection: Connection, prompt: Prompt, protocol: Protocol
    ) -> None:
        self.sandbox = connection.is_sandbox
        self.service = str(service(connection.address, sandbox=self.sandbox))
        self.secrets: Sequence[Secret] = (protocol.token,)
        self._protocol = protocol
        self._dialects = dialects
        self._connection = connection
        self._prompt = prompt
        self._fell_back = False  # the service refused a variant of a protocol

    @property
    def token(self) -> Secret:
        """The token with which the requests are authorized."""
        return self._protocol.token

    def address_turn(self, turn: Turn) -> None:
        """Set the turn's fields that identify the service: `host`, `connection` and `sandbox`."""
        turn.host, turn.connection = self._connection.address, self._connection.name
        turn.sandbox = self.sandbox

    def check_service(self) -> None:
        """Check that a sandbox is still running, because another server may have its port by now.

        Raises:
            ConnectionFailed: the sandbox has ended.
        """
        if self.sandbox and not self._connection.is_sandbox:
            host = self._connection.address.removeprefix("http://")
            raise unreachable(host, "the sandbox has ended", sent=False, permanent=True)

    def candidates(self) -> tuple[Protocol, ...]:
        """Return all protocols by which the prompt may be sent, without their variants.

        Used to look up a stored answer, because the key of a stored answer depends on the protocol.
        """
        return (self._protocol,)

    async def protocol(self) -> Protocol:
        """Return the protocol for the first request; `AutoRoute` may fetch the catalogue first.

        Raises:
            PromptError: the prompt has a field that the protocol does not accept.
        """
        return self._dialects.variant(self._protocol)

    def preview(self) -> tuple[Protocol, str]:
        """Return the protocol for the first request and a remark, without sending anything.

        Used for dry runs. The remark says that the real request may use another protocol. The
        remark is empty if the protocol is certain.
        """
        return self._dialects.variant(self._protocol), ""

    def fallback(self, failed: Protocol, error: ServiceError) -> Protocol | None:
        """Return the protocol by which to send the prompt again after an error response, or `None`.

        `None` means that no other protocol or variant is left to try.

        Args:
            failed: the protocol of the last request.
            error: the error response, as an exception.
        """
        variant = failed.fallback(error)
        self._fell_back = self._fell_back or variant is not None
        return variant

    def record_success(self, protocol: Protocol) -> None:
        """Remember a variant of a protocol that the service accepted after it refused another.

        Later prompts over the same connection are sent by this variant at once. `AutoRoute` also
        remembers which protocol a token needs.

        Args:
            protocol: the protocol of the successful request.
        """
        if self._fell_back:
            self._dialects.remember_variant(protocol)

    async def enrich(self, error: SwiftaskError) -> SwiftaskError:
        """Return the error, with a suggested slug if the error is an `AgentNotFound`.

        A new `AgentNotFound` is returned if there is a suggestion. Otherwise, the error is returned
        unchanged.
        """
        if isinstance(error, AgentNotFound) and (suggested := await self.suggest()):
            return AgentNotFound(f"{error}; did you mean {suggested}?", status=error.status)
        return error

    async def suggest(self) -> str | None:
        """Return the slug in the catalogue that is most similar to the slug in the prompt.

        There are four cases in which the result is `None`:

        - The catalogue contains the prompt's slug.
        - The catalogue contains no similar slug.
        - The catalogue cannot be fetched.
        - The dialect is not for Swiftask.
        """
        if self._connection.dialect not in SWIFTASK_DIALECTS:
            return None
        public = self._connection.root("/public")
        agents = await self._dialects.catalogue.agents_if_available(public)
        slugs = [agent.slug for agent in agents]
        return None if self._prompt.agent in slugs else closest(self._prompt.agent, slugs)


class AutoRoute(Route):
    """The route for the dialect `auto`: the OpenAI-compatible protocol, or native if needed.

    The docstring of the module says when the native protocol is needed.
    """

    def __init__(self, dialects: DialectRouter, connection: Connection, prompt: Prompt) -> None:
        super().__init__(dialects, connection, prompt, _protocol(OpenAI, connection))
        self._refused = False

    def candidates(self) -> tuple[Protocol, ...]:
        """Return the OpenAI-compatible protocol and the native one, in this order."""
        return self._protocol, _protocol(PROTOCOLS[NATIVE], self._connection)

    async def protocol(self) -> Protocol:
        """Return the protocol for the first request, native or OpenAI-compatible.

        The choice depends on the prompt's files and fields, on the token and on the catalogue. The
        catalogue is fetched if necessary.

        Raises:
            PromptError: native is needed, but does not accept a field of the prompt.
        """
        if self._needs_native():
            return self._native()
        public = self._connection.root("/public")
        chats = await self._dialects.catalogue.is_chat_agent(public, self._prompt.agent)
        return self._native() if chats is False else await super().protocol()

    def preview(self) -> tuple[Protocol, str]:
        """Return the protocol for the first request and a remark, without sending anything.

        The choice may depend on a catalogue that is not fetched yet. Then the result is the
        OpenAI-compatible protocol and a remark that the native protocol may be used instead.
        Otherwise, the remark is empty.

        Raises:
            PromptError: native is needed, but does not accept a field of the prompt.
        """
        if self._needs_native():
            return self._native(), ""
        agents = self._dialects.catalogue.fetched_agents(self._connection.root("/public"))
        if agents is None:
            remark = "native instead, should the catalogue not call it a chat agent"
            return self._dialects.variant(self._protocol), remark
        chats = next((each.chat for each in agents if each.slug == self._prompt.agent), None)
        return (self._native(), "") if chats is False else super().preview()

    def fallback(self, failed: Protocol, error: ServiceError) -> Protocol | None:
        """Return the protocol by which to send the prompt again after an error response, or `None`.

        If the OpenAI-compatible protocol got status 401, return the native protocol, or `None` if
        the native protocol cannot send the prompt. After any other error, return a variant of the
        failed protocol, or `None`.
        """
        if isinstance(failed, OpenAI) and error.status == 401:
            try:
                native = self._native()
            except PromptError:
                return None  # native can't send this prompt: the caller raises the 401
            self._refused = True
            return native
        return super().fallback(failed, error)

    def record_success(self, protocol: Protocol) -> None:
        """Remember a token that `/v1` has refused and the native API has accepted.

        Later prompts with this token are sent by the native protocol at once.
        """
        super().record_success(protocol)
        if self._refused and protocol.name == NATIVE:
            self._dialects.remember_native(self._connection)

    def _needs_native(self) -> bool:
        needs = bool(NATIVE_ONLY_FIELDS & self._prompt.options.keys() or self._prompt.attachments)
        return needs or self._dialects.refuses_openai(self._connection)

    def _native(self) -> Protocol:
        _check_fields(PROTOCOLS[NATIVE], self._prompt)
        return self._dialects.variant(_protocol(PROTOCOLS[NATIVE], self._connection))


class DialectRouter:
    """Creates the `Route` for each prompt, and remembers what each connection refuses."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._native_only: set[tuple[str, Secret]] = set()
        self._variants: dict[tuple[str, str, Secret], Protocol] = {}

    def route(self, connection: Connection, prompt: Prompt) -> Route:
        """Return the route for a prompt, which chooses the protocol by which the prompt is sent.

        Args:
            connection: the service's base URL, the token and the dialect.
            prompt: the prompt.

        Raises:
            ConfigurationError: the dialect does not exist, or a required base URL is missing.
            PromptError: the protocol does not accept the prompt's files, system message or fields.
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

    def variant(self, protocol: Protocol) -> Protocol:
        """Return the variant of a protocol that its service is known to accept, or the protocol."""
        return self._variants.get(_connection_key(protocol), protocol)

    def remember_variant(self, protocol: Protocol) -> None:
        """Use this variant for all later prompts with the same dialect, base URL and token."""
        self._variants[_connection_key(protocol)] = protocol

    def refuses_openai(self, connection: Connection) -> bool:
        """Return whether the connection's token is known to work only with the native API."""
        return (connection.root(""), connection.token) in self._native_only

    def remember_native(self, connection: Connection) -> None:
        """Remember that the connection's token works only with the native API."""
        self._native_only.add((connection.root(""), connection.token))


def _protocol(kind: type[Protocol], connection: Connection) -> Protocol:
    return kind(connection.root(kind.base_path), connection.token)


def _connection_key(protocol: Protocol) -> tuple[str, str, Secret]:
    return protocol.name, protocol.base_url, protocol.token


def _check_fields(kind: type[Protocol], prompt: Prompt) -> None:
    if (only := OPENAI_ONLY_FIELDS & prompt.options.keys()) and not issubclass(kind, OpenAI):
        raise PromptError(
            f"{kind.name} knows no field {min(only)}",
            advice="openai does: --dialect openai; nothing was sent",
        )
