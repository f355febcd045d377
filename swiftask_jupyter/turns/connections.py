"""The services that are asked: where they are, on whose behalf, and what they offer beside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from swiftask_jupyter.errors import ConfigurationError
from swiftask_jupyter.prompts.compose import compose
from swiftask_jupyter.prompts.prompt import Prompt
from swiftask_jupyter.settings.connection import (
    AUTO,
    HOW_TO_GET_IN,
    HOW_TO_NAME_ONE,
    Connection,
    ConnectionOverrides,
    resolve,
)
from swiftask_jupyter.settings.login import Logins
from swiftask_jupyter.settings.secrets import Secret
from swiftask_jupyter.settings.sources import Sources
from swiftask_jupyter.support.io_thread import IOThread
from swiftask_jupyter.support.sanitize import in_line
from swiftask_jupyter.transport.client import Transport
from swiftask_jupyter.turns.catalogue import Agent, Catalogue
from swiftask_jupyter.turns.routing import Dialects, Route

if TYPE_CHECKING:
    import pandas as pd

    from swiftask_jupyter.widget_routes import WidgetRoutes


class Connections:
    """Connections, the catalogue and the network that they share.

    Attributes:
        wanted: what was named when the client was made, or by `%swiftask use`.
        configured: what `%config` names.
        sources: the environment and the files with settings.
    """

    def __init__(self, wanted: ConnectionOverrides) -> None:
        self.wanted = wanted
        self.configured = ConnectionOverrides()
        self.sources = Sources(os.environ)
        self._logins = Logins()
        self._tokens: set[Secret] = set()  # all that were ever in use, to be masked
        self._transport = Transport()
        self._dialects = Dialects(Catalogue(self._transport))
        self._thread = IOThread(self._transport.aclose)

    def __repr__(self) -> str:
        try:
            connection = self.connection()
        except ConfigurationError as error:
            return f"<{type(self).__name__}: {error}>"
        agent = in_line(connection.agent or "none named")
        return f"<{type(self).__name__} {connection.host}, agent: {agent}>"

    def connection(self, wanted: ConnectionOverrides | None = None) -> Connection:
        """Return what the settings say now; files are read again when they have changed.

        Args:
            wanted: what one call names itself, before all else.

        Raises:
            ConfigurationError: a setting is unusable, or would send a token where its owner
                did not.
        """
        layers = {
            "the call": wanted or ConnectionOverrides(),
            "Swiftask(…)": self.wanted,
            "%config SwiftaskMagics": self.configured,
        }
        found = resolve(self.sources, layers, self._logins.token)
        self._tokens.add(found.token)
        return found

    def _prepared(
        self,
        text: str,
        agent: str | None,
        *,
        dialect: str | None = None,
        connection: str | None = None,
        needs_token: bool = True,
        **options: Any,
    ) -> tuple[Prompt, Route]:
        wanted = ConnectionOverrides(agent=agent, dialect=dialect, connection=connection).checked()
        target = self.connection(wanted)
        if needs_token and not target.token:
            why = f"no token: {target.tokenless}" if target.tokenless else "no token"
            raise ConfigurationError(why, advice="" if target.tokenless else HOW_TO_GET_IN)
        if not target.agent:
            raise ConfigurationError("no agent", advice=HOW_TO_NAME_ONE)
        prompt = compose(target.agent, text, **options)
        route = self._dialects.route(target, prompt)
        route.secrets = self._secrets()
        return prompt, route

    def _secrets(self) -> list[Secret]:
        """Return every token that is known, the longest first: one may hold another."""
        named = (self.wanted.token, os.environ.get("SWIFTASK_API_KEY"))
        found = (*tuple(self._tokens), *(Secret(each or "") for each in named))
        return sorted(found, key=len, reverse=True)

    def _masked(self, text: str) -> str:
        with suppress(ConfigurationError):
            self.connection()  # its token may be one that no prompt has used yet
        for token in self._secrets():
            text = token.mask(text)
        return text

    @property
    def widget(self) -> WidgetRoutes:
        """The widget's routes beside asking: feedback, conversations, appearance."""
        from swiftask_jupyter.widget_routes import WidgetRoutes

        return WidgetRoutes(self._thread, self._transport, self.connection)

    def catalogue(self, patience: float | None = None) -> tuple[Agent, ...]:
        """Return the public agents of the connection's service; fetched once.

        With patience (seconds), nothing is returned where that is not enough.

        Raises:
            SwiftaskError: they can't be had.
        """
        agents = self._dialects.catalogue.agents(self.connection().root("/public"))
        if patience is None:
            return self._thread.run(agents)
        job = self._thread.submit(agents)
        return job.result() if job.wait(patience) else ()

    def agents(self, pattern: str = "") -> pd.DataFrame:
        """Return the catalogue as a DataFrame: `slug`, `name` and `chat` (missing if not said).

        The pattern is part of a slug or a name, in any case, or has a `*`; errors as `catalogue`.
        """
        from swiftask_jupyter.usage.frames import agents

        return agents(self.catalogue(), pattern)

    def download(self, file: str | Mapping[str, Any]) -> bytes:
        """Return what one of `Answer.files` (or a URL) holds, up to 200 MB; no token goes along.

        Raises:
            SwiftaskError: it can't be had; such addresses may expire.
        """
        from swiftask_jupyter.widget_routes import download

        url = file if isinstance(file, str) else str(file["url"])
        return self._thread.run(download(self._transport, url))

    def warm(self) -> None:
        """Load what the first answer needs, on the I/O thread, without waiting for it."""
        try:
            connection = self.connection()
        except ConfigurationError:
            return  # the first prompt will say so
        if connection.token:
            self._thread.submit(self._warm(connection))

    async def _warm(self, connection: Connection) -> None:
        await self._transport.warm(connection.root("/v1"))
        if connection.dialect == AUTO and connection.agent:
            await self._dialects.catalogue.chats(connection.root("/public"), connection.agent)

    def login(self, token: str) -> bool:
        """Keep a token for the connection's host; return whether it outlives this process.

        Raises:
            ConfigurationError: it is no token.
        """
        return self._logins.keep(self.connection().service, token)
