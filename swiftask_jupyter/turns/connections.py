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
from swiftask_jupyter.settings.sources import Sources
from swiftask_jupyter.support.io_thread import IOThread
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.turns.catalogue import Agent, Catalogue
from swiftask_jupyter.turns.routing import SWIFTASK_DIALECTS, Dialects, Route


class Connections:
    """The settings, tokens, agent catalogue and network access of one client.

    A `Connection` is the result of combining all settings: base URL, token, agent and dialect (the
    protocol's name, or `auto`).

    Args:
        overrides: the settings passed to the constructor of the client.

    Attributes:
        overrides: the settings passed to the constructor of the client, or changed later by
            commands such as `%swiftask use`.
        configured: the settings made by `%config SwiftaskMagics`.
        sources: the settings in environment variables and files.
        transport: sends the requests.
        thread: the I/O thread, on which all requests are sent.
    """

    def __init__(self, overrides: ConnectionOverrides) -> None:
        self.overrides = overrides
        self.configured = ConnectionOverrides()
        self.sources = Sources(os.environ)
        self.transport = Transport()
        self.thread = IOThread(self.transport.aclose)
        self._logins = Logins()
        self._secrets: set[Secret] = set()  # every token used so far, for masking
        self._dialects = Dialects(Catalogue(self.transport))

    def resolve(self, overrides: ConnectionOverrides | None = None) -> Connection:
        """Combine all current settings into a connection.

        Files with settings are read again if they have changed.

        Args:
            overrides: the settings passed to a single call, which take precedence over all others;
                `None` if there are none.

        Raises:
            ConfigurationError: a setting is unusable, or a project's file names a host to which a
                token from another source must not be sent.
        """
        layers = {
            "the call": overrides or ConnectionOverrides(),
            "Swiftask(…)": self.overrides,
            "%config SwiftaskMagics": self.configured,
        }
        found = resolve(self.sources, layers, self._logins.token)
        self._secrets.add(found.token)
        return found

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
        """Create a prompt from the arguments of a call, and the route by which to send it.

        The route holds the protocols by which the prompt may be sent. Nothing is sent.

        Args:
            text: the text of the prompt.
            agent: the agent's slug; `None` for the agent in the settings.
            dialect: the protocol's name, or `auto`; `None` for the dialect in the settings.
            connection: the name of a configured connection; `None` for the one in the settings.
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
        """Return the text with all tokens masked that the client has used or could use now."""
        with suppress(ConfigurationError):
            self.resolve()  # adds the current token, which may not have been used yet
        for secret in self._known_secrets():
            text = secret.mask(text)
        return text

    def _known_secrets(self) -> list[Secret]:
        """Return the tokens used so far, and those in the client's settings and the environment.

        The longest token comes first, because a token may contain another one.
        """
        named = (self.overrides.token, os.environ.get("SWIFTASK_API_KEY"))
        found = (*tuple(self._secrets), *(Secret(each or "") for each in named))
        return sorted(found, key=len, reverse=True)

    def catalogue(self, timeout: float | None = None) -> tuple[Agent, ...]:
        """Return the public agents of the current service; they are fetched on the first call.

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
        """Return the slugs in the catalogue of the service that a call asks, and its connection.

        The set also has the connection's own agent. It is empty if the service has no catalogue,
        or did not send it within 3 seconds.

        Args:
            connection: the name of a connection.
            dialect: the dialect; default: the connection's.
            fetch: whether the catalogue may be fetched; else only one fetched before counts.

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
        """Prepare the first prompt in the background, so that its answer starts sooner.

        On the I/O thread, load certificates or httpx if they are needed and, for the dialect
        `auto`, the catalogue of agents. Do nothing if the settings are unusable or have no token.
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

    def login(self, token: str) -> bool:
        """Store a token for the host of the current service; used by `%swiftask login`.

        Return whether it was stored in the system's keyring. Otherwise it is kept in memory until
        the process ends.

        Raises:
            ConfigurationError: the token contains characters that no token has, or the settings
                are unusable.
        """
        return self._logins.keep(self.resolve().token_host, token)


def _loaded(files: object) -> tuple[Attachment, ...]:
    if isinstance(files, tuple | list) and not files:
        return ()
    from swiftask_jupyter.prompts.attachments import load_files  # rarely needed

    return load_files(files)
