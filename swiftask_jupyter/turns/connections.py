"""`Connections`: resolves a client's settings, prepares prompts, and manages its network access."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.prompts.prompt import Attachment, Prompt, compose
from swiftask_jupyter.settings.connection import (
    AUTO,
    HOW_TO_AUTHENTICATE,
    HOW_TO_NAME_AGENT,
    Connection,
    ConnectionOverrides,
    resolve,
)
from swiftask_jupyter.settings.login import Logins
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.settings.sources import SettingsSources
from swiftask_jupyter.support.io_thread import IOThread
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.turns.catalogue import Catalogue, CatalogueAgent
from swiftask_jupyter.turns.routing import SWIFTASK_DIALECTS, DialectRouter, Route


class Connections:
    """Resolves settings into connections, and prepares prompts and their routes.

    Args:
        overrides: the settings that were given to `Swiftask(…)`.

    Attributes:
        overrides: the settings from `Swiftask(…)` and from `%swiftask use`.
        configured: the settings from `%config SwiftaskMagics`.
        keep_texts: whether `%config SwiftaskMagics` lets the ledger keep prompts and answers.
        sources: the environment and the files with settings.
        transport: sends all requests.
        thread: the I/O thread on which all requests are sent.
    """

    def __init__(self, overrides: ConnectionOverrides) -> None:
        self.overrides = overrides
        self.configured = ConnectionOverrides()
        self.keep_texts = True
        self._no_texts_origin = "a setting that can't be read"
        self.sources = SettingsSources(os.environ)
        self.transport = Transport()
        self.thread = IOThread(self.transport.aclose)
        self._logins = Logins()
        self._secrets: set[Secret] = set()  # every token used so far, for masking
        self._dialects = DialectRouter(Catalogue(self.transport))

    def resolve(self, overrides: ConnectionOverrides | None = None) -> Connection:
        """Return the connection for the present settings. Changed files are read again.

        Args:
            overrides: the settings of one call, which take precedence over all other settings.

        Raises:
            ConfigurationError: a setting is invalid, or the token must not be sent to the service.
        """
        layers = {
            "the call": overrides or ConnectionOverrides(),
            "Swiftask(…)": self.overrides,
            "%config SwiftaskMagics": self.configured,
        }
        self._no_texts_origin = self.sources.no_texts_origin()
        return resolve(self.sources, layers, self._logins.token, self._secrets.add)

    def keeps_texts(self) -> bool:
        """Return whether the ledger may keep prompts and answers."""
        return not self.no_texts_origin()

    def no_texts_origin(self) -> str:
        """Return the setting that forbids keeping prompts and answers; empty if no setting does.

        If the settings can't be read, the result of the last successful reading is returned. If
        there was no successful reading, nothing may be kept.
        """
        if not self.keep_texts:
            return "%config SwiftaskMagics"
        with suppress(ConfigurationError):
            self._no_texts_origin = self.sources.no_texts_origin()
        return self._no_texts_origin

    def prepare(
        self,
        text: str,
        agent: str | None,
        *,
        dialect: str | None = None,
        connection: str | None = None,
        files: object = (),
        needs_token: bool = True,
        **options: Any,
    ) -> tuple[Prompt, Route]:
        """Create the prompt and the route for a call; send nothing.

        The route chooses the protocol by which the prompt is sent.

        Args:
            text: the text of the prompt.
            agent: the agent's slug; `None` for the agent in the settings.
            dialect: the protocol's name, or `auto`; `None` for the dialect in the settings.
            connection: the name of a configured connection; `None` for the connection in the
                settings.
            files: the files to attach: paths, URLs, DataFrames, figures or `(name, bytes)` tuples.
            needs_token: whether to raise an error if there is no token.
            options: other options of the request, such as `system` and `timeout`; see `compose`.

        Raises:
            Refused: the prompt can't be sent; the message says why.
        """
        overrides = ConnectionOverrides(agent=agent, dialect=dialect, connection=connection)
        target = self.resolve(overrides.validated())
        if needs_token and not target.token:
            why = (
                f"no token: {target.missing_token_reason}"
                if target.missing_token_reason
                else "no token"
            )
            raise ConfigurationError(
                why, advice="" if target.missing_token_reason else HOW_TO_AUTHENTICATE
            )
        if not target.agent:
            raise ConfigurationError("no agent", advice=HOW_TO_NAME_AGENT)
        prompt = compose(target.agent, text, files=_loaded(files), **options)
        route = self._dialects.route(target, prompt)
        route.secrets = self._known_secrets()
        return prompt, route

    def mask(self, text: str) -> str:
        """Return the text with all known tokens of this client masked.

        The known tokens are all tokens used so far, and the tokens in the current settings.
        """
        with suppress(ConfigurationError):
            self.resolve()  # adds the current token, which may not have been used yet
        for secret in self._known_secrets():
            text = secret.mask(text)
        return text

    def _known_secrets(self) -> list[Secret]:
        """Return the tokens used so far, and the tokens in the settings and in the environment.

        The longest token comes first, because a token may contain another token.
        """
        named = (self.overrides.token, os.environ.get("SWIFTASK_API_KEY"))
        found = (*tuple(self._secrets), *(Secret(each or "") for each in named))
        return sorted(found, key=len, reverse=True)

    def catalogue(self, timeout: float | None = None) -> tuple[CatalogueAgent, ...]:
        """Return the public agents of the current service; the first call fetches the agents.

        Args:
            timeout: how many seconds to wait for the agents before returning an empty tuple;
                `None` for no limit.

        Raises:
            SwiftaskError: the catalogue cannot be fetched, or the settings are unusable.
        """
        agents = self._dialects.catalogue.agents(self.resolve().root("/public"))
        if timeout is None:
            return self.thread.run(agents)
        task = self.thread.submit(agents)
        return task.result() if task.wait(timeout) else ()

    def known_slugs(
        self, *, connection: str | None = None, dialect: str | None = None, fetch: bool = True
    ) -> tuple[set[str], Connection]:
        """Return the slugs of the known agents, and the connection of a call.

        The slugs are those in the service's catalogue, and the slug of the connection's agent. The
        set is empty if the catalogue does not exist or does not arrive within 3 seconds.

        Args:
            connection: the name of a connection.
            dialect: the protocol's name; default: the connection's protocol.
            fetch: `False` sends no request: only a catalogue that was fetched earlier is used.

        Raises:
            ConfigurationError: a setting is unusable.
        """
        target = self.resolve(ConnectionOverrides(dialect=dialect, connection=connection))
        if target.dialect not in SWIFTASK_DIALECTS:
            return set(), target
        catalogue, root = self._dialects.catalogue, target.root("/public")
        agents = catalogue.fetched_agents(root)
        if agents is None and fetch:
            agents = self.thread.run(catalogue.agents_if_available(root))
        slugs = {agent.slug for agent in agents or ()}
        return slugs | {target.agent} if slugs and target.agent else slugs, target

    def warm(self) -> None:
        """Load TLS certificates and the agent catalogue in the background, before the first prompt.

        The first answer then starts sooner. httpx is loaded too if it will be needed. The catalogue
        is loaded only if the dialect is `auto` and the settings name an agent. Nothing is loaded if
        the settings are unusable or have no token.
        """
        try:
            connection = self.resolve()
        except ConfigurationError:
            return  # the first prompt will raise this error again
        if connection.token:
            self.thread.submit(self._warm(connection))

    async def _warm(self, connection: Connection) -> None:
        await self.transport.warm(connection.root("/v1"))
        if connection.dialect == AUTO and connection.agent:
            await self._dialects.catalogue.is_chat_agent(
                connection.root("/public"), connection.agent
            )

    def login_host(self) -> str:
        """Return the name of the host for which `login` stores a token.

        Raises:
            ConfigurationError: a token for this host would be sent unencrypted.
        """
        return self._login_connection().host

    def login(self, token: str) -> bool:
        """Store a token for the connection's host.

        Returns:
            `True` if the token is in the system's keyring; `False` if the token is kept only until
            this process ends.

        Raises:
            ConfigurationError: the token is invalid, or would be sent unencrypted.
        """
        return self._logins.keep(self._login_connection().token_host, token)

    def _login_connection(self) -> Connection:
        connection = self.resolve()
        if connection.unencrypted:
            raise ConfigurationError(connection.unencrypted)
        return connection

    def stored_login(self) -> tuple[bool, str]:
        """Return whether `login` has stored a token for the connection, and the token's key."""
        host = self.resolve().token_host
        return self._logins.token(host) is not None, host


def _loaded(files: object) -> tuple[Attachment, ...]:
    if isinstance(files, tuple | list) and not files:
        return ()
    from swiftask_jupyter.prompts.attachments import load_files  # rarely needed

    return load_files(files)
