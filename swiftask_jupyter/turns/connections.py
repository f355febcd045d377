"""The connections of a client: settings, secrets, the agent catalogue and the network."""

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
from swiftask_jupyter.turns.routing import Dialects, Route


class Connections:
    """Resolves settings into connections, and prepares prompts and their routes.

    Args:
        overrides: what the client was made with.

    Attributes:
        overrides: what was named when the client was made, or by `%swiftask use`.
        configured: what `%config SwiftaskMagics` names.
        sources: the environment and the files with settings.
        transport: the network.
        thread: the I/O thread on which the network is used.
    """

    def __init__(self, overrides: ConnectionOverrides) -> None:
        self.overrides = overrides
        self.configured = ConnectionOverrides()
        self.sources = Sources(os.environ)
        self.transport = Transport()
        self.thread = IOThread(self.transport.aclose)
        self._logins = Logins()
        self._secrets: set[Secret] = set()  # every token that was ever used, to be masked
        self._dialects = Dialects(Catalogue(self.transport))

    def resolve(self, overrides: ConnectionOverrides | None = None) -> Connection:
        """Return the connection that the settings describe now; changed files are read again.

        Args:
            overrides: what one call names itself; it comes before all other settings.

        Raises:
            ConfigurationError: a setting is unusable, or would send a token to a host that its
                owner did not name.
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
        """Return the prompt, and the route by which it is sent.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            dialect: the dialect; default: the connection's.
            connection: the name of a connection.
            files: the files to attach: paths, URLs, DataFrames, figures, `(name, bytes)`.
            needs_token: whether a missing token is an error.
            options: the options of a request.

        Raises:
            Refused: it can't be sent; the message says why.
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
        """Return the text with every known token masked."""
        with suppress(ConfigurationError):
            self.resolve()  # its token may be one that no prompt has used yet
        for secret in self._known_secrets():
            text = secret.mask(text)
        return text

    def _known_secrets(self) -> list[Secret]:
        """Return every known token, the longest first: one may contain another."""
        named = (self.overrides.token, os.environ.get("SWIFTASK_API_KEY"))
        found = (*tuple(self._secrets), *(Secret(each or "") for each in named))
        return sorted(found, key=len, reverse=True)

    def catalogue(self, timeout: float | None = None) -> tuple[Agent, ...]:
        """Return the public agents of the connection's service; they are fetched once.

        Args:
            timeout: the seconds after which an empty tuple is returned instead; default: none.

        Raises:
            SwiftaskError: the service did not list them.
        """
        agents = self._dialects.catalogue.agents(self.resolve().root("/public"))
        if timeout is None:
            return self.thread.run(agents)
        task = self.thread.submit(agents)
        return task.result() if task.wait(timeout) else ()

    def warm(self) -> None:
        """Load what the first answer needs, on the I/O thread, without waiting for it."""
        try:
            connection = self.resolve()
        except ConfigurationError:
            return  # the first prompt will say so
        if connection.token:
            self.thread.submit(self._warm(connection))

    async def _warm(self, connection: Connection) -> None:
        await self.transport.warm(connection.root("/v1"))
        if connection.dialect == AUTO and connection.agent:
            await self._dialects.catalogue.is_chat_agent(
                connection.root("/public"), connection.agent
            )

    def login(self, token: str) -> bool:
        """Keep a token for the connection's host; return whether it outlives this process.

        Raises:
            ConfigurationError: it is no token.
        """
        return self._logins.keep(self.resolve().token_host, token)


def _loaded(files: object) -> tuple[Attachment, ...]:
    if isinstance(files, tuple | list) and not files:
        return ()
    from swiftask_jupyter.prompts.attachments import load_files  # most prompts have none

    return load_files(files)
