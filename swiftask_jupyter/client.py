"""`Swiftask`: the one object that cells, panel and scripts share."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from swiftask_jupyter.catalogue import Agent, Catalogue
from swiftask_jupyter.dialects import Dialects
from swiftask_jupyter.errors import ConfigurationError, Refused
from swiftask_jupyter.loops import IOThread
from swiftask_jupyter.prompts import compose
from swiftask_jupyter.replies import Answer, Event, answer
from swiftask_jupyter.session import Session, Stream, Turn
from swiftask_jupyter.settings import Connection, Sources, Wanted, resolve
from swiftask_jupyter.settings.connection import AUTO, HOW_TO_GET_IN, HOW_TO_NAME_ONE
from swiftask_jupyter.settings.logins import Logins
from swiftask_jupyter.store import Database, Turns
from swiftask_jupyter.store.database import default_path
from swiftask_jupyter.store.turns import Place
from swiftask_jupyter.tokens import Token
from swiftask_jupyter.transport import Transport
from swiftask_jupyter.widget import WidgetRoutes, download

if TYPE_CHECKING:
    import pandas as pd


class Swiftask:
    """A client: ask agents, watch their answers, read what they cost.

    Args:
        base_url: one root from which the routes of all dialects derive; one that ends in
            `/api` or `/v1` is understood. Default: `SWIFTASK_BASE_URL`, else the documented
            addresses.
        token: an API key or an agent's client token. Default: `SWIFTASK_API_KEY`, else what
            `%swiftask login` kept.
        agent: the slug asked when none is named. Default: `SWIFTASK_AGENT_SLUG`.
        dialect: `openai`, `native` or `auto`, which chooses. Default: `SWIFTASK_DIALECT`, else
            `auto`.
        connection: the name of a connection in `pyproject.toml` or the user's `config.toml`.
        store: the ledger's file. Default: `SWIFTASK_STORE`, else the user's data directory.
        notebook: the notebook's path, where there is one.
        session: the conversation's name. Default: `main` in a notebook, else a new one.

    Raises:
        ConfigurationError: the base URL, the token or the dialect is unusable.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        token: str | None = None,
        agent: str | None = None,
        dialect: str | None = None,
        connection: str | None = None,
        store: str | Path | None = None,
        notebook: str | None = None,
        session: str | None = None,
    ) -> None:
        self.wanted = Wanted(base_url, token, agent, dialect, connection)
        self.configured = Wanted()
        self.sources = Sources(os.environ)
        self._logins = Logins()
        path = Path(store).expanduser() if store is not None else default_path(os.environ)
        self.store = path
        self._turns = Turns(Database(path))
        self._transport = Transport()
        self._dialects = Dialects(Catalogue(self._transport))
        self._thread = IOThread(self._transport.aclose)
        fallback = "main" if notebook else f"python-{secrets.token_hex(4)}"
        self._session = Session(Place(notebook, session or fallback), self._turns, self._transport)
        if base_url or token or connection:
            self.connection()  # what was written here is wrong here, not at the first prompt

    def connection(self, wanted: Wanted | None = None) -> Connection:
        """Return what the settings say now; files are read again when they have changed.

        Args:
            wanted: what one call names itself, before all else.

        Raises:
            ConfigurationError: a setting is unusable, or would send a token where its owner
                did not.
        """
        layers = {
            "the call": wanted or Wanted(),
            "Swiftask(…)": self.wanted,
            "%config SwiftaskMagics": self.configured,
        }
        return resolve(self.sources, layers, self._logins.token)

    def ask(self, text: str, agent: str | None = None, **options: Any) -> Answer:
        """Ask an agent and return its whole answer.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            options: for this call alone: `dialect`, `connection`, `system` (a message before
                the prompt) and `files` (paths, URLs, DataFrames, figures, `(name, bytes)`). All
                others are fields of the request, such as `temperature` or `max_tokens`.

        Raises:
            Refused: nothing was sent, and the message says why.
            ConnectionFailed: no answer came.
            ServiceError: the service answered with an error.
            StreamError: the answer broke off or made no sense.
            StoreError: the ledger can't be written.
        """
        return self.stream(text, agent, **options).answer

    def stream(self, text: str, agent: str | None = None, **options: Any) -> Stream:
        """Ask an agent and return its answer's events as they come; all else as `ask`."""
        return Stream(self._turn(text, agent, **options), self._thread)

    async def ask_async(self, text: str, agent: str | None = None, **options: Any) -> Answer:
        """Ask from a running loop; all else as `ask`."""
        turn = self._turn(text, agent, **options)
        async for _ in self._thread.stream_async(turn.events()):
            pass
        return answer(turn.reply)

    async def stream_async(
        self, text: str, agent: str | None = None, **options: Any
    ) -> AsyncIterator[Event]:
        """Yield the events of an answer in a running loop; all else as `ask`."""
        turn = self._turn(text, agent, **options)
        async for events in self._thread.stream_async(turn.events()):
            for event in events:
                yield event

    def usage(self) -> pd.DataFrame:
        """Return the ledger, one row a call, oldest first; the columns stand in `usage.usage`.

        Raises:
            StoreError: the ledger can't be read.
        """
        from swiftask_jupyter.usage import usage

        return usage(self._turns)

    def refuse(self, error: Refused, *, agent: str | None, text: str) -> None:
        """Record a prompt that was refused before it was sent, without any token in it."""
        for token in (self.wanted.token, os.environ.get("SWIFTASK_API_KEY")):
            text = Token(token or "").mask(text)
        self._session.refuse(error, agent=agent or "", text=text)

    @property
    def place(self) -> Place:
        """The notebook and the session that turns belong to."""
        return self._session.place

    @property
    def widget(self) -> WidgetRoutes:
        """The widget's routes beside asking: feedback, conversations, appearance."""
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
        from swiftask_jupyter.usage import agents

        return agents(self.catalogue(), pattern)

    def download(self, file: str | Mapping[str, Any]) -> bytes:
        """Return what one of `Answer.files` (or a URL) holds, up to 200 MB; no token goes along.

        Raises:
            SwiftaskError: it can't be had; such addresses may expire.
        """
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
        return self._logins.keep(self.connection().host, token)

    def close(self) -> None:
        """Cancel what runs, close every connection and the ledger."""
        self._thread.close()
        self._turns.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _turn(
        self,
        text: str,
        agent: str | None,
        *,
        dialect: str | None = None,
        connection: str | None = None,
        system: str | None = None,
        files: Any = (),
        **options: Any,
    ) -> Turn:
        try:
            target = self.connection(Wanted(agent=agent, dialect=dialect, connection=connection))
            agent = target.agent
            if not target.token:
                raise ConfigurationError("no token", advice=HOW_TO_GET_IN)
            if not agent:
                raise ConfigurationError("no agent", advice=HOW_TO_NAME_ONE)
            prompt = compose(agent, text, system=system, files=files, options=options)
            return self._session.turn(prompt, self._dialects.route(target, prompt))
        except Refused as error:
            self.refuse(error, agent=agent, text=text)
            raise
