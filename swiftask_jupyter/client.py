"""`Swiftask`: the client that cells, panel and scripts share."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from swiftask_jupyter.answers.answer import Answer
from swiftask_jupyter.answers.turn import Event
from swiftask_jupyter.conversation.notebook_file import NotebookFile, absolute_path
from swiftask_jupyter.conversation.running_turn import Stream
from swiftask_jupyter.conversation.session import Runtime, Session
from swiftask_jupyter.errors import ConfigurationError, Refused
from swiftask_jupyter.ledger import Ledger
from swiftask_jupyter.ledger.budgets import Budgets
from swiftask_jupyter.ledger.opening import open_store
from swiftask_jupyter.options import (
    BatchOptions,
    ChatOptions,
    RequestOptions,
    UsageOptions,
    check_known,
    check_options,
    with_options,
)
from swiftask_jupyter.settings.connection import ConnectionOverrides
from swiftask_jupyter.support.sanitize import sanitize_line
from swiftask_jupyter.turns.connections import Connections

if TYPE_CHECKING:
    import pandas as pd

    from swiftask_jupyter.batch.batch import Batch
    from swiftask_jupyter.notebook.panel.panel import ChatPanel
    from swiftask_jupyter.turns.request_preview import RequestPreview
    from swiftask_jupyter.widget_routes import WidgetRoutes


class Swiftask:
    """A client: asks agents, and reads what they answered and cost.

    Args:
        base_url: the root URL from which the routes of all dialects derive; it may end in `/api`
            or `/v1`. Default: `SWIFTASK_BASE_URL`, else the documented addresses.
        token: an API key or an agent's client token. Default: `SWIFTASK_API_KEY`, else the token
            that `%swiftask login` kept.
        agent: the slug asked when a call names none. Default: `SWIFTASK_AGENT_SLUG`.
        dialect: `openai`, `native`, `widget`, `chat`, `agencii`, or `auto`, which chooses
            between the first two. Default: `SWIFTASK_DIALECT`, else `auto`.
        connection: the name of a connection in `pyproject.toml` or the user's `config.toml`.
        store: the ledger's file, or `postgresql://…`. Default: `SWIFTASK_STORE`, else a file in
            the user's data directory.
        notebook: the notebook's path; default: none.
        session: the name of the conversation to continue. Default: `main` in a notebook, else a
            new one.

    Attributes:
        connections: the settings and the network.
        runtime: what its sessions and batches share.
        current: the name of the conversation that cells continue.
        store: the ledger's path, or the masked URL of its server.

    Raises:
        ConfigurationError: the base URL, the token, the dialect or the store is unusable.

    Example:
        >>> from swiftask_jupyter import Sandbox, Swiftask
        >>> with Sandbox() as box, Swiftask(base_url=box.url, token=box.token) as swiftask:
        ...     print(swiftask.ask("hello", "echo"))
        hello
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
        notebook: str | Path | None = None,
        session: str | None = None,
    ) -> None:
        overrides = ConnectionOverrides(base_url, token, agent, dialect, connection).validated()
        self.connections = Connections(overrides)
        self._ledger = Ledger(open_store(store, os.environ))
        self.store = self._ledger.store.path or str(self._ledger.store)
        cache = os.environ.get("SWIFTASK_CACHE") or "off"
        self.runtime = Runtime(self._ledger, self.connections, cache=cache)
        self._file = NotebookFile(notebook)
        self.current = session or ("main" if notebook else f"python-{secrets.token_hex(4)}")
        self._sessions: dict[str, Session] = {}
        if base_url or token or connection:
            self.connections.resolve()  # a mistake in the arguments is an error here

    def __repr__(self) -> str:
        try:
            connection = self.connections.resolve()
        except ConfigurationError as error:
            return f"<{type(self).__name__}: {error}>"
        agent = sanitize_line(connection.agent or "none named")
        return f"<{type(self).__name__} {connection.host}, agent: {agent}>"

    def session(self, name: str | None = None) -> Session:
        """Return the conversation of that name; default: the one that cells continue."""
        name = name or self.current
        if name not in self._sessions:
            self._sessions[name] = Session(self.runtime, self._file, name)
        return self._sessions[name]

    def sessions(self) -> list[str]:
        """Return the names of this notebook's conversations, the newest last."""
        return self.session().log.names()

    @with_options(RequestOptions)
    def ask(self, text: str, agent: str | None = None, **options: Unpack[RequestOptions]) -> Answer:
        """Ask an agent a single question, outside of any conversation; return its whole answer.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            **options: for this call.

        Raises:
            Refused: nothing was sent; the message says why.
            ConnectionFailed: no answer came.
            ServiceError: the service answered with an error.
            StreamError: the answer broke off or made no sense.
            StoreError: the ledger can't be written.
        """
        return self.stream(text, agent, **options).answer

    @with_options(RequestOptions)
    def stream(
        self, text: str, agent: str | None = None, **options: Unpack[RequestOptions]
    ) -> Stream:
        """Ask a single question and return its answer's events as they come; otherwise as `ask`.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            **options: for this call.
        """
        check_options(options, RequestOptions)
        return self.session().stream(text, agent, history=False, **options)

    @with_options(RequestOptions)
    async def ask_async(
        self, text: str, agent: str | None = None, **options: Unpack[RequestOptions]
    ) -> Answer:
        """Ask a single question from a running event loop; otherwise as `ask`.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            **options: for this call.
        """
        check_options(options, RequestOptions)
        return await self.session().ask_async(text, agent, history=False, **options)

    @with_options(RequestOptions)
    def stream_async(
        self, text: str, agent: str | None = None, **options: Unpack[RequestOptions]
    ) -> AsyncIterator[Event]:
        """Yield an answer's events in a running event loop; otherwise as `ask`.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            **options: for this call.
        """
        check_options(options, RequestOptions)
        return self.session().stream_async(text, agent, history=False, **options)

    @with_options(RequestOptions)
    def dry_run(
        self, text: str, agent: str | None = None, **options: Unpack[RequestOptions]
    ) -> RequestPreview:
        """Return the request that `ask` would send, and send nothing; `print` shows it.

        Args:
            text: the prompt.
            agent: the slug; default: the connection's.
            **options: for this call.
        """
        check_options(options, RequestOptions)
        return self.session().dry_run(text, agent, history=False, **options)

    @with_options(BatchOptions)
    def map(
        self,
        frame: pd.DataFrame,
        text: str,
        agent: str | None = None,
        **options: Unpack[BatchOptions],
    ) -> pd.DataFrame:
        """Ask an agent once for each row of a frame; return it with the answers' columns.

        A failed row has an error; the others go on. Rows that were answered before are not sent
        again: after an interruption, the same call sends only what is missing. New columns:
        `answer`, `status` (ok, error, refused, not sent), `error`, `tokens`, `credits`,
        `seconds`, `attempts`. Rows with equal prompts share one request, and its cost is in the
        first of them.

        Args:
            frame: the rows; their order and index are kept. A Dask DataFrame is asked for when
                it is computed, by the workers of its cluster, each with its share of the
                concurrency; token and ledger come from the workers' environment.
            text: the prompt; `{{column}}` is the row's value, `{{row}}` the whole row.
            agent: the slug; default: the connection's.
            **options: for this call.

        Raises:
            Refused: nothing was sent; the message says why.
            Unauthorized: the service does not accept the token; answered rows are kept.
            Interrupted: the user stopped it; answered rows are kept.
            StoreError: the ledger can't be read or written.
        """
        from swiftask_jupyter.batch.dask import is_dask_frame, map_dask_frame

        if is_dask_frame(frame):
            made: pd.DataFrame = map_dask_frame(self, frame, text, {"agent": agent, **options})
            return made
        return self._batch(frame, text, agent, options).run()

    @with_options(BatchOptions)
    async def map_async(
        self,
        frame: pd.DataFrame,
        text: str,
        agent: str | None = None,
        **options: Unpack[BatchOptions],
    ) -> pd.DataFrame:
        """Do what `map` does, and let the event loop run; above 1,000 rows, set `confirm=False`.

        Args:
            frame: the rows.
            text: the prompt; `{{column}}` is the row's value, `{{row}}` the whole row.
            agent: the slug; default: the connection's.
            **options: for this call.
        """
        from swiftask_jupyter.batch.dask import is_dask_frame

        if is_dask_frame(frame):
            return self.map(frame, text, agent, **options)  # computed later, by the workers
        batch = await asyncio.to_thread(self._batch, frame, text, agent, options)
        return await batch.run_async()

    def _batch(
        self, frame: pd.DataFrame, text: str, agent: str | None, options: Mapping[str, Any]
    ) -> Batch:
        from swiftask_jupyter.batch.batch import Batch
        from swiftask_jupyter.batch.options import BatchSettings

        return Batch(
            self.runtime, self.notebook, frame, text, BatchSettings.from_options(agent, options)
        )

    @with_options(ChatOptions)
    def chat(self, agent: str | None = None, **options: Unpack[ChatOptions]) -> ChatPanel:
        """Return a chat panel, which a notebook shows.

        Args:
            agent: the slug; default: the connection's.
            **options: for this panel.

        Raises:
            ConfigurationError: no such option, or no panel can be shown here.
        """
        from swiftask_jupyter.notebook.panel.panel import ChatPanel

        check_known(options, ChatOptions)
        return ChatPanel(self, agent, **options)

    @with_options(UsageOptions)
    def usage(self, by: str | Sequence[str] = (), **options: Unpack[UsageOptions]) -> pd.DataFrame:
        """Return the ledger: one row a call, oldest first, or with `by` one row a group.

        Args:
            by: `day`, `agent`, `session`, `cell`, `notebook`, `surface`, `status`, or several.
            **options: which calls.

        Raises:
            ConfigurationError: no such option or group, or a time that can't be read.
            StoreError: the ledger can't be read.
        """
        from swiftask_jupyter.usage.query import usage

        check_known(options, UsageOptions)
        wanted: dict[str, Any] = {**options}
        named, path = wanted.pop("notebook", None), self.notebook
        if named != ".":
            path = None if named in (None, "all") else absolute_path(named)
        elif path is None:
            raise ConfigurationError(
                "which notebook this is, is not known", advice="name its path, or leave it out"
            )
        return usage(self._ledger.usage_queries, by, notebook=path, **wanted)

    def agents(self, pattern: str = "") -> pd.DataFrame:
        """Return the catalogue of public agents: `slug`, `name`, and `chat` (missing if unknown).

        Args:
            pattern: part of a slug or a name, in any case; or a pattern with `*`.

        Raises:
            SwiftaskError: the service did not list its agents.
        """
        from swiftask_jupyter.usage.frames import agents_frame

        return agents_frame(self.connections.catalogue(), pattern)

    def download(self, file: str | Mapping[str, Any]) -> bytes:
        """Return the content of one of `Answer.files`, or of a URL; no token is sent.

        Args:
            file: the file, or its URL; up to 200 MB.

        Raises:
            SwiftaskError: it could not be downloaded; such addresses may expire.
        """
        from swiftask_jupyter.widget_routes import download

        url = file if isinstance(file, str) else str(file["url"])
        return self.connections.thread.run(download(self.connections.transport, url))

    @property
    def widget(self) -> WidgetRoutes:
        """The further routes of Swiftask's embedded chat: feedback, conversations, appearance."""
        from swiftask_jupyter.widget_routes import WidgetRoutes

        connections = self.connections
        return WidgetRoutes(connections.thread, connections.transport, connections.resolve)

    @property
    def notebook(self) -> str | None:
        """The notebook's path, also after it was renamed; `None` outside of a notebook."""
        return self._file.path

    @property
    def budgets(self) -> Budgets:
        """The budgets: `set`, `increase`, `drop`, `all`, `spent`."""
        return self._ledger.budgets

    def refuse(self, error: Refused, *, agent: str | None, text: str) -> None:
        """Record a prompt that was refused before it was sent, with every token masked."""
        self.session().refuse(error, agent=agent or "", text=text)

    def warm(self) -> None:
        """Load what the first answer needs, in the background."""
        if self.runtime.cache != "strict":  # which opens no connection
            self.connections.warm()

    def close(self) -> None:
        """Cancel what runs, and close every connection and the ledger."""
        self.connections.thread.close()
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
